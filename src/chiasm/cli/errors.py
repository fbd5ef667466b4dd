"""`chiasm errors`: what cost the points of one run or several, and what each kind of mistake costs."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.errors import ConfigError

if TYPE_CHECKING:
    from chiasm.score.faults import FaultCost
    from chiasm.score.faults.duplicates import Cluster
    from chiasm.score.faults.report import FaultReport, FaultyRun, PairReport
    from chiasm.score.faults.suspects import Suspects
    from chiasm.score.faults.table import FaultRow
    from chiasm.score.faults.unannotated import Unannotated

_WIDTH = 60
"""Characters of an answer or a truth that are shown of it."""


def errors(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of `chiasm score --out` or `chiasm examine`.")],
    metric: Annotated[list[str] | None, typer.Option(help="Show the cost in this metric; may be repeated.")] = None,
    blind: Annotated[
        Path | None, typer.Option(help="Score folder of the same model without the pictures, for language priors.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Worst examples of each cause.")] = 1,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures, to show where an example is.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write every fault to this CSV file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the page of `chiasm report` to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Kinds and causes of mistakes, what each costs in every metric, and where several models contradict the truth."""
    with errors_to_exit():
        from chiasm.examine.compare_runs import named_runs
        from chiasm.examine.faults import read_faults
        from chiasm.score.faults.report import report_faults

        found = {name: read_faults(folder, blind) for name, folder in named_runs(runs).items()}
        told = report_faults(found, examples)
        for name, run in found.items():
            _check_known(metric or [], name, run, told)
        if out:
            _write_csv(out, found)
        if report:
            from chiasm.report.html import write_report

            typer.echo(f"report: {write_report(runs, report, images=images)}", err=as_json)
        if as_json:
            print(json.dumps(asdict(told), ensure_ascii=False))
            return
        pictures = _pictures(told, images) if images else {}
        for name, run in found.items():
            _print_table(name, run, told.runs[name].table, metric or [])
            for unknown, why in told.runs[name].without_cost.items():
                typer.echo(f"The cost in {unknown} is not known: {why}.")
            _print_examples(told.runs[name].table, pictures)
            _print_clusters(told.runs[name].clusters)
        for pair in told.pairs:
            _print_pair(pair, "images" if _is_detection(found[pair.first]) else "items")
        if told.suspects is not None:
            _print_suspects(told.suspects, pictures)
        if told.unannotated:
            _print_unannotated(told.unannotated, pictures)


def _check_known(asked: list[str], name: str, run: FaultyRun, report: FaultReport) -> None:
    from chiasm.score.regions.coco_costs import COSTED

    known = {*run.measures, *(cost.metric for row in report.runs[name].table for cost in row.costs)}
    known |= set(COSTED) if _is_detection(run) else set()
    if unknown := [metric for metric in asked if metric not in known]:
        raise ConfigError(f"{name} has no metric {unknown[0]!r} to cost mistakes in, only {', '.join(sorted(known))}")


def _is_detection(run: FaultyRun) -> bool:
    return run.score.task.startswith("coco-")


def _pictures(report: FaultReport, folder: Path) -> Mapping[str, Path]:
    """The files of the pictures that are shown."""
    from chiasm.report.pictures import find_pictures

    names = {shown.image for run in report.runs.values() for row in run.table for shown in row.examples}
    names |= {suspect.image for suspect in report.suspects.found} if report.suspects else set()
    return find_pictures(names | {thing.image for thing in report.unannotated}, folder, ())


