"""What is true of a picture, with margins: the only source of everything that is said or asked about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from chiasm.data.worlds.layout import REFERENCE_SIZE, Layout, Thing, ownership
from chiasm.data.worlds.places import SCENERY
from chiasm.data.worlds.vocabulary import HELD_OUT, OBJECT_NAMES
from chiasm.types import Box, Relation

CLEARLY = 0.15
"""Two middles this far apart, in picture sides, are clearly left and right (or above and below) of each other."""

CLEARLY_NOT = 0.04
"""A middle at least this far on the other side is clearly not there."""

MOSTLY = 0.8
"""Things are asked for their size only if at least this share of them shows."""

OVERLAP_PIXELS = 12
"""Pixels at the reference size that one thing hides of another to be in front of it."""

DIRECTIONS = ("left of", "right of", "above", "below")
OPPOSITE = {
    "left of": "right of", "right of": "left of", "above": "below", "below": "above",
    "in front of": "behind", "behind": "in front of",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """A picture's truth. `middles` are (x, y) of the visible parts, fractions of the side, in the order of `things`.

    `relations` are the clear ones, `unhidden` the things that show well enough to judge their size, `absent` the
    classes that are certainly not in the picture.
    """

    scene: str
    things: tuple[Thing, ...]
    middles: tuple[tuple[float, float], ...]
    relations: tuple[Relation, ...]
    unhidden: frozenset[int]
    counts: Counter[str]
    absent: tuple[str, ...]

    def shift(self, subject: int, direction: str, other: int) -> float:
        """How far `subject` lies from `other` in `direction`, in picture sides; negative on the opposite side."""
        axis = 0 if direction in ("left of", "right of") else 1
        difference = self.middles[other][axis] - self.middles[subject][axis]
        return difference if direction in ("left of", "above") else -difference

    def matching(self, name: str, color: str = "", size: str = "") -> list[int]:
        """Indices of the things with this name and, where given, colour and size."""
        return [
            index
            for index, thing in enumerate(self.things)
            if thing.name == name and color in ("", thing.color) and size in ("", thing.size)
        ]

    def definite(self, index: int) -> str | None:
        """The shortest phrase that means this thing and no other ("the small red cup"), None if there is none."""
        thing = self.things[index]
        for color, size in (("", ""), (thing.color, ""), ("", thing.size), (thing.color, thing.size)):
            if len(self.matching(thing.name, color, size)) == 1:
                return " ".join(["the", *(word for word in (size, color, thing.name) if word)])
        return None

    @property
    def novel(self) -> frozenset[int]:
        """Things whose (class, colour) pair exists in the compositional split only."""
        return frozenset(i for i, thing in enumerate(self.things) if HELD_OUT[thing.name] == thing.color)


def gather(layout: Layout) -> Facts:
    """The truth about `layout`, the same at whatever size it is drawn."""
    things = layout.things
    owner = ownership(things, REFERENCE_SIZE)
    middles, unhidden = [], set()
    for index, thing in enumerate(things):
        visible = owner == index
        x, y = visible_box(visible).center
        middles.append((x / REFERENCE_SIZE, y / REFERENCE_SIZE))
        if np.count_nonzero(visible) >= MOSTLY * np.count_nonzero(thing.placed(REFERENCE_SIZE)[0].mask):
            unhidden.add(index)
    counts = Counter(thing.name for thing in things)
    absent = tuple(n for n in OBJECT_NAMES if n not in counts and n != SCENERY.get(layout.scene))
    facts = Facts(layout.scene, things, tuple(middles), (), frozenset(unhidden), counts, absent)
    relations = []
    for subject in range(len(things)):
        for other in range(len(things)):
            if subject == other:
                continue
            for direction in DIRECTIONS:
                if facts.shift(subject, direction, other) >= CLEARLY:
                    relations.append(Relation(subject, direction, other))
            if subject < other and _hides(subject, other, things, owner):
                relations.append(Relation(subject, "in front of", other))
                relations.append(Relation(other, "behind", subject))
    return replace(facts, relations=tuple(relations))


def _hides(nearer: int, farther: int, things: tuple[Thing, ...], owner: np.ndarray) -> bool:
    drawing, rows, columns = things[farther].placed(REFERENCE_SIZE)
    hidden = int(np.count_nonzero((owner[rows, columns] == nearer) & drawing.mask))
    return hidden >= OVERLAP_PIXELS and _touch(owner == nearer, owner == farther)


def _touch(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two masks have neighbouring pixels. What hides a thing only behind a third can't be seen to do so."""
    beside = (one[:, 1:] & other[:, :-1]) | (one[:, :-1] & other[:, 1:])
    above = (one[1:] & other[:-1]) | (one[:-1] & other[1:])
    return bool(beside.any() or above.any())


def visible_box(mask: np.ndarray) -> Box:
    """The tight box of a mask, in pixel edges."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
