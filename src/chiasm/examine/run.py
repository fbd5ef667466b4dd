"""Run a pipeline over a dataset into a run folder."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import PIL
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import chiasm
from chiasm.data.images import open_image
from chiasm.errors import ImageError, RunError
from chiasm.examine.errors import NO_PICTURE
from chiasm.examine.rows import Picture, Scorer
from chiasm.examine.run_folder import IMAGES, Row, RunFolder, read_rows
from chiasm.examine.summary import summarise
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.names import Names
from chiasm.tasks.see import Detector, Language, SceneClassifier
from chiasm.types import Answer, Dataset, Detection, Example, as_path

SEED = 0
T = TypeVar("T")


class Examinee(Protocol):
    """What is examined: any of the three roles, a name, and a JSON description (weights, prompts, decoding)."""

    @property
    def name(self) -> str: ...
    @property
    def scene(self) -> SceneClassifier | None: ...
    @property
    def language(self) -> Language | None: ...
    @property
    def detector(self) -> Detector | None: ...
    @property
    def warn(self) -> Callable[[Sequence[Image.Image]], list[str | None]] | None: ...
    def describe(self) -> Mapping[str, Any]: ...


def examine(
    pipeline: Examinee,
    dataset: Dataset,
    folder: str | Path,
    *,
    limit: int | None = None,
    batch: int = 16,
    substring: bool = False,
    synonyms: Sequence[Sequence[str]] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Ask the pipeline everything that its roles and the annotations allow, score it, and return the summary.

    Every picture gets a row each for scene, caption and detections, scored where the example is annotated, and a row
    for every question and every referring expression. The same call after a kill goes on where it stopped and ends with
    the same rows as without interruption; after the end it changes nothing.

    `limit` takes the first examples only, `batch` is the number of pictures a call to a role, `substring` adds the
    lenient answer dialect, `synonyms` are groups of object names that mean the same.

    Raises RunError if `folder` holds a run of another model, dataset or setting, or a role returns the wrong number of
    outputs; what the dataset raises for a damaged item passes through. A picture that can't be opened costs its points
    and is counted.
    """
    folder = Path(folder)
    if batch < 1 or (limit is not None and limit < 1):
        raise RunError(f"batch and limit must be at least 1, got batch={batch}, limit={limit}")
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if pipeline.scene is None and pipeline.language is None and pipeline.detector is None:
        raise RunError(
            f"pipeline {pipeline.name} fills no role; give it a scene classifier, a language model or a detector"
        )
    if count == 0:
        raise RunError(f"dataset {dataset.name} is empty, there is nothing to examine")
    run = RunFolder(folder, _manifest(pipeline, dataset, limit, batch, substring, synonyms))
    first = run.resume(batch, count)
    if first < count:
        names = Names(dataset.object_names, synonyms)
        scorer = Scorer(names, ObjectPriors.of_dataset(dataset, names, count), substring)
        with _progress_bar(progress) as bar:
            task = bar.add_task(f"{pipeline.name} on {dataset.name}", total=count, completed=first)
            for start in range(first, count, batch):
                pictures = [_open(dataset[i], i, folder) for i in range(start, min(start + batch, count))]
                run.append(_examine_batch(pipeline, _warned(pipeline, pictures), scorer))
                bar.advance(task, len(pictures))
    summary = summarise(read_rows(folder), seed=SEED)
    run.write_summary(summary)
    return summary


def _examine_batch(pipeline: Examinee, pictures: Sequence[Picture], scorer: Scorer) -> list[Row]:
    """The rows of a few pictures, picture by picture, each in the order scene, caption, answers, objects, places."""
    rows: list[list[Row]] = [[] for _ in pictures]
    if pipeline.scene is not None:
        scenes = _ask(pipeline.scene.classify, pictures, _no_answer)
        for mine, picture, scene in zip(rows, pictures, scenes, strict=True):
            mine.append(scorer.scene(picture, scene))
    if pipeline.language is not None:
        captions = _ask(pipeline.language.caption, pictures, _no_answer)
        for mine, picture, caption in zip(rows, pictures, captions, strict=bool(captions)):
            mine.append(scorer.caption(picture, caption))
        questions = [[question.text for question in picture.example.questions] for picture in pictures]
        answers = _ask_each(pipeline.language.answer, pictures, questions, _no_answer)
        for mine, picture, several in zip(rows, pictures, answers, strict=True):
            mine += map(scorer.answer, repeat(picture), several, picture.example.questions)
    if pipeline.detector is not None:
        found = _ask(pipeline.detector.detect, pictures, _no_detection)
        phrases = [[reference.text for reference in picture.example.references] for picture in pictures]
        places = _ask_each(pipeline.detector.ground, pictures, phrases, _no_detection)
        for mine, picture, objects, several_places in zip(rows, pictures, found, places, strict=True):
            mine.append(scorer.detection(picture, objects))
            mine += map(scorer.grounding, repeat(picture), several_places, picture.example.references)
    return [row for mine in rows for row in mine]


