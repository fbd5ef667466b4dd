"""COCO's twelve numbers from matches, for any weighting of the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_curves import Curves, Outcome, share
from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, SIZES, Matches

DETECTION_LIMITS = (1, 10, MOST_DETECTIONS)
METRICS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's twelve numbers in their order: AP and AR are means over IoU .50:.05:.95 and categories."""


@dataclass(frozen=True, slots=True)
class Averages:
    """NaN where there is nothing to find. `standard` is (12, R), in the order of `METRICS`; `category_ap` is
    (categories, R)."""

    standard: np.ndarray
    category_ap: np.ndarray


class Accumulation:
    """All that the twelve numbers depend on, for one weighting of the images after another."""

    def __init__(self, matches: Matches, detections: Regions, objects: Regions, categories: int) -> None:
        outcomes = [outcome(matches, detections, objects, size, MOST_DETECTIONS) for size in range(len(SIZES))]
        self._by_size = [Curves(one, categories) for one in outcomes]
        fewer = [outcome(matches, detections, objects, 0, limit) for limit in DETECTION_LIMITS[:-1]]
        self._by_limit = [Curves(one, categories) for one in fewer]

    def averages(self, weights: np.ndarray) -> Averages:
        """`weights` is (R, images): how often each image counts."""
        weights = weights.astype(np.int32)
        averages = [curves.averages(weights) for curves in self._by_size]
        precision, recall = zip(*averages, strict=True)
        standard = [
            mean(precision[0]),
            *(mean(precision[0][step : step + 1]) for step in (0, 5)),
            *(mean(of_size) for of_size in precision[1:]),
            *(mean(curves.recall(weights)) for curves in self._by_limit),
            *(mean(of_size) for of_size in recall),
        ]
        return Averages(np.stack(standard), precision[0].mean(axis=0))


def outcome(matches: Matches, detections: Regions, objects: Regions, size: int, limit: int) -> Outcome:
    """Of a size range, by its place in `SIZES`, and the `limit` best detections of each image and category."""
    chosen = matches.by_score[matches.rank[matches.by_score] < limit]
    asked = matches.counted[size]
    return Outcome(
        image=detections.image[chosen],
        category=detections.category[chosen],
        true=matches.true[size][:, chosen],
        counts=~matches.ignored[size][:, chosen],
        object_image=objects.image[asked],
        object_category=objects.category[asked],
    )


def mean(values: np.ndarray) -> np.ndarray:
    """Over thresholds and categories, (T, categories, R): (R,), of what is defined, NaN where nothing is."""
    defined = np.isfinite(values)
    return share(np.where(defined, values, 0).sum(axis=(0, 1)), defined.sum(axis=(0, 1)))