def _print_table(name: str, run: FaultyRun, rows: tuple[FaultRow, ...], asked: list[str]) -> None:
    """Costs are in the metrics asked for; else in AP and AP50 for detections, whose faults are told at IoU .5, and for
    other items in the first metric that ranks and that the row costs."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        typer.echo(f"{name}: {run.score.task}, no mistakes among {len(run.score.items)} items")
        if run.score.task == "captions":
            typer.echo(
                "  a lost n-gram has no cause of its own; `chiasm score chair` finds objects that are wrong or left out"
            )
        return
    ranking = [metric for metric, measure in run.measures.items() if measure.better is not None]
    costs = [{cost.metric: cost for cost in row.costs} for row in rows]
    own = [next((metric for metric in ranking if metric in row), "") for row in costs]
    metrics = asked or (["AP", "AP50"] if _is_detection(run) else sorted(set(own) - {""}))
    one_column = not asked and not _is_detection(run) and len(metrics) > 1
    wrong = len({fault.item for fault in run.faults if fault.cause != "loose"})
    items = len(run.score.items)
    counted = f"{items} detections and missed objects, {wrong}" if _is_detection(run) else f"{wrong} of {items} items"
    title = f"{name}: {run.score.task}, {counted} with a mistake"
    table = Table(title=title, title_justify="left")
    table.add_column("kind, cause", overflow="fold")
    table.add_column("count", justify="right")
    if not _is_detection(run):  # detections and missed objects together are no whole to have a share of
        table.add_column("of items", justify="right")
    for column in ["change"] if one_column else [f"change of {metric}" for metric in metrics]:
        table.add_column(column, justify="right", overflow="fold")
    for row, cost, first in zip(rows, costs, own, strict=True):
        told = _cost if one_column or len(metrics) == 1 else _short_cost
        cells = [f"{first} {told(cost.get(first))}"] if one_column else [told(cost.get(metric)) for metric in metrics]
        label = row.kind if row.cause is None else f"  {row.cause}"
        share = [] if _is_detection(run) else [f"{row.share:.1%}"]
        table.add_row(label, str(row.count), *share, *cells, style="bold" if row.cause is None else None)
    Console().print(table, markup=False)


def _cost(cost: FaultCost | None) -> str:
    if cost is None:
        return "-"
    interval = f" ({cost.ci_low:+.3f} to {cost.ci_high:+.3f})" if cost.ci_low is not None else ""
    return f"{cost.change:+.4f}{interval}"


def _short_cost(cost: FaultCost | None) -> str:
    """As `_cost`, so short that two metrics fit into 80 columns beside each other."""
    if cost is None:
        return "-"
    change, *ends = (
        f"{number:{sign}.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:{sign}.3f}"
        for number, sign in ((cost.change, "+"), (cost.ci_low, ""), (cost.ci_high, ""))
        if number is not None
    )
    return f"{change}  {ends[0]:>4} to {ends[1]:>4}" if ends else change


def _print_examples(rows: tuple[FaultRow, ...], pictures: Mapping[str, Path]) -> None:
    shown = [example for row in rows if row.cause is not None for example in row.examples]
    if shown:
        typer.echo("worst examples:")
    for example in shown:
        fault = example.fault
        typer.echo(f"  {fault.kind}, {fault.cause}: {fault.item}{f' ({fault.detail})' if fault.detail else ''}")
        if example.prompt and example.prompt not in (fault.detail, fault.item.partition(": ")[2]):
            typer.echo(f"    asked {_short(example.prompt)}")
        typer.echo(f"    said {_short(example.said)}; true {_short(example.truth)}")
        if example.image in pictures:
            typer.echo(f"    picture {pictures[example.image]}")


def _print_clusters(clusters: tuple[Cluster, ...]) -> None:
    if clusters:
        typer.echo("made most often:")
    for cluster in clusters[:5]:
        asked = f" to {_short(cluster.prompt)}" if cluster.prompt else ""
        typer.echo(f"  {len(cluster.items)} x {cluster.kind}: {_short(cluster.said)}{asked}")


def _print_pair(pair: PairReport, unit: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{pair.first} against {pair.second}: {unit} with a mistake", title_justify="left")
    for column in ("kind", "neither", f"only {pair.first}", f"only {pair.second}", "both"):
        table.add_column(column, justify="left" if column == "kind" else "right", overflow="fold")
    for row in pair.shared:
        counts = (row.neither, row.only_first, row.only_second, row.both)
        table.add_row(row.kind or "any", *map(str, counts))
    Console().print(table, markup=False)


def _print_suspects(suspects: Suspects, pictures: Mapping[str, Path]) -> None:
    typer.echo(
        f"{len(suspects.found)} times all models say the same against the truth; {suspects.expected:.1f} would be "
        f"expected if their mistakes were independent. Is the truth right? The least probable:"
    )
    for suspect in suspects.found[:10]:
        asked = f"{_short(suspect.prompt)}: " if suspect.prompt else ""
        typer.echo(f"  {suspect.item}: {asked}said {_short(suspect.answer)}, true {_short(suspect.truth)}")
        if suspect.image in pictures:
            typer.echo(f"    picture {pictures[suspect.image]}")


def _print_unannotated(things: tuple[Unannotated, ...], pictures: Mapping[str, Path]) -> None:
    typer.echo(f"{len(things)} times all detectors see an object that is not annotated. The most certain:")
    for thing in things[:10]:
        shown = _short({"name": thing.name, "box": thing.box, "score": thing.certainty})
        typer.echo(f"  {thing.items[0]}: {shown}{f' in {pictures[thing.image]}' if thing.image in pictures else ''}")


def _write_csv(path: Path, runs: Mapping[str, FaultyRun]) -> None:
    from chiasm.score.faults.table import example_of

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("run", "item", "image", "kind", "cause", "detail", "asked", "said", "true", "repair"))
        for name, run in runs.items():
            items = {item.id: item for item in run.score.items}
            for fault in run.faults:
                shown = example_of(fault, items[fault.item])
                texts = (_text(shown.said), _text(shown.truth), _text(dict(fault.repair)))
                writer.writerow(
                    (name, fault.item, shown.image, fault.kind, fault.cause, fault.detail, shown.prompt, *texts)
                )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    """On one line, boxes to the pixel, repeated answers counted, cut to `_WIDTH`."""
    if value is None:
        return "nothing"
    if isinstance(value, dict) and {"name", "box"} <= value.keys():
        score = f" {value['score']:.2f}" if "score" in value else ""
        return f"{value['name']}{score} at ({', '.join(f'{side:.0f}' for side in value['box'])})"
    if isinstance(value, list) and len(set(map(str, value))) < len(value):
        value = ", ".join(f"{answer} x {count}" for answer, count in Counter(map(str, value)).most_common())
    text = " ".join(_text(value).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
