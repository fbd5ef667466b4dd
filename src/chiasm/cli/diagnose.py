"""`chiasm diagnose`: at which stage a model lost the answers that it gave wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.cli.progress import progress

if TYPE_CHECKING:
    from chiasm.examine.diagnosis.stages import Diagnosis, GroupDiagnosis, Share

diagnose_app = typer.Typer()


@diagnose_app.command()
def diagnose(
    model: Annotated[str, typer.Argument(help="chiasm-tiny, a model folder, or a name of the Hugging Face hub.")],
    dataset: Annotated[str, typer.Argument(help='With questions and answers: "scenes:test", "questions:FILE".')],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder, RUN/diagnosis if not said; an unfinished diagnosis is gone on with."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of `chiasm examine MODEL DATASET`: diagnose its answers instead of asking again."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=2, help="The first N pictures; 300, or those of the run, if not said."),
    ] = None,
    lessons: Annotated[
        str | None,
        typer.Option(help="Dataset that the readouts learn from; without it each part of DATASET from the others."),
    ] = None,
    lesson_pictures: Annotated[int, typer.Option(min=2, help="The first so many of them.")] = 2000,
    sites: Annotated[
        str, typer.Option(help='Read in this order; "connector.in" is the connector\'s input after its own norm.')
    ] = "encoder,connector.in,connector",
    layer: Annotated[int | None, typer.Option(help="Also read this decoder layer; -1 is the last.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="A model or encoder (CLIP, DINOv2, ...) that shows what can be read at all.")
    ] = None,
    batch: Annotated[int, typer.Option(min=2, help="Pictures looked at together.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """For wrong answers: was the fact readable at the encoder, after the connector, and did the decoder use it?"""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.errors import ConfigError
        from chiasm.examine.diagnosis.diagnose import Plan
        from chiasm.examine.diagnosis.diagnose import diagnose as find
        from chiasm.examine.diagnosis.examined import ExaminedRun
        from chiasm.examine.diagnosis.folder import ITEMS, SUMMARY
        from chiasm.probe.asked import Asked
        from chiasm.probe.vision_side import open_vision_side
        from chiasm.tasks.vlm import open_pipeline

        beside = run / "diagnosis" if run else None
        out = out or beside
        if out is None:
            raise ConfigError("say with --out where to keep the diagnosis, or with --run which run it is of")
        data = open_dataset(dataset)
        taught = open_dataset(lessons) if lessons else None
        pipeline = open_pipeline(model)
        seen = pipeline.model
        if seen is None:
            raise ConfigError(f"{model} has no features to look at; name a model folder or one of the Hugging Face hub")
        examined = ExaminedRun(run, data, pipeline.describe()) if run else None
        pictures = min(limit or examined.pictures, examined.pictures) if examined else limit or 300
        asked = Asked.of(data, pictures, without=examined.unopened if examined else ())
        learned_from = Asked.of(taught, lesson_pictures) if taught else None
        if learned_from and taught and taught.name == data.name and set(learned_from.ids) & set(asked.ids):
            raise ConfigError(
                f"--lessons {lessons}: readouts would learn the answers from the very pictures that are diagnosed; "
                "name another split, or leave --lessons out"
            )
        plan = Plan(
            sites=_sites(sites, seen.sites()),
            lessons=learned_from,
            layer=layer,
            reference=open_vision_side(reference) if reference else None,
            examined=examined.answers(asked) if examined else None,
            batch=batch,
        )
        identity = {
            "model": pipeline.name, "weights": pipeline.description.get("weights"),
            "run": examined.fingerprint if examined else None,
            "sites": plan.sites, "layer": layer, "reference": reference,
            "pictures": dataset, "dataset": data.fingerprint(), "limit": pictures,
            "lessons": taught.fingerprint() if taught else None, "lesson_pictures": lesson_pictures if taught else None,
        }  # fmt: skip
        found, readings, said = find(seen, asked, plan, out, identity, progress)
        if as_json:
            print(json.dumps(json.loads((out / SUMMARY).read_text("utf-8")), ensure_ascii=False))
            return
        _print(found)
        notes = examined.notes() if examined else []
        if readings.right.all():
            notes.append("all answers are right, so there is nothing to diagnose")
        if left_out := len(said.text) - len(readings.kind):
            notes.append(f"{left_out} questions are left out: too rare an answer for readouts to learn")
        for note in notes:
            typer.echo(f"note: {note}")
        typer.echo(f"every question: {out / ITEMS}")
        if run:
            where = "" if out == beside else f" --diagnosis {out}"
            typer.echo(f"one page with the run: chiasm report {run}{where}")


def _sites(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    from chiasm.errors import ConfigError

    sites = tuple(site.strip() for site in text.split(",") if site.strip())
    unknown = [site for site in sites if site not in known]
    if unknown or not sites or "connector" not in sites[1:]:
        raise ConfigError(
            f"--sites {text!r}: a site of the encoder and then connector, of those the model has: {', '.join(known)}"
        )
    return sites


def _print(found: Diagnosis) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from chiasm.examine.diagnosis.estimate import STAGES, UNTOLD

    title = "Where wrong answers were lost, in per cent of them with 95 % intervals"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("questions", no_wrap=True)
    for column in ("right", "blind", "wrong"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in (*STAGES, UNTOLD):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    *kinds, everything = found.kinds
    for groups in (kinds, found.sizes, [everything]):
        for group in groups:
            told = group.wrong and group.shares[UNTOLD].value < 1
            cells = [_cell(group.shares[stage]) for stage in STAGES] if told else [""] * len(STAGES)
            untold = f"{100 * group.shares[UNTOLD].value:.0f}" if group.wrong else ""
            rates = f"{100 * group.accuracy:.1f}", f"{100 * group.blind_accuracy:.1f}", str(group.wrong)
            table.add_row(_named(group), *rates, *cells, untold, end_section=group is groups[-1])
    console = Console()
    console.print(table, markup=False)
    unclear = [group for group in (*kinds, *found.sizes) if group.reason and group.wrong]
    for reason in dict.fromkeys(group.reason for group in unclear):
        names = ", ".join(_named(group) for group in unclear if group.reason == reason)
        console.print(f"note: {names}: {reason}", markup=False, highlight=False)


def _named(group: GroupDiagnosis) -> str:
    from chiasm.score.location import SIZES

    return f"{group.name} object" if group.name in SIZES else group.name or "all"


def _cell(share: Share) -> str:
    if share.ci_low is None or share.ci_high is None:
        return f"{100 * share.value:.0f}"
    return f"{100 * share.value:.0f}\n{100 * share.ci_low:.0f}-{100 * share.ci_high:.0f}"
