"""Boxes for a referring expression against all boxes that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.data.boxes import iou_matrix
from chiasm.score.matching import assign
from chiasm.types import Box

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class GroundingScore:
    """`iou` in [0, 1]; `hits` says for each of `THRESHOLDS` whether the expression is right; `pairs` are matched."""

    iou: float
    hits: dict[float, bool]
    pairs: tuple[tuple[int, int], ...]


def score_grounding(predicted: Sequence[Box], true: Sequence[Box]) -> GroundingScore:
    """Score one expression over all of its boxes.

    `iou` is the total IoU of the best one-to-one matching divided by the larger of the two counts, so that a missing
    and a superfluous box both count as 0; with one box each it is the ordinary IoU. A hit at threshold t asks for a
    one-to-one matching of all boxes on both sides with IoU >= t (gRefCOCO, Liu et al. 2023: F1 = 1). An expression with
    no true box scores 1 if nothing is predicted, and else 0.
    """
    if not true or not predicted:
        right = not true and not predicted
        return GroundingScore(float(right), dict.fromkeys(THRESHOLDS, right), ())
    iou = iou_matrix(predicted, true)
    pairs = assign(iou)
    count = max(len(predicted), len(true))
    total = sum(iou[p, t] for p, t in pairs)
    hits = {t: len(predicted) == len(true) and len(assign((iou >= t).astype(float))) == count for t in THRESHOLDS}
    return GroundingScore(float(total) / count, hits, tuple(pairs))
