"""Which objects a picture shows and where: everything about it except the pixels.

Positions are fractions of the picture's side, and what hides what is judged at one reference size, so that the same
seed gives the same picture at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from chiasm.data.worlds.places import HORIZON, lower_edge_range, object_priors
from chiasm.data.worlds.sprites import Sprite, shape_of, sprite
from chiasm.data.worlds.vocabulary import COLORS, HELD_OUT, LONGEST_MEDIUM_WORD, SCENE_NAMES, SIZES, WORDS

REFERENCE_SIZE = 96
"""Pixels of a side at which visibility is judged."""

LEAST_VISIBLE = 0.5
"""Every object shows at least this share of its silhouette, and of the part that has its colour."""

LEAST_EXTENT = 6
"""Every object's visible part is at least this wide and high, in pixels at the reference size."""

_COUNT_WEIGHTS = (13, 20, 23, 20, 14, 10)
_SIZE_WEIGHTS = (35, 37, 28)
_SIGN_SIZE_WEIGHTS = (16, 40, 44)
_MOST_OF_A_KIND = 5
_GROUP_CHANCE = 0.32
_REPEAT_CHANCE = 0.14
_SAME_COLOR_CHANCE = 0.4
_TRIES = 14
_EDGE = 0.01


@dataclass(frozen=True, slots=True)
class Thing:
    """An object to be drawn: its middle at `x`, its lower edge at `bottom`, its longer side `extent`."""

    name: str
    color: str
    size: str
    word: str
    flipped: bool
    extent: float
    x: float
    bottom: float

    def placed(self, side: int) -> tuple[Sprite, slice, slice]:
        """Its drawing in a picture of `side` pixels, and the rows and columns that it fills."""
        drawing = sprite(self.name, round(self.extent * side), flipped=self.flipped, word=self.word)
        height, width = drawing.mask.shape
        left = min(max(round(self.x * side - width / 2), 0), side - width)
        top = min(max(round(self.bottom * side) - height, 0), side - height)
        return drawing, slice(top, top + height), slice(left, left + width)


@dataclass(frozen=True, slots=True)
class Layout:
    """A place and the things in it, nearest first."""

    scene: str
    horizon: float
    things: tuple[Thing, ...]


def ownership(things: Sequence[Thing], side: int) -> np.ndarray:
    """Which thing each pixel shows: int8 (side, side), the index into `things` (nearest first), -1 for background."""
    owner = np.full((side, side), -1, np.int8)
    for index in range(len(things) - 1, -1, -1):
        drawing, rows, columns = things[index].placed(side)
        owner[rows, columns][drawing.mask] = index
    return owner


def compose(rng: Random, *, compositional: bool) -> Layout:
    """Draw a layout. A compositional one shows at least one (class, colour) pair that other pictures never show."""
    scene = rng.choice(SCENE_NAMES)
    horizon = rng.uniform(*HORIZON[scene])
    priors = object_priors(scene)
    names, weights = list(priors), list(priors.values())

    count = rng.choices(range(1, 7), _COUNT_WEIGHTS)[0]
    group = rng.choices((2, 3, 4, 5), (30, 30, 22, 18))[0] if rng.random() < _GROUP_CHANCE else 1
    chosen: list[tuple[str, str]] = []
    for position in range(max(count, group)):
        repeats = 0 < position < group or (0 < position < _MOST_OF_A_KIND and rng.random() < _REPEAT_CHANCE)
        name, color = chosen[0] if repeats else (rng.choices(names, weights)[0], "")
        if not repeats or rng.random() >= _SAME_COLOR_CHANCE:
            color = rng.choice([c for c in COLORS if compositional or c != HELD_OUT[name]])
        if compositional and position == 0:
            color = HELD_OUT[name]
        chosen.append((name, color))

    things: list[Thing] = []
    for name, color in chosen:
        for _ in range(_TRIES):
            candidate = _anywhere(rng, scene, horizon, name, color)
            extended = sorted([*things, candidate], key=lambda thing: -thing.bottom)
            if _all_visible(extended, candidate):
                things = extended
                break
    return Layout(scene, horizon, tuple(things))


def _anywhere(rng: Random, scene: str, horizon: float, name: str, color: str) -> Thing:
    size = rng.choices(tuple(SIZES), _SIGN_SIZE_WEIGHTS if name == "sign" else _SIZE_WEIGHTS)[0]
    word = ""
    if name == "sign" and size == "large":
        word = rng.choice(WORDS)
    elif name == "sign" and size == "medium":
        word = rng.choice([w for w in WORDS if len(w) <= LONGEST_MEDIUM_WORD])
    extent = rng.uniform(*SIZES[size])
    width, height = shape_of(name, extent)
    low, high = lower_edge_range(scene, name, horizon)
    x = rng.uniform(width / 2 + _EDGE, 1 - width / 2 - _EDGE)
    bottom = min(max(rng.uniform(low, high), height + _EDGE), 1 - _EDGE)
    flipped = rng.random() < 0.5 and name != "sign"
    return Thing(name, color, size, word, flipped, extent, x, bottom)


def _all_visible(things: Sequence[Thing], newcomer: Thing) -> bool:
    """Whether every thing can be told from the others once `newcomer` is among them."""
    _, rows, columns = newcomer.placed(REFERENCE_SIZE)
    touched = False
    for thing in things:
        if thing is newcomer:
            continue
        _, other_rows, other_columns = thing.placed(REFERENCE_SIZE)
        apart = (
            other_rows.stop <= rows.start
            or rows.stop <= other_rows.start
            or other_columns.stop <= columns.start
            or columns.stop <= other_columns.start
        )
        # Two of a kind that overlap can't be counted at a glance.
        if not apart and thing.name == newcomer.name:
            return False
        touched |= not apart
    if not touched:
        return True
    owner = ownership(things, REFERENCE_SIZE)
    return all(_recognisable(thing, owner, index) for index, thing in enumerate(things))


def _recognisable(thing: Thing, owner: np.ndarray, index: int) -> bool:
    drawing, rows, columns = thing.placed(REFERENCE_SIZE)
    visible = owner[rows, columns] == index
    seen, silhouette = np.count_nonzero(visible), np.count_nonzero(drawing.mask)
    if thing.word:
        return seen == silhouette
    if seen == silhouette:
        return True
    seen_body, body = np.count_nonzero(visible & drawing.body), np.count_nonzero(drawing.body)
    if seen < LEAST_VISIBLE * silhouette or seen_body < LEAST_VISIBLE * body:
        return False
    filled_rows, filled_columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return bool(np.ptp(filled_rows) + 1 >= LEAST_EXTENT and np.ptp(filled_columns) + 1 >= LEAST_EXTENT)
