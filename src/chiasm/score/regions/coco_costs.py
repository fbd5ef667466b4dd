"""What each kind of error costs: the AP50 that would be won back if it alone were mended (TIDE, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chiasm.score.regions.coco_accumulate import average_precision, blocks
from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, Matches
from chiasm.score.regions.coco_reasons import ERRORS, FOUND, MISLOCATED, MISSED, WRONG_NAME, Reasons


@dataclass(frozen=True, slots=True)
class Outcome:
    """What AP50 depends on. Of each detection, by falling score, its image, category, whether it is true and whether it
    counts (D,); of each object its image, category, and whether it is to be found (G,)."""

    image: np.ndarray
    category: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray
    to_find: np.ndarray


def ap50(outcome: Outcome, categories: int, weights: np.ndarray) -> np.ndarray:
    """AP50 for each row of `weights` (replicates, images), how often each image counts; NaN with nothing to find."""
    parts = blocks(weights, outcome.category, categories)
    return np.concatenate([_ap50(outcome, categories, part) for part in parts])


def costs(
    matches: Matches, detections: Regions, objects: Regions, reasons: Reasons, categories: int, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """AP50 won by mending each of `ERRORS`: {reason: (replicates,)}. `weights` as in `accumulate`.

    The costs need not add up to 1 - AP50: mending one kind changes what another costs.
    """
    order = np.lexsort((matches.rank, detections.image, -detections.score))
    now = Outcome(
        image=detections.image[order],
        category=detections.category[order],
        true=matches.true[0, 0, order],
        counts=~matches.ignored[0, 0, order] & (matches.rank[order] < MOST_DETECTIONS),
        object_image=objects.image,
        object_category=objects.category,
        to_find=matches.counted[0],
    )
    in_order = replace(
        reasons, detection=reasons.detection[order], partner=reasons.partner[order], iou=reasons.iou[order]
    )
    before = ap50(now, categories, weights)
    return {error: ap50(_mended(now, error, in_order), categories, weights) - before for error in ERRORS}


def _mended(now: Outcome, error: str, reasons: Reasons) -> Outcome:
    """A mislocated or misnamed detection finds its object if nothing better does, and otherwise disappears, as do all
    others; a missed object is no longer asked for."""
    if error == MISSED:
        return replace(now, to_find=now.to_find & (reasons.object != MISSED))
    wrong = np.flatnonzero(reasons.detection == error)
    counts = now.counts.copy()
    counts[wrong] = False
    if error not in (MISLOCATED, WRONG_NAME):
        return replace(now, counts=counts)
    free = wrong[reasons.object[reasons.partner[wrong]] != FOUND]
    _, first = np.unique(reasons.partner[free], return_index=True)
    winners = free[first]
    category, true = now.category.copy(), now.true.copy()
    category[winners] = now.object_category[reasons.partner[winners]]
    true[winners] = counts[winners] = True
    return replace(now, category=category, true=true, counts=counts)


def _ap50(outcome: Outcome, categories: int, weights: np.ndarray) -> np.ndarray:
    by_image = np.ascontiguousarray(weights.T.astype(np.int32))
    total, defined = np.zeros(len(weights)), np.zeros(len(weights))
    for category in range(categories):
        asked = outcome.to_find & (outcome.object_category == category)
        to_find = by_image[outcome.object_image[asked]].sum(axis=0)
        if not to_find.any():
            continue
        chosen = np.flatnonzero(outcome.counts & (outcome.category == category))
        every = np.ones(len(chosen), dtype=bool)
        value = average_precision(by_image[outcome.image[chosen]], outcome.true[chosen], every, to_find)
        total += np.nan_to_num(value)
        defined += to_find > 0
    return np.divide(total, defined, out=np.full(len(weights), np.nan), where=defined > 0)
