"""From an annotated picture to prompts and the answers wanted."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from chiasm.data.box_text import LocCodec
from chiasm.errors import DataError
from chiasm.types import Example, Object

Pair = tuple[str, str]


def fold(prompt: str) -> str:
    """A prompt as models are asked it: lower case, single spaces, no closing punctuation, so that it does not matter
    how somebody types."""
    return " ".join(prompt.lower().split()).rstrip(" ?.!:")


class Instructions:
    """(prompt, answer) pairs for training: all objects with their boxes, and a random choice of the questions, the
    referring expressions, the scene and a caption, `per_image` pairs in all where the picture has as many.

    `prompts` is a model's dialect; a task without a prompt is left out. Boxes are written with `bins` location tokens.
    The choice is a pure function of (seed, example id, draw). With `each_kind` one random pair of each
    kind goes before all others, so that a kind of which there are few is not drowned by those of which there are many.
    """

    def __init__(
        self, prompts: Mapping[str, str], bins: int, per_image: int = 12, seed: int = 0, each_kind: bool = False
    ):
        self.prompts, self.per_image, self.seed, self.each_kind = prompts, per_image, seed, each_kind
        self.codec = LocCodec(bins) if bins else None

    def __call__(self, example: Example, size: tuple[int, int], draw: int = 0) -> list[Pair]:
        """`size` is (width, height) of the picture. Raises DataError where the example has nothing to ask."""
        rng = random.Random(f"{self.seed}/{example.id}/{draw}")
        always: list[Pair] = []
        if example.objects is not None and "detect" in self.prompts:
            always.append((self.prompts["detect"], self.boxes(example.objects, size)))
        kinds = [q.kind for q in example.questions]
        chosen = [(q.text, rng.choice(q.answers)) for q in example.questions]
        if example.scene is not None and "scene" in self.prompts:
            chosen.append((self.prompts["scene"], example.scene))
            kinds.append("scene")
        if example.captions and "caption" in self.prompts:
            chosen.append((self.prompts["caption"], rng.choice(example.captions)))
            kinds.append("caption")
        if "ground" in self.prompts:
            chosen += [
                (self.prompts["ground"].format(phrase=r.text), self.boxes([Object("", b) for b in r.boxes], size))
                for r in example.references
            ]
            kinds += ["ground"] * len(example.references)
        if self.each_kind:
            chosen = _each_kind_first(chosen, kinds, rng)
        else:
            rng.shuffle(chosen)
        pairs = always + chosen[: self.per_image - len(always)]
        if not pairs:
            raise DataError(f"{example.id}: nothing to ask; it needs questions, captions, objects or a scene")
        return [(fold(prompt), answer) for prompt, answer in pairs]

    def boxes(self, objects: tuple[Object, ...] | list[Object], size: tuple[int, int]) -> str:
        """Objects as text, from left to right, so that there is one right order."""
        if self.codec is None:
            raise DataError("this model has no <loc_k> tokens, so it can't learn boxes")
        placed = [(o.name or None, o.box) for o in objects if o.box is not None and not o.crowd]
        placed.sort(key=lambda item: (item[1].as_tuple(), item[0] or ""))
        return self.codec.encode(placed, size)


def _each_kind_first(pairs: list[Pair], kinds: Sequence[str], rng: random.Random) -> list[Pair]:
    """The pairs in random order, but one of each kind before a second of any."""
    places = rng.sample(range(len(pairs)), len(pairs))
    firsts = set({kinds[place]: place for place in places}.values())
    return [pairs[place] for place in sorted(places, key=lambda place: place not in firsts)]
