"""`chiasm compare` and `chiasm slice`: what differs between runs, and where one run is worst."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.output import errors_to_exit

if TYPE_CHECKING:
    from chiasm.score.compare import Comparison
    from chiasm.score.slices import SliceSearch

compare_app = typer.Typer()

By = Annotated[str, typer.Option("--by", help="Slice keys, comma between: answer_type,question_type.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Only this metric; may be repeated.")]
MinN = Annotated[int, typer.Option("--min-n", min=2, help="Leave out slices with fewer items.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@compare_app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two run folders or more, of `chiasm score --out` or `examine`.")],
    by: By = "",
    metric: Metrics = None,
    margin: Annotated[
        float | None, typer.Option(help="Smallest difference that would matter; enables the verdict 'equivalent'.")
    ] = None,
    min_n: MinN = 30,
    as_json: AsJson = False,
) -> None:
    """Which of several models is better, on the items they share; says so where it can't be told."""
    with errors_to_exit():
        from chiasm.examine.compare_runs import compare_runs, named_runs

        found = compare_runs(named_runs(runs), _keys(by), metric or (), margin, min_n)
        if as_json:
            from dataclasses import asdict

            print(json.dumps(asdict(found), ensure_ascii=False))
        else:
            _print_comparison(found)


@compare_app.command("slice")
def slice_(
    run: Annotated[Path, typer.Argument(help="A run folder of `chiasm score --out` or `chiasm examine`.")],
    by: By = "",
    metric: Metrics = None,
    min_n: MinN = 30,
    top: Annotated[int, typer.Option(min=1, help="Show this many of the slices; --json has all.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Where a model is worst, corrected for how many slices were searched. Every slice key, unless --by names some."""
    with errors_to_exit():
        from chiasm.examine.scored import read_scored
        from chiasm.examine.slice_run import slice_run

        searches = slice_run(*read_scored(run), _keys(by), metric or (), min_n)
        if as_json:
            from dataclasses import asdict

            print(json.dumps({name: asdict(search) for name, search in searches.items()}, ensure_ascii=False))
        else:
            for name, search in searches.items():
                _print_search(name, search, top)


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _print_comparison(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    sliced = any(one.slice for one in found.differences)
    table = Table()
    for column in ("metric", *(["of"] if sliced else []), "difference", "95 % interval", "p", "verdict"):
        table.add_column(column, overflow="fold")
    for one in found.differences:
        gap = one.gap
        interval = "" if gap.ci_low is None else f"{gap.ci_low:+.4f} to {gap.ci_high:+.4f}"
        where = [] if not sliced else ["" if one.slice is None else f"{one.slice[0]}: {one.slice[1]}"]
        better = {"first better": f"{one.first} better", "second better": f"{one.second} better"}
        values = f"{gap.first_value:.4f} - {gap.second_value:.4f} = {gap.difference:+.4f}"
        p = f"{one.p_adjusted:.2g}"
        table.add_row(one.metric, *where, values, interval, p, better.get(one.verdict, one.verdict))
    console = Console()
    console.print(table, markup=False)
    for one in found.differences:
        if one.slice is None and one.metric == found.differences[0].metric:
            console.print(one.sentence, markup=False, highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def _print_search(name: str, search: SliceSearch, top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    overall = search.overall
    shown = "-" if overall.value is None else f"{overall.value:.4f}"
    title = f"{name}: {shown} on {overall.n}"
    table = Table("slice", "value", "95 % interval", "n", "rest", "p", title=title, title_justify="left")
    for found in search.slices[:top]:
        value = found.value
        assert value.slice is not None
        interval = "" if value.ci_low is None else f"{value.ci_low:.4f} to {value.ci_high:.4f}"
        where = f"{value.slice[0]}: {value.slice[1]}"
        table.add_row(where, f"{value.value or 0:.4f}", interval, str(value.n), f"{found.rest:.4f}", f"{found.p:.2g}")
    console = Console()
    if search.slices:
        console.print(table, markup=False)
    else:
        console.print(f"{title}; no slice is large enough, or the only one is everything", highlight=False)
    if len(search.slices) > top:
        console.print(f"note: {len(search.slices) - top} better slices are not shown", highlight=False)
    if search.notes:
        console.print(f"note: {len(search.notes)} slices are too small to be searched", highlight=False)
