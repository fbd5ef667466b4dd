"""Predicted objects against true objects: names and boxes matched one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.data.boxes import as_array, iou_matrix
from chiasm.score.location import ON_OBJECT, share_inside
from chiasm.score.matching import assign
from chiasm.score.names import Names
from chiasm.types import Box, Object


@dataclass(frozen=True, slots=True)
class ObjectMatch:
    """Every true and every predicted object of one picture, by index, in exactly one of these lists.

    `found`, `mislocated` and `renamed` are (predicted, true) pairs: right; name right but IoU below .5;
    place right but another name. `duplicates` are predictions on an object already found, `extra` the other
    predictions, `missed` the other true objects. `ignored` predictions lie in a crowd region; crowd regions are in no
    list.
    """

    found: tuple[tuple[int, int], ...]
    mislocated: tuple[tuple[int, int], ...]
    renamed: tuple[tuple[int, int], ...]
    duplicates: tuple[int, ...]
    extra: tuple[int, ...]
    missed: tuple[int, ...]
    ignored: tuple[int, ...]


def match_objects(predicted: Sequence[Object], true: Sequence[Object], names: Names) -> ObjectMatch:
    """Match one to one: as many (same name, IoU >= .5) pairs as possible, then the largest total IoU.

    What is left is paired by name alone, then by place alone. A prediction half inside a crowd region of its name, and
    matched to nothing else, is ignored as in COCO.
    """
    said = [names.canonical(item.name) for item in predicted]
    meant = [names.canonical(item.name) for item in true]
    predicted_boxes, true_boxes = _boxes(predicted), _boxes(true)
    iou = iou_matrix(predicted_boxes, true_boxes)
    crowd = np.array([item.crowd for item in true], dtype=bool)
    same_name = np.array([[s == m for m in meant] for s in said], dtype=bool).reshape(iou.shape)
    overlaps = iou >= ON_OBJECT

    free_predicted, free_true = np.ones(len(predicted), dtype=bool), ~crowd

    def pair(allowed: np.ndarray, preference: np.ndarray) -> tuple[tuple[int, int], ...]:
        allowed = allowed & free_predicted[:, None] & free_true[None, :]
        # A pair more always outweighs the preferences (in [0, 1]) of all pairs together.
        pairs = assign(allowed * (min(iou.shape, default=0) + 1 + preference))
        for p, t in pairs:
            free_predicted[p] = free_true[t] = False
        return tuple(pairs)

    found = pair(same_name & overlaps, iou)
    inside = share_inside(predicted_boxes, true_boxes)
    ignored = np.flatnonzero(free_predicted & (same_name & crowd & (inside >= 0.5)).any(axis=1))
    free_predicted[ignored] = False
    taken = np.isin(np.arange(len(true)), [t for _, t in found])
    duplicates = np.flatnonzero(free_predicted & (same_name & overlaps & taken).any(axis=1))
    free_predicted[duplicates] = False
    mislocated = pair(same_name, (iou + _closeness(predicted_boxes, true_boxes)) / 2)
    renamed = pair(overlaps, iou)
    return ObjectMatch(
        found=found,
        mislocated=mislocated,
        renamed=renamed,
        duplicates=tuple(map(int, duplicates)),
        extra=tuple(map(int, np.flatnonzero(free_predicted))),
        missed=tuple(map(int, np.flatnonzero(free_true))),
        ignored=tuple(map(int, ignored)),
    )


def _boxes(objects: Sequence[Object]) -> list[Box]:
    """An object without a box gets an empty one, which overlaps nothing."""
    return [item.box or Box(0, 0, 0, 0) for item in objects]


def _closeness(predicted: Sequence[Box], true: Sequence[Box]) -> np.ndarray:
    """1 for equal centres, falling to 0 with distance: (predicted, true)."""
    a, b = as_array(predicted), as_array(true)
    apart = (a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2
    return 1 / (1 + np.linalg.norm(apart, axis=-1))
