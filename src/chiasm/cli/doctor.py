"""`chiasm doctor`: what is wrong with a file of predictions, before it is scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.output import errors_to_exit

if TYPE_CHECKING:
    from chiasm.score.doctor import Checkup, Place

doctor_app = typer.Typer()


@doctor_app.command()
def doctor(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="Predictions or judgements: JSON, JSON lines, CSV, TSV, xlsx, an answer a line; or MME's folder."
        ),
    ],
    gt: Annotated[Path | None, typer.Option("--gt", help="The truth, any file that `chiasm score` takes.")] = None,
    id_key: Annotated[str | None, typer.Option(help="Where a record keeps its id, if not under a usual name.")] = None,
    answer_key: Annotated[str | None, typer.Option(help="Where it keeps the answer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; of a folder, a list of them.")] = False,
) -> None:
    """List every problem of a file of predictions at once, without scoring. Exits with 1 if there is an error."""
    with errors_to_exit():
        from chiasm.score.doctor import check_predictions

        files = sorted(predictions.glob("*.txt")) or [predictions]
        checkups = [check_predictions(file, gt, id_key, answer_key) for file in files]
        if as_json:
            from dataclasses import asdict

            found = [asdict(checkup) for checkup in checkups]
            print(json.dumps(found if predictions.is_dir() else found[0], ensure_ascii=False))
        else:
            for checkup in checkups:
                _print(checkup)
    if any(checkup.has_errors for checkup in checkups):
        raise typer.Exit(1)


def _print(checkup: Checkup) -> None:
    for finding in checkup.findings:
        color = "red" if finding.severity == "error" else "yellow"
        typer.secho(f"{finding.severity}: {finding.kind} ({finding.count})", fg=color)
        typer.echo(f"  {finding.means} {finding.advice}")
        for place in finding.places:
            typer.echo(f"  {_where(checkup, place)}")
        if finding.count > len(finding.places):
            typer.echo(f"  ... and {finding.count - len(finding.places)} more")
    severities = [finding.severity for finding in checkup.findings]
    counts = f"kinds of errors: {severities.count('error')}, of warnings: {severities.count('warning')}"
    typer.echo(f"{checkup.path}: {checkup.records} records, {counts if severities else 'nothing to complain about'}")


def _where(checkup: Checkup, place: Place) -> str:
    parts = [checkup.path]
    if place.number is not None:
        parts.append(f"{checkup.word} {place.number}")
    if place.id is not None:
        parts.append(f"id {place.id!r}")
    return ", ".join(parts) + (f": {place.found}" if place.found else "")
