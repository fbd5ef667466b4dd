"""Scenes: pictures of nine kinds of places with everyday objects, drawn by code, with exact truth.

A picture, its annotations and their wording are a pure function of (seed, split, index). The same index shows the same
view at any size.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Literal

import numpy as np

from chiasm.data.worlds.backgrounds import paint_background
from chiasm.data.worlds.captions import captions
from chiasm.data.worlds.facts import Facts, gather, visible_box
from chiasm.data.worlds.layout import Layout, compose, ownership
from chiasm.data.worlds.questions import questions
from chiasm.data.worlds.references import references
from chiasm.data.worlds.vocabulary import COLORS, HELD_OUT, OBJECT_NAMES, SCENE_NAMES, SIZES, WORDS
from chiasm.errors import ConfigError
from chiasm.types import Example, Object, Question, Reference

Split = Literal["train", "val", "test", "compositional"]

_LENGTHS: dict[str, int] = {"train": 1_000_000, "val": 2_000, "test": 2_000, "compositional": 2_000}
_SMALLEST_SIZE = 32
_FINGERPRINTED = 3


class Scenes:
    """A `chiasm.types.Dataset` of drawn pictures.

    Args:
        split: "train", "val" and "test" are independent draws from one world. In "compositional" every picture shows at
            least one (class, colour) pair that the others never show (`HELD_OUT`).
        seed: another seed gives another set of pictures from the same world.
        size: side of the square pictures in pixels, at least 32.
        count: number of examples; default 1,000,000 for "train" and 2,000 for the others.

    Raises:
        ConfigError: for an unknown split, a size below 32 or a negative count.
    """

    object_names: tuple[str, ...] | None = OBJECT_NAMES
    scene_names: tuple[str, ...] | None = SCENE_NAMES

    def __init__(self, split: str = "train", *, seed: int = 0, size: int = 96, count: int | None = None) -> None:
        if split not in _LENGTHS:
            raise ConfigError(f"scenes has no split {split!r}; choose one of {', '.join(_LENGTHS)}")
        if size < _SMALLEST_SIZE:
            raise ConfigError(f"scenes of {size} pixels would not show small objects; use size >= {_SMALLEST_SIZE}")
        if count is not None and count < 0:
            raise ConfigError(f"scenes can't have {count} examples; use count >= 0 or leave it out")
        self.split = split
        self.seed = seed
        self.size = size
        self.name = f"scenes:{split}"
        self._count = _LENGTHS[split] if count is None else count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Example:
        """The example at `index`; its image is uint8 (size, size, 3).

        Raises:
            IndexError: outside ``-len(self) <= index < len(self)``.
        """
        if not -self._count <= index < self._count:
            raise IndexError(f"{self.name} has {self._count} examples, there is none at {index}")
        return self._example(index % self._count)

    def layout(self, index: int) -> Layout:
        """What example `index` shows and where, before it is drawn."""
        return compose(self._stream(index, "layout"), compositional=self.split == "compositional")

    def fingerprint(self) -> str:
        """A hash of the settings and of the first examples, pixels and words: it also changes when drawing does."""
        digest = hashlib.sha256(f"{self.name}/{self.seed}/{self.size}/{self._count}".encode())
        for index in range(min(_FINGERPRINTED, self._count)):
            example = self._example(index)
            digest.update(np.asarray(example.image).tobytes())
            digest.update(repr((example.objects, example.captions, example.questions, example.references)).encode())
        return digest.hexdigest()

    def _stream(self, index: int, purpose: str) -> Random:
        # Seeding by text hashes all of it, so no two streams are shifted copies of each other.
        return Random(f"scenes/{self.seed}/{self.split}/{index}/{purpose}")

    def _example(self, index: int) -> Example:
        layout = self.layout(index)
        facts = gather(layout)
        words = self._stream(index, "words")
        background = f"scenes/{self.seed}/{self.split}/{index}/background"
        image, masks = render(layout, background, self.size)
        boxes = [visible_box(mask) for mask in masks]
        identity = f"scenes/{self.split}/{index:07d}"
        objects = []
        for depth, (thing, mask, box) in enumerate(zip(layout.things, masks, boxes, strict=True)):
            attributes = {"color": thing.color, "size": thing.size}
            if thing.word:
                attributes["text"] = thing.word
            objects.append(Object(thing.name, box, attributes=attributes, depth=depth, mask=mask))
        return Example(
            id=identity,
            image=image,
            scene=layout.scene,
            objects=tuple(objects),
            relations=facts.relations,
            captions=captions(facts, words),
            questions=_numbered(identity, facts, words),
            references=tuple(
                Reference(f"{identity}/reference/{number}", text, tuple(boxes[i] for i in indices))
                for number, (text, indices) in enumerate(references(facts, words))
            ),
        )


def _numbered(identity: str, facts: Facts, words: Random) -> tuple[Question, ...]:
    numbers: dict[str, int] = {}
    asked = []
    for draft in questions(facts, words):
        number = numbers[draft.kind] = numbers.get(draft.kind, -1) + 1
        name = f"{identity}/{draft.kind}/{number}"
        answers = (draft.answer,)
        asked.append(Question(name, draft.text, answers, draft.kind, draft.variant, draft.choices, draft.about))
    return tuple(asked)


def render(layout: Layout, background_seed: str, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw a layout: uint8 (size, size, 3), and for every thing the bool (size, size) mask of its visible part."""
    canvas = paint_background(layout.scene, layout.horizon, background_seed, size)
    for thing in reversed(layout.things):
        drawing, rows, columns = thing.placed(size)
        canvas[rows, columns] = drawing.over(canvas[rows, columns], thing.color)
    owner = ownership(layout.things, size)
    masks = [owner == index for index in range(len(layout.things))]
    return np.rint(canvas).clip(0, 255).astype(np.uint8), masks


__all__ = ["COLORS", "HELD_OUT", "OBJECT_NAMES", "SCENE_NAMES", "SIZES", "WORDS", "Scenes", "render"]
