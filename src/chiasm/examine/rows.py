"""Rows of samples.jsonl: what was asked, what came back, what is true, and what it scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from chiasm.examine.errors import (
    Judgement,
    is_existence,
    judge_answer,
    judge_caption,
    judge_detection,
    judge_grounding,
    judge_scene,
)
from chiasm.examine.run_folder import Row
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.location import size_class
from chiasm.score.names import Names
from chiasm.types import Answer, Box, Detection, Example, Object, Question, Reference


@dataclass(frozen=True, slots=True)
class Picture:
    """An example with its opened picture, or the problem there was.

    `where` is the picture's file, relative to the run folder if it is kept there. `notice` is the model's own warning
    that the picture is unlike those it was trained on.
    """

    index: int
    example: Example
    where: str
    image: Image.Image | None
    problem: str | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Scorer:
    """Turns an output about a picture into a scored row; without truth the row has no statistics and no errors."""

    names: Names
    priors: ObjectPriors
    with_substring: bool = False

    def scene(self, picture: Picture, said: Answer) -> Row:
        """The row of a scene name."""
        true = picture.example.scene
        return _row(picture, "scene", "", said, said.text, true, judge_scene(said, true, self.names))

    def caption(self, picture: Picture, said: Answer) -> Row:
        """The row of a caption."""
        example = picture.example
        truth = {
            "captions": list(example.captions),
            "objects": None if example.objects is None else [item.name for item in example.objects],
        }
        judgement = judge_caption(said, example, self.names, self.priors)
        return _row(picture, "caption", "", said, said.text, truth, judgement)

    def answer(self, picture: Picture, said: Answer, question: Question) -> Row:
        """The row of an answer to a question."""
        judgement = judge_answer(said, question, self.with_substring)
        slices = {"kind": question.kind or "question"}
        if question.variant:
            slices["variant"] = question.variant
        if (there := is_existence(question)) is not None:
            slices["there"] = "yes" if there else "no"
        truth = list(question.answers)
        return _row(picture, "answer", question.text, said, said.text, truth, judgement, question.id, slices)

    def detection(self, picture: Picture, said: Detection) -> Row:
        """The row of all objects found in a picture."""
        true = picture.example.objects
        judgement = judge_detection(said, true, _size(picture), self.names, self.priors)
        truth = None if true is None else _objects(true)
        return _row(picture, "detect", "", said, _objects(said.objects), truth, judgement)

    def grounding(self, picture: Picture, said: Detection, reference: Reference) -> Row:
        """The row of the boxes for a referring expression."""
        judgement = judge_grounding(said, reference, picture.example.objects, _size(picture))
        slices = {"object_size": "none"}
        if reference.boxes and picture.image is not None:
            largest = max(reference.boxes, key=lambda box: box.area)
            slices["object_size"] = size_class(largest, picture.image.size)
        truth = [{"box": _corners(box)} for box in reference.boxes]
        parsed = _objects(said.objects)
        return _row(picture, "ground", reference.text, said, parsed, truth, judgement, reference.id, slices)


def row_id(example: str, task: str, part: str = "") -> str:
    """The id of the row of a picture's task, or of one question or referring expression, whose id is `part`."""
    part = part.removeprefix(f"{example}/")  # where datasets build the ids of parts from that of the whole
    return "/".join(filter(None, (example, task, part)))


def _row(
    picture: Picture,
    task: str,
    prompt: str,
    said: Answer | Detection,
    parsed: Any,
    truth: Any,
    judgement: Judgement,
    part: str = "",
    slices: dict[str, str] | None = None,
) -> Row:
    """`part` is the id of the question or referring expression, `slices` are the row's own keys."""
    objects = picture.example.objects
    return {
        "id": row_id(picture.example.id, task, part),
        "index": picture.index,
        "example": picture.example.id,
        "image": picture.where,
        "size": _size(picture),
        "task": task,
        "prompt": prompt,
        "raw": said.raw,
        "parsed": parsed,
        "rule": said.rule,
        "problem": said.problem,
        "notice": picture.notice,
        "logprob": said.logprob if isinstance(said, Answer) else None,
        "truth": truth,
        "right": judgement.right,
        "statistics": {name: round(value, 6) for name, value in judgement.statistics.items()},
        "errors": [asdict(error) for error in judgement.errors],
        "slices": (slices or {}) | ({} if objects is None else {"objects": _count_class(len(objects))}),
    }


def _count_class(count: int) -> str:
    """Number of objects in the picture, in classes that sort as text."""
    for most, name in ((1, "0-1"), (3, "2-3"), (6, "4-6")):
        if count <= most:
            return name
    return "7 or more"


def _size(picture: Picture) -> tuple[int, int] | None:
    return None if picture.image is None else picture.image.size


def _objects(objects: Iterable[Object]) -> list[dict[str, Any]]:
    return [
        {"name": item.name, "box": None if item.box is None else _corners(item.box)}
        | ({} if item.score is None else {"score": round(item.score, 4)})
        | ({"crowd": True} if item.crowd else {})
        for item in objects
    ]


def _corners(box: Box) -> Sequence[float]:
    """To a thousandth of a pixel."""
    return [round(value, 3) for value in box.as_tuple()]
