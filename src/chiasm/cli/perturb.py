"""`chiasm data perturb` and `chiasm data shuffle-options`: the same data made harder, for `chiasm score robustness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chiasm.cli.output import errors_to_exit


def perturb(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the perturbed ones, under the same names.")],
    kind: Annotated[Literal["occlude", "blur", "blank"], typer.Option(help="What to do to them.")],
    strength: Annotated[
        float | None,
        typer.Option(help="occlude: share of the area (.25); blur: sigma as a share of the shorter side (.02)."),
    ] = None,
) -> None:
    """Occlude, blur or blank every picture of a folder; the same input gives the same output."""
    with errors_to_exit():
        from chiasm.score.robustness.perturb import perturb_folder

        typer.echo(f"perturbed: {perturb_folder(folder, out, kind, strength)} pictures in {out}")


def shuffle_options(
    questions: Annotated[Path, typer.Argument(help="SEED-Bench's questions or ScienceQA's problems.json.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The questions with shuffled options.")],
) -> None:
    """Put the options of multiple-choice questions in another order; MMBench's circular file has done so already."""
    with errors_to_exit():
        from chiasm.score.robustness.shuffle_files import shuffle_options_file

        typer.echo(f"shuffled: {shuffle_options_file(questions, out)} questions in {out}")
