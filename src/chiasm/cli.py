"""The command line: one function a command. Each parses, calls the library and prints; torch is imported inside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import __version__
from chiasm.cli_output import errors_to_exit
from chiasm.cli_score_pictures import score_app
from chiasm.errors import ChiasmError

app = typer.Typer(
    help="Build, train, examine and serve vision-language models, and see where they go blind.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(score_app, name="score")

ModelOption = Annotated[str, typer.Option("--model", "-m", help="chiasm-tiny, or a model folder.")]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def see(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of them.")],
    question: Annotated[str | None, typer.Option("--question", "-q", help="Ask this about every photo.")] = None,
    find: Annotated[list[str] | None, typer.Option("--find", "-f", help="Point at this; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a line a photo.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(help="Save the photo with its boxes drawn; a folder for many.")
    ] = None,
    model: ModelOption = "chiasm-tiny",
    batch: Annotated[int, typer.Option(min=1, help="Photos looked at together.")] = 16,
) -> None:
    """Scene, caption, answer, objects and places of photos."""
    with errors_to_exit():
        from chiasm.data.images import list_images
        from chiasm.tasks.overlay import overlay_path, save_overlay
        from chiasm.tasks.vlm import open_pipeline

        paths = list_images(photos)
        pipeline = open_pipeline(model)
        failed = 0
        for path, image, seen in pipeline.process_many(paths, question, find, batch):
            if image is None or isinstance(seen, ChiasmError):
                failed += 1
                if as_json:
                    print(json.dumps({"image": str(path), "error": str(seen)}, ensure_ascii=False))
                else:
                    typer.secho(f"chiasm: {seen}", fg="red", err=True)
                continue
            drawn = overlay_path(overlay, path, len(paths)) if overlay else None
            if drawn:
                save_overlay(image, seen, drawn)
            if as_json:
                print(json.dumps({"image": str(path), **seen.to_dict()}, ensure_ascii=False))
            else:
                _print_seen(path, seen, question, drawn)
        if failed:
            raise typer.Exit(1)


def _print_seen(path: Path, seen: Any, question: str | None, drawn: Path | None) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    if seen.scene:
        table.add_row("scene", Text(seen.scene.text))
    if seen.caption:
        table.add_row("caption", Text(seen.caption.text))
    if question and seen.answer:
        table.add_row("question", Text(question))
        table.add_row("answer", Text(seen.answer.text, style="bold green"))
    if seen.detection:
        table.add_row("objects", Text("\n".join(_object_line(o) for o in seen.detection.objects) or "none"))
    for phrase, found in seen.grounded.items():
        lines = "\n".join(_object_line(o) for o in found.objects)
        table.add_row("find", Text(lines or f"{phrase}: not found"))
    if drawn:
        table.add_row("overlay", Text(str(drawn)))
    if seen.notice:
        table.add_row(Text("notice", style="bold yellow"), Text(seen.notice, style="yellow"))
    Console().print(Panel(table, title=Text(str(path)), title_align="left"))


def _object_line(thing: Any) -> str:
    corners = ", ".join(f"{v:.0f}" for v in thing.box.as_tuple()) if thing.box else "no box"
    score = f"  {thing.score:.2f}" if thing.score is not None else ""
    return f"{thing.name}  [{corners}]{score}"


@app.command()
def examine(
    model: Annotated[str, typer.Argument(help="chiasm-tiny, or a model folder.")],
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
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of `chiasm examine`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """One self-contained page from one or more run folders."""
    with errors_to_exit():
        from chiasm.report.html import write_report

        typer.echo(f"report: {write_report(runs, out, **({'title': title} if title else {}))}")


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


@app.command()
def doctor(
    predictions: Annotated[Path, typer.Argument(help="A file of predictions, JSON or JSON lines.")],
    id_key: Annotated[str | None, typer.Option(help="Where a record keeps its id, if not under a usual name.")] = None,
    answer_key: Annotated[str | None, typer.Option(help="Where it keeps the answer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List every problem of a file of predictions at once, without scoring. Exits with 1 if there is one."""
    with errors_to_exit():
        from dataclasses import asdict

        from chiasm.score.doctor import check_predictions

        found = check_predictions(predictions, None, id_key, answer_key)
        if as_json:
            print(json.dumps(asdict(found), ensure_ascii=False))
        else:
            for problem in found.problems:
                typer.echo(f"{problem.kind}: {problem.message}")
            typer.echo(f"{found.path}: {found.records} records, {len(found.problems)} problems")
    if found.problems:
        raise typer.Exit(1)


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
