"""Small annotated pictures and roles that know the truth, or plant one kind of error in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from chiasm.types import Answer, Box, Detection, Example, Object, Question, Reference

NAMES = ("cat", "dog", "cup", "tv")
SCENES = ("kitchen", "beach")
SIZE = (80, 60)


class Pictures:
    """`count` pictures; the first pixel encodes the index, so that a role that sees only pixels can know the truth."""

    name = "pictures"
    object_names: tuple[str, ...] | None = NAMES
    scene_names: tuple[str, ...] | None = SCENES

    def __init__(self, count: int = 12, version: str = "1", changed: dict[int, dict[str, Any]] | None = None) -> None:
        self.count, self.version, self.changed = count, version, changed or {}

    def __len__(self) -> int:
        return self.count

    def fingerprint(self) -> str:
        return f"{self.count}-{self.version}"

    def __getitem__(self, index: int) -> Example:
        rng = np.random.default_rng(index)
        objects = []
        for slot in range(int(rng.integers(1, 4))):
            side = float(rng.integers(8, 20))
            left, top = 2 + 26 * slot, float(rng.integers(2, 36))
            objects.append(Object(NAMES[(index + slot) % 3], Box(left, top, left + side, top + side)))
        present = {item.name for item in objects}
        absent = next(name for name in NAMES if name not in present)
        example = Example(
            id=f"p{index}",
            image=_pixels(index),
            scene=SCENES[index % 2],
            objects=tuple(objects),
            captions=(" and ".join(f"a {item.name}" for item in objects),),
            questions=(
                Question("there", f"Is there a {objects[0].name}?", ("yes",), "existence", "random"),
                Question("absent", f"Is there a {absent}?", ("no",), "existence", "random"),
                Question("count", "How many things are there?", (str(len(objects)),), "count"),
                Question("people", "What is it?", (objects[0].name,) * 10, "what"),
            ),
            references=(
                Reference("one", f"the {objects[0].name}", (_box(objects[0]),)),
                Reference("all", "all things", tuple(_box(item) for item in objects)),
                Reference("none", f"the {absent}", ()),
            ),
        )
        return replace(example, **self.changed.get(index, {}))


def _box(item: Object) -> Box:
    assert item.box is not None
    return item.box


def _pixels(index: int) -> np.ndarray:
    pixels = np.full((SIZE[1], SIZE[0], 3), 200, dtype=np.uint8)
    pixels[0, 0] = (index // 256, index % 256, 7)
    return pixels


@dataclass
class Oracle:
    """Fills every role with the truth. Subclasses override what they get wrong."""

    dataset: Pictures
    name: str = "oracle"
    calls: list[str] = field(default_factory=list)
    warn: Any = None

    @property
    def scene(self) -> Any:
        return self

    @property
    def language(self) -> Any:
        return self

    @property
    def detector(self) -> Any:
        return self

    def describe(self) -> dict[str, Any]:
        return {"weights": self.name, "prompts": {"caption": "Describe."}, "decoding": "greedy"}

    def example(self, image: Image.Image) -> Example:
        high, low, _ = image.getpixel((0, 0))  # type: ignore[misc]
        return self.dataset[high * 256 + low]

    def classify(self, images: Sequence[Image.Image]) -> list[Answer]:
        self.calls.append(f"classify {len(images)}")
        return [self.scene_of(self.example(image)) for image in images]

    def caption(self, images: Sequence[Image.Image]) -> list[Answer]:
        return [self.caption_of(self.example(image)) for image in images]

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        return [
            [self.answer_of(self.example(image), next(q for q in self.example(image).questions if q.text == text))
             for text in texts]
            for image, texts in zip(images, questions, strict=True)
        ]  # fmt: skip

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        return [self.objects_of(self.example(image)) for image in images]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        return [
            [self.places_of(next(r for r in self.example(image).references if r.text == text)) for text in texts]
            for image, texts in zip(images, phrases, strict=True)
        ]

    def scene_of(self, example: Example) -> Answer:
        return Answer(example.scene or "")

    def caption_of(self, example: Example) -> Answer:
        return Answer(f"There is {example.captions[0]}." if example.captions else "Something.")

    def answer_of(self, example: Example, question: Question) -> Answer:
        return Answer(question.answers[0])

    def objects_of(self, example: Example) -> Detection:
        return Detection(tuple(replace(item, score=0.9) for item in example.objects or ()))

    def places_of(self, reference: Reference) -> Detection:
        return Detection(tuple(Object(reference.text, box) for box in reference.boxes))


class Hallucinates(Oracle):
    def caption_of(self, example: Example) -> Answer:
        return Answer(super().caption_of(example).text + " And two TVs.")

    def answer_of(self, example: Example, question: Question) -> Answer:
        return Answer("yes") if question.kind == "existence" else super().answer_of(example, question)

    def objects_of(self, example: Example) -> Detection:
        objects = super().objects_of(example).objects
        return Detection((*objects, Object("tv", Box(60, 40, 79, 59)), objects[0]))

    def places_of(self, reference: Reference) -> Detection:
        return Detection((*super().places_of(reference).objects, Object("x", Box(60, 40, 79, 59))))


class Misses(Oracle):
    def caption_of(self, example: Example) -> Answer:
        return Answer("A picture.")

    def answer_of(self, example: Example, question: Question) -> Answer:
        return Answer("no") if question.kind == "existence" else super().answer_of(example, question)

    def objects_of(self, example: Example) -> Detection:
        return Detection(super().objects_of(example).objects[1:])

    def places_of(self, reference: Reference) -> Detection:
        return Detection(super().places_of(reference).objects[1:])


class Misplaces(Oracle):
    def objects_of(self, example: Example) -> Detection:
        return Detection(tuple(replace(item, box=_moved(_box(item))) for item in example.objects or ()))

    def places_of(self, reference: Reference) -> Detection:
        return Detection(tuple(Object("x", _moved(box)) for box in reference.boxes))


def _moved(box: Box) -> Box:
    return Box(box.x1, box.y1 + 0.8 * box.height, box.x2, box.y2 + 0.8 * box.height)


class AnswersWrongly(Oracle):
    def answer_of(self, example: Example, question: Question) -> Answer:
        return Answer({"count": "17", "what": "a zebra"}.get(question.kind, question.answers[0]))


class MistakesScenes(Oracle):
    def scene_of(self, example: Example) -> Answer:
        return Answer("beach")


class Mumbles(Oracle):
    def scene_of(self, example: Example) -> Answer:
        return Answer("", raw="???", problem="not a scene")

    def caption_of(self, example: Example) -> Answer:
        return Answer("", raw="???", problem="no caption")

    def answer_of(self, example: Example, question: Question) -> Answer:
        return Answer("I can't tell") if question.kind == "existence" else Answer("", raw="?", problem="no answer")

    def objects_of(self, example: Example) -> Detection:
        return Detection((), raw="<loc_1>", problem="box has 1 of 4 coordinates")

    places_of = objects_of  # type: ignore[assignment]


class DoesEverythingWrong(Oracle):
    """A different one of the above for each picture."""

    def __getattribute__(self, name: str) -> Any:
        if name not in ("scene_of", "caption_of", "answer_of", "objects_of", "places_of"):
            return super().__getattribute__(name)

        def call(about: Any, *rest: Any) -> Any:
            kinds = (Hallucinates, Misses, Misplaces, AnswersWrongly, MistakesScenes, Mumbles, Oracle)
            chosen = kinds[sum(map(ord, repr(about.id) + str(about)[-40:])) % len(kinds)]
            return getattr(chosen, name)(chosen(self.dataset), about, *rest)

        return call
