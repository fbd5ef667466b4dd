"""What each kind of error costs: the AP50 that would be won back if it alone were mended (TIDE, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chiasm.score.regions.coco_accumulate import average_precision, blocks
from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, Matches
from chiasm.score.regions.coco_reasons import ERRORS, FOUND, MISLOCATED, MISSED, WRONG_NAME, Reasons


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What AP50 depends on: each detection's category, whether it is true and whether it counts (D,), and which objects
    are to be found (G,)."""

    category: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    to_find: np.ndarray


def costs(
    matches: Matches, detections: Regions, objects: Regions, reasons: Reasons, categories: int, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """AP50 won by mending each of `ERRORS`: {reason: (replicates,)}. `weights` as in `accumulate`.

    The costs need not add up to 1 - AP50: mending one kind changes what another costs.
    """
    counts = ~matches.ignored[0, 0] & (matches.rank < MOST_DETECTIONS)
    now = _Outcome(detections.category, matches.true[0, 0], counts, matches.counted[0])
    mended = {error: _mended(now, error, detections, objects, reasons) for error in ERRORS}
    order = np.lexsort((matches.rank, detections.image, -detections.score))
    gains: dict[str, list[np.ndarray]] = {error: [] for error in ERRORS}
    for block in blocks(weights, detections, categories):
        before = _ap50(now, order, detections, objects, categories, block)
        for error, outcome in mended.items():
            gains[error].append(_ap50(outcome, order, detections, objects, categories, block) - before)
    return {error: np.concatenate(parts) for error, parts in gains.items()}


def _mended(now: _Outcome, error: str, detections: Regions, objects: Regions, reasons: Reasons) -> _Outcome:
    """A mislocated or misnamed detection finds its object if nothing better does, and otherwise disappears, as do all
    others; a missed object is no longer asked for."""
    if error == MISSED:
        return replace(now, to_find=now.to_find & (reasons.object != MISSED))
    wrong = np.flatnonzero(reasons.detection == error)
    counts = now.counts.copy()
    counts[wrong] = False
    if error not in (MISLOCATED, WRONG_NAME):
        return replace(now, counts=counts)
    by_score = wrong[np.argsort(-detections.score[wrong], kind="stable")]
    free = by_score[reasons.object[reasons.partner[by_score]] != FOUND]
    _, first = np.unique(reasons.partner[free], return_index=True)
    winners = free[first]
    category, true = now.category.copy(), now.true.copy()
    category[winners] = objects.category[reasons.partner[winners]]
    true[winners] = counts[winners] = True
    return replace(now, category=category, true=true, counts=counts)


def _ap50(
    outcome: _Outcome, order: np.ndarray, detections: Regions, objects: Regions, categories: int, weights: np.ndarray
) -> np.ndarray:
    by_image = np.ascontiguousarray(weights.T.astype(np.int32))
    order = order[outcome.counts[order]]
    total, defined = np.zeros(len(weights)), np.zeros(len(weights))
    for category in range(categories):
        to_find = by_image[objects.image[outcome.to_find & (objects.category == category)]].sum(axis=0)
        if not to_find.any():
            continue
        chosen = order[outcome.category[order] == category]
        true = outcome.true[chosen]
        value = average_precision(by_image[detections.image[chosen]], true, np.ones(len(chosen), dtype=bool), to_find)
        total += np.nan_to_num(value)
        defined += to_find > 0
    return np.divide(total, defined, out=np.full(len(weights), np.nan), where=defined > 0)
