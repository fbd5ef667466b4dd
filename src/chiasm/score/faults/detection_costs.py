"""What faults of detections cost in average precision and recall, which are no sums over items."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level
from chiasm.score.faults.detections import place_of
from chiasm.score.faults.fault import Fault, FaultCost
from chiasm.score.intervals import percentile_interval
from chiasm.score.regions.coco_costs import COSTED, costed
from chiasm.score.regions.coco_curves import Curves, Outcome
from chiasm.score.regions.coco_matching import THRESHOLDS
from chiasm.score.regions.coco_reasons import DUPLICATE, FOUND, IGNORED, MISLOCATED
from chiasm.score.result import Item, Score


def detection_costs(
    score: Score, groups: Mapping[tuple[str, str | None], Sequence[Fault]], replicates: int = 200, seed: int = 0
) -> tuple[FaultCost, ...]:
    """AP, AP50 and AR100 won by putting each group of faults right, as TIDE does: a mislocated or misnamed detection
    moves onto its object or, if another has found that, disappears, as a hallucination does; a missed object is no
    longer asked for, since there is no certainty to rank it by. Above IoU .5 a detection is taken to find its object as
    long as their IoU suffices, and a misnamed one stays where it is."""
    scored = _Scored(score.items)
    images = scored.images
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=replicates)
    weights = np.concatenate([np.ones((1, images), dtype=np.int64), drawn]).astype(np.int32)
    before = costed(Curves(scored.now, scored.categories), weights)
    found = []
    for (kind, cause), faults in groups.items():
        after = costed(Curves(scored.mended(faults), scored.categories), weights)
        for metric in COSTED:
            change = after[metric] - before[metric]
            if not abs(change[0]) > 1e-12:
                continue
            interval = percentile_interval(change[1:], small_sample_level(images)) if images >= FEWEST_IMAGES else None
            low, high = interval or (None, None)
            found.append(FaultCost(kind, cause, metric, float(change[0]), low, high))
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
        iou = np.array([item.statistics["iou"] for item in self._detections])
        self._fits = fits = iou >= THRESHOLDS[:, None]
        self.now = Outcome(
            image=_whole(image[item.image] for item in self._detections),
            category=_whole(self._category[item.prediction["name"]] for item in self._detections),
            true=fits & np.array([item.slices["reason"] == FOUND for item in self._detections], dtype=bool),
            counts=np.ones((len(THRESHOLDS), len(self._detections)), dtype=bool),
            object_image=_whole(image[item.image] for item in objects),
            object_category=_whole(self._category[item.truth["name"]] for item in objects),
        )

    def mended(self, faults: Iterable[Fault]) -> Outcome:
        now = self.now
        category, true, counts = now.category.copy(), now.true.copy(), now.counts.copy()
        asked = np.ones(len(now.object_image), dtype=bool)
        taken = set(self._found)
        for fault in sorted(faults, key=lambda fault: self._row.get(fault.item, 0)):  # the most certain one wins
            row = self._row.get(fault.item)
            if row is None:
                asked[self._object_row[fault.item]] = False
                continue
            item = self._detections[row]
            reason = item.slices["reason"]
            if item.truth is None or reason == DUPLICATE or (place := place_of(item)) in taken:
                counts[:, row] = False
            else:
                taken.add(place)
                true[:, row] = True if reason == MISLOCATED else self._fits[:, row]
                category[row] = self._category[item.truth["name"]]
        return Outcome(now.image, category, true, counts, now.object_image[asked], now.object_category[asked])


def _numbered(names: Iterable[Hashable]) -> dict[Hashable, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _whole(numbers: Iterable[int]) -> np.ndarray:
    return np.fromiter(numbers, dtype=np.int64)
