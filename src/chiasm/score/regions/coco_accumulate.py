"""COCO's average precision and recall from matches, for any weighting of the images.

Weights of one give the official numbers; the counts of a bootstrap draw give those of the resampled images, without
matching anything again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, SIZES, THRESHOLDS, Matches

RECALLS = np.linspace(0, 1, 101)
DETECTION_LIMITS = (1, 10, MOST_DETECTIONS)
METRICS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's twelve numbers in their order: AP and AR are means over IoU .50:.05:.95 and categories."""


@dataclass(frozen=True, slots=True)
class Averages:
    """NaN where there is nothing to find. `standard` is (12, replicates), in the order of `METRICS`; `category_ap` and
    `category_ap50` are (categories, replicates)."""

    standard: np.ndarray
    category_ap: np.ndarray
    category_ap50: np.ndarray


def accumulate(
    matches: Matches, detections: Regions, objects: Regions, categories: int, weights: np.ndarray
) -> Averages:
    """`weights` is (replicates, images): how often each image counts."""
    parts = [
        _accumulate_block(matches, detections, objects, categories, block)
        for block in blocks(weights, detections.category, categories)
    ]
    return Averages(
        np.concatenate([part.standard for part in parts], axis=1),
        np.concatenate([part.category_ap for part in parts], axis=1),
        np.concatenate([part.category_ap50 for part in parts], axis=1),
    )


def blocks(weights: np.ndarray, category: np.ndarray, categories: int) -> Iterator[np.ndarray]:
    """The replicates in parts that keep the largest arrays, a category's detections and all curves, near 100 MB."""
    largest = int(np.bincount(category, minlength=1).max())
    rows = max(1, min(4_000_000 // max(largest, 1), 250_000 // max(categories, 1)))
    for start in range(0, max(len(weights), 1), rows):
        yield weights[start : start + rows]


def _accumulate_block(
    matches: Matches, detections: Regions, objects: Regions, categories: int, weights: np.ndarray
) -> Averages:
    shape = (len(SIZES), len(THRESHOLDS), categories, len(weights))
    precision = np.full(shape, np.nan)
    recall = np.full((len(DETECTION_LIMITS), *shape), np.nan)
    # Between equal scores the earlier image goes first, and within an image the earlier detection.
    order = np.lexsort((matches.rank, detections.image, -detections.score))
    order = order[matches.rank[order] < MOST_DETECTIONS]
    by_image = np.ascontiguousarray(weights.T.astype(np.int32))
    for category in range(categories):
        chosen = order[detections.category[order] == category]
        drawn = by_image[detections.image[chosen]]
        own = np.flatnonzero(objects.category == category)
        own_drawn = by_image[objects.image[own]]
        for size in range(len(SIZES)):
            objects_drawn = own_drawn[matches.counted[size, own]].sum(axis=0)
            if not objects_drawn.any():
                continue
            for step in range(len(THRESHOLDS)):
                true = matches.true[size, step, chosen]
                counts = ~matches.ignored[size, step, chosen]
                place = (size, step, category)
                precision[place] = average_precision(drawn, true, counts, objects_drawn)
                for index, limit in enumerate(DETECTION_LIMITS):
                    if size == 0 or limit == MOST_DETECTIONS:  # the other recalls are not among the twelve numbers
                        hits = drawn[true & (matches.rank[chosen] < limit)].sum(axis=0)
                        recall[(index, *place)] = _share(hits, objects_drawn)
    return _averages(precision, recall)


def average_precision(drawn: np.ndarray, true: np.ndarray, counts: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Precision averaged over 101 levels of recall, per replicate: (R,), NaN where there are no objects.

    `drawn` (D, R) says how often each detection, by falling score, is in each replicate; `true` and `counts` (D,) which
    of them find an object and which count at all; `objects` (R,) is how many there are to find. The precision at a
    recall is the best at that recall or any higher one (Everingham et al. 2010; Lin et al. 2014).
    """
    hits = np.flatnonzero(true)
    if not len(hits):
        return np.where(objects > 0, 0.0, np.nan)
    # Only at a hit can the best precision of all higher recalls lie, so rows after the last one don't matter.
    counting = np.flatnonzero(counts[: hits[-1] + 1])
    so_far = np.cumsum(drawn[counting], axis=0, dtype=np.int32)[np.searchsorted(counting, hits)]
    hits_so_far = np.cumsum(drawn[hits], axis=0, dtype=np.int32)
    precision = hits_so_far / np.maximum(so_far, 1)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    levels = np.searchsorted(RECALLS, _share(hits_so_far, objects), side="right")
    new_levels = np.diff(levels, axis=0, prepend=0)
    return np.where(objects > 0, (best * new_levels).sum(axis=0) / len(RECALLS), np.nan)


def _averages(precision: np.ndarray, recall: np.ndarray) -> Averages:
    """From (sizes, thresholds, categories, R) and (limits, sizes, thresholds, categories, R)."""
    everything, full = 0, len(DETECTION_LIMITS) - 1
    standard = [
        _mean(precision[everything], (0, 1)),
        *(_mean(precision[everything, step], 0) for step in (0, 5)),
        *(_mean(precision[size], (0, 1)) for size in (1, 2, 3)),
        *(_mean(recall[limit, everything], (0, 1)) for limit in range(len(DETECTION_LIMITS))),
        *(_mean(recall[full, size], (0, 1)) for size in (1, 2, 3)),
    ]
    return Averages(np.stack(standard), precision[everything].mean(axis=0), precision[everything, 0])


def _mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean of what is defined, NaN where nothing is."""
    defined = np.isfinite(values)
    return _share(np.where(defined, values, 0).sum(axis=axis), defined.sum(axis=axis))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
