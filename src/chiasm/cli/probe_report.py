"""`chiasm probe report`: one page, and figures for a paper, of what probes and diagnoses found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.output import errors_to_exit


def report(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of `chiasm probe ... --out` and of `chiasm diagnose`, in any number.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("probes.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    images: Annotated[
        Path | None, typer.Option(help="Folder with the diagnosed pictures, where their dataset can't be opened.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Also write every chart into this folder, as SVG and PDF for a paper.")
    ] = None,
) -> None:
    """One self-contained page: curves with null and ceiling, spectra, neighbours, maps, and where answers are lost."""
    with errors_to_exit():
        from chiasm.report.probe_page import write_probe_report

        typer.echo(f"report: {write_probe_report(results, out, title, images, figures)}")
        if figures:
            typer.echo(f"figures: {figures}")