def _warned(pipeline: Examinee, pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures with the model's notices on those that are strange to it."""
    if pipeline.warn is None:
        return list(pictures)
    notices = _ask(pipeline.warn, pictures, lambda picture: None)
    return [replace(picture, notice=notice) for picture, notice in zip(pictures, notices, strict=True)]


def _ask(
    call: Callable[..., list[T] | None], pictures: Sequence[Picture], no_picture: Callable[[Picture], T]
) -> list[T]:
    """One output a picture, or none at all if the role says with None that it does not do this.

    A picture that could not be opened is not shown to the role.
    """
    opened = [picture.image for picture in pictures if picture.image is not None]
    outputs = call(opened) if opened else []
    if outputs is None:
        return []
    said = iter(_checked(call, len(opened), outputs))
    return [next(said) if picture.image is not None else no_picture(picture) for picture in pictures]


def _ask_each(
    call: Callable[..., list[list[T]]],
    pictures: Sequence[Picture],
    prompts: Sequence[Sequence[str]],
    no_picture: Callable[[Picture], T],
) -> list[list[T]]:
    """One output for each prompt about each picture; only pictures with prompts are shown to the role."""
    asked = [i for i, picture in enumerate(pictures) if picture.image is not None and prompts[i]]
    answers = [[no_picture(picture) for _ in texts] for picture, texts in zip(pictures, prompts, strict=True)]
    if asked:
        outputs = call([pictures[i].image for i in asked], [prompts[i] for i in asked])
        for i, several in zip(asked, _checked(call, len(asked), outputs), strict=True):
            answers[i] = _checked(call, len(prompts[i]), several)
    return answers


def _checked(call: Callable[..., Any], expected: int, outputs: list[T]) -> list[T]:
    if len(outputs) != expected:
        name = getattr(call, "__qualname__", repr(call))
        raise RunError(
            f"{name} returned {len(outputs)} outputs for {expected} inputs; a role must answer each input once"
        )
    return outputs


def _no_answer(picture: Picture) -> Answer:
    """What stands for an answer about a picture that could not be opened; counted as unparsed."""
    return Answer("", rule=NO_PICTURE, problem=picture.problem)


def _no_detection(picture: Picture) -> Detection:
    return Detection((), rule=NO_PICTURE, problem=picture.problem)


def _open(example: Example, index: int, folder: Path) -> Picture:
    """Open the example's picture; one that is not a file is kept in the run folder, so that reports can show it."""
    path = as_path(example.image)
    where = str(path.resolve()) if path is not None else f"{IMAGES}/{index:06d}.png"
    try:
        image = open_image(example.image, name=example.id)
    except ImageError as error:
        return Picture(index, example, where, None, str(error))
    if path is None:
        kept = folder / where
        kept.parent.mkdir(exist_ok=True)
        image.save(kept, compress_level=1)
    return Picture(index, example, where, image)


def _manifest(
    pipeline: Examinee,
    dataset: Dataset,
    limit: int | None,
    batch: int,
    substring: bool,
    synonyms: Sequence[Sequence[str]],
) -> dict[str, Any]:
    return {
        "format": 1,
        "chiasm": chiasm.__version__,
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint(), "examples": len(dataset)},
        "model": {"name": pipeline.name, **pipeline.describe()},
        "scoring": {"substring": substring, "synonyms": [list(group) for group in synonyms]},
        "limit": limit,
        "seed": SEED,
        "batch": batch,
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "pillow": PIL.__version__},
    }


def _progress_bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("pictures"))
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), disable=not show
    )
