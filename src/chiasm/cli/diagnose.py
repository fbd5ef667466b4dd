"""`chiasm diagnose`: at which stage a model lost the answers that it gave wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.cli.progress import progress

if TYPE_CHECKING:
    from chiasm.examine.diagnosis.stages import Diagnosis, Share

diagnose_app = typer.Typer()


@diagnose_app.command()
def diagnose(
    model: Annotated[str, typer.Argument(help="chiasm-tiny, a model folder, or a name of the Hugging Face hub.")],
    dataset: Annotated[str, typer.Argument(help='With questions and answers: "scenes:test", "daquar:FOLDER".')],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; an unfinished diagnosis is gone on with.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=2, help="Diagnose the first N pictures.")] = 300,
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """For wrong answers: was the fact readable at the encoder, after the connector, and did the decoder use it?"""
    with errors_to_exit():
        from dataclasses import asdict

        from chiasm.data.open import open_dataset
        from chiasm.examine.diagnosis.asked import Asked
        from chiasm.examine.diagnosis.diagnose import Plan
        from chiasm.examine.diagnosis.diagnose import diagnose as find
        from chiasm.models.open import open_model
        from chiasm.probe.vision_side import open_vision_side

        data = open_dataset(dataset)
        taught = open_dataset(lessons) if lessons else None
        seen = open_model(model)
        plan = Plan(
            sites=_sites(sites, seen.sites()),
            lessons=Asked.of(taught, lesson_pictures) if taught else None,
            layer=layer,
            reference=open_vision_side(reference) if reference else None,
            batch=batch,
        )
        identity = {
            "model": model, "sites": plan.sites, "layer": layer, "reference": reference,
            "pictures": dataset, "dataset": data.fingerprint(), "limit": limit,
            "lessons": taught.fingerprint() if taught else None, "lesson_pictures": lesson_pictures if taught else None,
        }  # fmt: skip
        found, _, _ = find(seen, Asked.of(data, limit), plan, out, identity, progress)
        if as_json:
            print(json.dumps([asdict(kind) for kind in found.kinds], ensure_ascii=False))
        else:
            _print(found)
            typer.echo(f"every question: {out / 'items.jsonl'}")


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

    from chiasm.examine.diagnosis.stages import STAGES, UNTOLD

    title = "Where wrong answers were lost, in per cent of them with 95 % intervals"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("questions", no_wrap=True)
    for column in ("right", "blind", "wrong"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in (*STAGES, UNTOLD):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for kind in found.kinds:
        told = kind.wrong and kind.shares[UNTOLD].value < 1
        cells = [_cell(kind.shares[stage]) for stage in STAGES] if told else [""] * len(STAGES)
        untold = f"{100 * kind.shares[UNTOLD].value:.0f}" if kind.wrong else ""
        rates = f"{100 * kind.accuracy:.1f}", f"{100 * kind.blind_accuracy:.1f}", str(kind.wrong)
        table.add_row(kind.kind or "all", *rates, *cells, untold, end_section=kind is found.kinds[-2])
    console = Console()
    console.print(table, markup=False)
    unclear = [kind for kind in found.kinds[:-1] if kind.reason and kind.wrong]
    for reason in dict.fromkeys(kind.reason for kind in unclear):
        kinds = ", ".join(kind.kind or "" for kind in unclear if kind.reason == reason)
        console.print(f"note: {kinds}: {reason}", markup=False, highlight=False)


def _cell(share: Share) -> str:
    if share.ci_low is None or share.ci_high is None:
        return f"{100 * share.value:.0f}"
    return f"{100 * share.value:.0f}\n{100 * share.ci_low:.0f} to {100 * share.ci_high:.0f}"
