"""What each kind of error costs: the gain in AP or AR if it alone were fixed (TIDE, section 2.3)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chiasm.score.regions.coco_accumulate import mean, outcome
from chiasm.score.regions.coco_curves import Curves, Outcome
from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, THRESHOLDS, Matches
from chiasm.score.regions.coco_reasons import ERRORS, FOUND, MISLOCATED, MISSED, WRONG_NAME, Reasons

COSTED = ("AP", "AP50", "AR100")
COST = " cost: "
"""Between metric and error in the name of a cost."""
_OF_RECALL = (MISLOCATED, WRONG_NAME, MISSED)
"""The errors whose repair changes recall; removing a false detection does not."""


class Costs:
    """Precision-recall curves as they are and with one kind of error fixed, for any weighting of the images.

    Errors are told at IoU .5. A mislocated box moves onto its object and is right at every threshold, a wrong name is
    put right where the box is, and of two on one object the better-scored stays; every other false detection disappears
    from the thresholds at which it is false, and a missed object is no longer asked for. So AP50 less AP is what boxes
    cost that find their object but do not fit it.
    """

    def __init__(
        self, matches: Matches, detections: Regions, objects: Regions, reasons: Reasons, categories: int
    ) -> None:
        now = outcome(matches, detections, objects, 0, MOST_DETECTIONS)
        self._now = Curves(now, categories)
        self._fixed = {error: Curves(_fixed(now, error, matches, objects, reasons), categories) for error in ERRORS}

    def gains(self, weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """{(metric of `COSTED`, error of `ERRORS`): (R,)} for `weights` (R, images), how often each image counts.

        The costs need not add up to 1 less the metric: fixing one kind changes what another costs.
        """
        weights = weights.astype(np.int32)
        before = costed(self._now, weights)
        after = {error: costed(curves, weights) for error, curves in self._fixed.items()}
        return {
            (metric, error): after[error][metric] - before[metric]
            for metric in COSTED
            for error in ERRORS
            if metric != "AR100" or error in _OF_RECALL
        }


def costed(curves: Curves, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of `COSTED`, each (R,)."""
    precision, recall = curves.averages(weights)
    return dict(zip(COSTED, (mean(precision), mean(precision[:1]), mean(recall)), strict=True))


def _fixed(now: Outcome, error: str, matches: Matches, objects: Regions, reasons: Reasons) -> Outcome:
    if error == MISSED:
        asked = matches.counted[0] & (reasons.object != MISSED)
        return replace(now, object_image=objects.image[asked], object_category=objects.category[asked])
    rows = matches.by_score
    wrong = np.flatnonzero(reasons.detection[rows] == error)
    category, true, counts = now.category.copy(), now.true.copy(), now.counts.copy()
    counts[:, wrong] &= true[:, wrong]
    if error in (MISLOCATED, WRONG_NAME):
        partner = reasons.partner[rows[wrong]]
        free = np.flatnonzero(reasons.object[partner] != FOUND)
        winners = free[np.unique(partner[free], return_index=True)[1]]
        moved, onto = wrong[winners], partner[winners]
        category[moved] = objects.category[onto]
        fits = reasons.iou[rows[moved]] >= THRESHOLDS[:, None]
        true[:, moved] = fits | (error == MISLOCATED)
        counts[:, moved] = True
    return replace(now, category=category, true=true, counts=counts)
