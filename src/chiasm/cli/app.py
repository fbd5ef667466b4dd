"""The command line: one function a command. Each parses, calls the library and prints; torch is imported inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm import __version__
from chiasm.cli.compare import compare_app
from chiasm.cli.diagnose import diagnose_app
from chiasm.cli.doctor import doctor_app
from chiasm.cli.errors import errors
from chiasm.cli.output import errors_to_exit
from chiasm.cli.perturb import perturb, shuffle_options
from chiasm.cli.probe import probe_app
from chiasm.cli.quick_help import QUICK_HELP
from chiasm.cli.report import report_app
from chiasm.cli.score import score_app
from chiasm.cli.see import see

app = typer.Typer(
    help="Build, train and examine vision-language models, and see where they go blind.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=QUICK_HELP,
)
data_app = typer.Typer(help="Look at datasets.", no_args_is_help=True, context_settings=QUICK_HELP)
app.add_typer(data_app, name="data")
data_app.command()(perturb)
data_app.command()(shuffle_options)
app.add_typer(score_app, name="score")
app.command()(see)
app.add_typer(compare_app)
app.add_typer(diagnose_app)
app.command()(errors)
app.add_typer(doctor_app)
app.add_typer(report_app)
app.add_typer(probe_app, name="probe")


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def examine(
    model: Annotated[str, typer.Argument(help="chiasm-tiny, a model folder, a hub name, or openai:URL#MODEL.")],
    dataset: Annotated[str, typer.Argument(help='For example "scenes:test" or "coco:FOLDER?split=val2017".')],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an unfinished one is gone on with.")],
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first N pictures.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures looked at together.")] = 16,
    pictures: Annotated[
        str, typer.Option(help="intact, blank (grey instead) or shuffled (another picture of the set): a control.")
    ] = "intact",
) -> None:
    """Run a model over a dataset, score it with intervals and sort its errors."""
    with errors_to_exit():
        from chiasm.data.controls import with_pictures
        from chiasm.data.open import open_dataset
        from chiasm.examine.run import examine as run_examination
        from chiasm.report.html import write_report
        from chiasm.tasks.vlm import open_pipeline

        data = with_pictures(open_dataset(dataset), pictures)
        run_examination(open_pipeline(model), data, out, limit=limit, batch=batch)
        report_path = write_report([out], out / "report.html")
        typer.echo(f"report: {report_path}")


@app.command()
def card(
    training: Annotated[Path, typer.Argument(help="Folder of a finished `chiasm train`.")],
    runs: Annotated[list[Path], typer.Argument(help="Run folders that examined its model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The Markdown file to write.")] = Path("README.md"),
    limits: Annotated[Path | None, typer.Option(help="A text file on what the model cannot do.")] = None,
    machine: Annotated[str, typer.Option(help="What it was trained on; the number of cores if nothing is said.")] = "",
) -> None:
    """A model card: how a model was made and how well it does."""
    with errors_to_exit():
        from chiasm.report.card import model_card

        out.write_text(model_card(training, runs, limits.read_text("utf-8") if limits else "", machine), "utf-8")
        typer.echo(f"card: {out}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, e.g. chiasm-tiny.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Training folder; an unfinished one is gone on with.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Changes, e.g. tune.steps=100 seed=1.")] = None,
) -> None:
    """Follow a recipe from random weights to a checkpoint. Under torchrun, several processes share the work."""
    with errors_to_exit():
        from chiasm.data.suggest import did_you_mean
        from chiasm.errors import ConfigError
        from chiasm.training.recipe import override
        from chiasm.training.recipe import train as follow
        from chiasm.training.recipes import RECIPES

        if recipe not in RECIPES:
            raise ConfigError(f"unknown recipe {recipe!r}{did_you_mean(recipe, RECIPES)}")
        finished = follow(override(RECIPES[recipe](), settings or []), out)
        if os.environ.get("RANK", "0") == "0":  # torchrun starts this once a process
            typer.echo(f"checkpoint: {finished}")


@data_app.command()
def preview(
    dataset: Annotated[str, typer.Argument(help='For example "scenes" or "daquar:FOLDER".')],
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("preview.png"),
    count: Annotated[int, typer.Option("--count", "-n", min=1)] = 12,
    start: Annotated[int, typer.Option(min=0, help="Index of the first picture.")] = 0,
) -> None:
    """A contact sheet of examples with their truth drawn in."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.data.preview import contact_sheet

        examples = open_dataset(dataset)
        stop = min(start + count, len(examples))
        sheet = contact_sheet(examples, range(start, stop))
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(out)
        typer.echo(f"preview: {out}")


if __name__ == "__main__":
    sys.exit(app())
