"""`chiasm see`: what one model, or one for each role, says of photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.errors import ChiasmError

if TYPE_CHECKING:
    from chiasm.tasks.see import Seen
    from chiasm.types import Answer, Detection, Object

_FORMS = "A model folder or a name of the Hugging Face hub"


def see(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of them.")],
    question: Annotated[str | None, typer.Option("--question", "-q", help="Ask this about every photo.")] = None,
    find: Annotated[list[str] | None, typer.Option("--find", "-f", help="Point at this; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a line a photo.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(help="Save the photo with its boxes and masks drawn; a folder for many.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="One model for every role not named below; chiasm-tiny if none is."),
    ] = None,
    scene: Annotated[str | None, typer.Option(help=f"{_FORMS}: CLIP, SigLIP, FLAVA, ...")] = None,
    scenes: Annotated[str | None, typer.Option(help='What --scene chooses from: "kitchen,office,street".')] = None,
    language: Annotated[str | None, typer.Option(help=f"{_FORMS}, or openai:http://host:port/v1#model.")] = None,
    detector: Annotated[str | None, typer.Option(help=f"{_FORMS}: OWLv2, GroundingDINO, Florence-2, ...")] = None,
    segmenter: Annotated[str | None, typer.Option(help=f"{_FORMS}: CLIPSeg or SAM.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Photos looked at together.")] = 16,
) -> None:
    """Scene, caption, answer, objects and places of photos."""
    with errors_to_exit():
        from chiasm.data.images import list_images
        from chiasm.tasks.overlay import overlay_path, save_overlay
        from chiasm.tasks.roles import open_roles

        paths = list_images(photos)
        if not (model or scene or language or detector or segmenter):
            model = "chiasm-tiny"
        pipeline = open_roles(
            model,
            scene=scene,
            language=language,
            detector=detector,
            segmenter=segmenter,
            scenes=[s.strip() for s in scenes.split(",")] if scenes is not None else None,
        )
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
                problems = {"problems": found} if (found := _problems(seen)) else {}
                print(json.dumps({"image": str(path), **seen.to_dict(), **problems}, ensure_ascii=False))
            else:
                _print_seen(path, seen, question, drawn)
        if failed:
            raise typer.Exit(1)


def _print_seen(path: Path, seen: Seen, question: str | None, drawn: Path | None) -> None:
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
    for part, problem in _problems(seen).items():
        table.add_row(Text("problem", style="bold yellow"), Text(f"{part}: {problem}", style="yellow"))
    if drawn:
        table.add_row("overlay", Text(str(drawn)))
    if seen.notice:
        table.add_row(Text("notice", style="bold yellow"), Text(seen.notice, style="yellow"))
    Console().print(Panel(table, title=Text(str(path)), title_align="left"))


def _problems(seen: Seen) -> dict[str, str]:
    """Why a part of what a model wrote could not be understood; without this it would look like nothing seen."""
    parts: dict[str, Answer | Detection | None]
    parts = {"scene": seen.scene, "caption": seen.caption, "answer": seen.answer, "objects": seen.detection}
    parts |= {f"find {phrase}": found for phrase, found in seen.grounded.items()}
    return {name: part.problem for name, part in parts.items() if part is not None and part.problem}


def _object_line(thing: Object) -> str:
    corners = ", ".join(f"{v:.0f}" for v in thing.box.as_tuple()) if thing.box else "no box"
    score = f"  {thing.score:.2f}" if thing.score is not None else ""
    return f"{thing.name}  [{corners}]{score}"
