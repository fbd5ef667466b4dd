"""`chiasm report`: one page from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.output import errors_to_exit

report_app = typer.Typer()


@report_app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders of `chiasm examine`, or of `chiasm score` of one task.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    images: Annotated[
        Path | None, typer.Option(help="Folder with the pictures that scored items name; else they are shown as text.")
    ] = None,
    diagnosis: Annotated[
        Path | None, typer.Option(help="Folder of `chiasm diagnose`, to show where wrong answers arise.")
    ] = None,
) -> None:
    """One self-contained page from run folders: numbers, faults and what they cost, slices, and a gallery.

    Several folders of `chiasm score` are compared, model against model.
    """
    with errors_to_exit():
        from chiasm.report.html import write_report

        typer.echo(f"report: {write_report(runs, out, title, images, diagnosis)}")
