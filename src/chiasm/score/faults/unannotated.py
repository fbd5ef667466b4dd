"""Objects that several detectors see in the same place and that nobody annotated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chiasm.data.boxes import iou_matrix
from chiasm.errors import DataError
from chiasm.score.regions.coco_reasons import BACKGROUND
from chiasm.score.result import Item, Score

_SAME_PLACE = 0.5


@dataclass(frozen=True, slots=True)
class Unannotated:
    """`box` is the first detector's, ``xyxy`` in pixels; `certainty` is the lowest score that a detector gives it."""

    image: str
    name: str
    box: tuple[float, float, float, float]
    certainty: float
    items: tuple[str, ...]


def unannotated_objects(scores: Mapping[str, Score]) -> tuple[Unannotated, ...]:
    """What all detectors, two or more by name, report under one name with IoU .5 or more where no object is annotated
    (IoU below .1 with every object); the most certain first. A detection is used once, the first detector's most
    certain one choosing first. Raises DataError for fewer than two scores and for scores of anything but detections.
    """
    if len(scores) < 2:
        raise DataError(f"give two detectors or more, got {len(scores)}")
    if other := [score.task for score in scores.values() if not score.task.startswith("coco-")]:
        raise DataError(f"only detections can lie where nothing is annotated, not {other[0]}")
    first, *others = (_on_nothing(score) for score in scores.values())
    found = []
    for group, seen in first.items():
        for item in seen:
            partners = [_take(item, candidates.get(group, [])) for candidates in others]
            if None in partners:
                continue
            same = [item, *(partner for partner in partners if partner is not None)]
            certainty = min(one.prediction["score"] for one in same)
            found.append(Unannotated(*group, tuple(item.prediction["box"]), certainty, tuple(one.id for one in same)))
    return tuple(sorted(found, key=lambda one: -one.certainty))


def _on_nothing(score: Score) -> dict[tuple[str, str], list[Item]]:
    """Detections on the background by image and name, the most certain first."""
    groups = defaultdict(list)
    for item in score.items:
        if item.prediction is not None and item.slices["reason"] == BACKGROUND:
            groups[item.image, item.prediction["name"]].append(item)
    return {group: sorted(items, key=lambda item: -item.prediction["score"]) for group, items in groups.items()}


def _take(item: Item, candidates: list[Item]) -> Item | None:
    """The candidate that overlaps `item` most, taken out of the list; None if none is in the same place."""
    if not candidates:
        return None
    boxes = np.array([candidate.prediction["box"] for candidate in candidates])
    iou = iou_matrix(np.array([item.prediction["box"]]), boxes)[0]
    return candidates.pop(int(iou.argmax())) if iou.max() >= _SAME_PLACE else None
