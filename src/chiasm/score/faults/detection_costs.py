"""What faults of detections cost in AP50, which is no sum over items."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level
from chiasm.score.faults.detections import place_of
from chiasm.score.faults.fault import Fault, FaultCost
from chiasm.score.intervals import percentile_interval
from chiasm.score.regions.coco_costs import Outcome, ap50
from chiasm.score.regions.coco_reasons import DUPLICATE, FOUND, IGNORED
from chiasm.score.result import Item, Score

METRIC = "AP50"


def ap50_costs(
    score: Score, groups: Mapping[tuple[str, str | None], Sequence[Fault]], replicates: int = 200, seed: int = 0
) -> tuple[FaultCost, ...]:
    """AP50 won by putting each group of faults right, as TIDE does: a mislocated or misnamed detection moves onto its
    object or, if another has found that, disappears, as a hallucination does; a missed object is no longer asked for,
    since there is no certainty to rank it by."""
    scored = _Scored(score.items)
    images = scored.images
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=replicates)
    weights = np.concatenate([np.ones((1, images), dtype=np.int64), drawn])
    before = ap50(scored.now, scored.categories, weights)
    found = []
    for (kind, cause), faults in groups.items():
        change = ap50(scored.mended(faults), scored.categories, weights) - before
        if not abs(change[0]) > 1e-12:
            continue
        interval = percentile_interval(change[1:], small_sample_level(images)) if images >= FEWEST_IMAGES else None
        low, high = interval or (None, None)
        found.append(FaultCost(kind, cause, METRIC, float(change[0]), low, high))
    return tuple(found)


class _Scored:
    """Detections by falling score and the objects to find, from a score's items. An object that was found has no item
    of its own, but is told by the detection's."""

    def __init__(self, items: Sequence[Item]) -> None:
        detections = [item for item in items if item.prediction is not None and item.slices["reason"] != IGNORED]
        self._detections = sorted(detections, key=lambda item: -item.prediction["score"])
        objects = [item for item in items if item.statistics.get("objects")]
        self._category = _numbered(
            [*(item.prediction["name"] for item in detections), *(item.truth["name"] for item in objects)]
        )
        self._found = {place_of(item) for item in detections if item.slices["reason"] == FOUND}
        self._row = {item.id: row for row, item in enumerate(self._detections)}
        self._object_row = {item.id: row for row, item in enumerate(objects)}
        image = _numbered(item.image for item in items)
        self.images, self.categories = len(image), len(self._category)
        self.now = Outcome(
            image=_whole(image[item.image] for item in self._detections),
            category=_whole(self._category[item.prediction["name"]] for item in self._detections),
            true=np.array([item.slices["reason"] == FOUND for item in self._detections], dtype=bool),
            counts=np.ones(len(self._detections), dtype=bool),
            object_image=_whole(image[item.image] for item in objects),
            object_category=_whole(self._category[item.truth["name"]] for item in objects),
            to_find=np.ones(len(objects), dtype=bool),
        )

    def mended(self, faults: Iterable[Fault]) -> Outcome:
        now = self.now
        category, true, counts, to_find = (
            column.copy() for column in (now.category, now.true, now.counts, now.to_find)
        )
        taken = set(self._found)
        for fault in sorted(faults, key=lambda fault: self._row.get(fault.item, 0)):  # the most certain one wins
            row = self._row.get(fault.item)
            if row is None:
                to_find[self._object_row[fault.item]] = False
                continue
            item = self._detections[row]
            if item.truth is None or item.slices["reason"] == DUPLICATE or (place := place_of(item)) in taken:
                counts[row] = False
            else:
                taken.add(place)
                true[row], category[row] = True, self._category[item.truth["name"]]
        return replace(now, category=category, true=true, counts=counts, to_find=to_find)


def _numbered(names: Iterable[Hashable]) -> dict[Hashable, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _whole(numbers: Iterable[int]) -> np.ndarray:
    return np.fromiter(numbers, dtype=np.int64)
