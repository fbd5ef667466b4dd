"""What an annotated picture is made of: plain frozen dataclasses, no torch.

Coordinates are absolute pixels of the original, EXIF-upright picture, ``xyxy``, continuous: the left edge of the
first pixel is 0 and the right edge of the last one is the width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

ImageSource = Any
"""What `chiasm.data.images.open_image` accepts: path, bytes, data URI, PIL image or numpy array."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, ``x1 <= x2`` and ``y1 <= y2``.

    Raises ValueError for coordinates that are not finite or out of order: there is no such thing as an inverted box.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.x1, self.y1, self.x2, self.y2)):
            raise ValueError(f"box coordinates must be finite, got {self.as_tuple()}")
        if self.x2 < self.x1 or self.y2 < self.y1:
            raise ValueError(f"box must have x1 <= x2 and y1 <= y2, got {self.as_tuple()}")

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return ((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)


@dataclass(frozen=True, slots=True)
class Object:
    """A thing in the picture, true or predicted.

    `score` is in [0, 1], None for truth. `mask` is a bool array (height, width) of the visible part, where known.
    `depth` is 0 for the nearest. `crowd` marks a region of many instances, which is never counted as missed.
    """

    name: str
    box: Box | None = None
    score: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    depth: int | None = None
    crowd: bool = False
    mask: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """`predicate` holds from object `subject` to object `object` (indices into `Example.objects`)."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question with every accepted answer (several where several people answered).

    `kind` groups questions in the report (existence, count, colour, ...); `variant` splits a kind further
    (POPE's random, popular and adversarial negatives). `choices` is empty for an open question. `about` are indices
    into `Example.objects`: the one object that the question is about, or, where any of several alike will do, all of
    them; empty where it is about none, about more than one, or not annotated.
    """

    id: str
    text: str
    answers: tuple[str, ...]
    kind: str = ""
    variant: str = ""
    choices: tuple[str, ...] = ()
    # Not in repr, of which fingerprints of datasets are made: it is another view of the objects.
    about: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """A referring expression and the boxes it means; no box says that nothing in the picture fits."""

    id: str
    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One picture with what is known of it. None means "not annotated", an empty tuple "annotated, and there is
    none"."""

    id: str
    image: ImageSource
    scene: str | None = None
    objects: tuple[Object, ...] | None = None
    relations: tuple[Relation, ...] = ()
    captions: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's text about a picture: an answer, a caption or a scene name.

    `text` is what is shown and scored, `raw` what the model wrote, `rule` the parse rule that fired, `logprob` the mean
    log-probability per token. `problem` says why `raw` could not be parsed; such an answer counts as wrong.
    """

    text: str
    raw: str = ""
    rule: str = "as is"
    logprob: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """The objects a model reports, for a whole picture or for one name asked for. Fields as in `Answer`."""

    objects: tuple[Object, ...]
    raw: str = ""
    rule: str = "as is"
    problem: str | None = None


class Dataset(Protocol):
    """Examples by index. `name` goes into run folders; `object_names` and `scene_names` are closed lists or None."""

    name: str
    object_names: tuple[str, ...] | None
    scene_names: tuple[str, ...] | None

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    def fingerprint(self) -> str:
        """A hash that changes when the data does, cheap to compute (annotation bytes and file sizes, not pixels)."""
        ...


def as_path(source: ImageSource) -> Path | None:
    """The file behind an image source, if it is one."""
    if isinstance(source, Path):
        return source
    if isinstance(source, str) and not source.startswith("data:"):
        return Path(source)
    return None


__all__ = [
    "Answer", "Box", "Dataset", "Detection", "Example", "ImageSource", "Object", "Question", "Reference", "Relation",
    "as_path",
]  # fmt: skip
