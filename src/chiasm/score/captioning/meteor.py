"""METEOR 1.5 from the counts that its Java program finds in each caption, so that it has an interval like any metric.

Denkowski and Lavie 2014, "Meteor Universal", section 2, with the parameters that the program uses for English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chiasm.score.measure import Measure

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)
"""Of exact matches, stems, synonyms and paraphrases."""

SIDES = ("hypothesis", "reference")
COUNTS = 4 + 4 * len(WEIGHTS) + 3
"""Numbers in a line of the program: words and function words of both sides, then for each kind of match content and
function words matched on both sides, then chunks and matched words of both sides."""


def meteor_statistics(counts: Sequence[float]) -> dict[str, float]:
    """What METEOR needs summed, from the `COUNTS` numbers of a caption and its best reference.

    Two texts that match from end to end are no chunk: they have nothing out of order.
    """
    words, chunks, matched = counts[:2], counts[-3], counts[-2:]
    found = {"meteor.chunks": 0.0 if chunks == 1 and matched == words else chunks, "meteor.matched": sum(matched) / 2}
    for side, name in enumerate(SIDES):
        function_words = counts[2 + side]
        by_kind = [counts[4 + 4 * kind : 8 + 4 * kind] for kind in range(len(WEIGHTS))]
        weights = (w * _weighted(kind[side], kind[2 + side]) for w, kind in zip(WEIGHTS, by_kind, strict=True))
        found |= {
            f"meteor.{name}": _weighted(words[side] - function_words, function_words),
            f"meteor.{name}.matched": sum(weights),
        }
    return found


def _meteor(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing matched: 0 below
        precision, recall = (sums[f"meteor.{side}.matched"] / sums[f"meteor.{side}"] for side in SIDES)
        mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        penalty = GAMMA * (sums["meteor.chunks"] / sums["meteor.matched"]) ** BETA
    return np.where(sums["meteor.matched"] == 0, 0.0, mean * (1 - penalty))


METEOR = Measure(_meteor, "captions")


def _weighted(content: float, function: float) -> float:
    return DELTA * content + (1 - DELTA) * function
