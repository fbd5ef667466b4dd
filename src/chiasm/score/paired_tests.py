"""Tests of whether two models differ, on the same items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

MCNEMAR = "McNemar, exact"
SWAP = "sign-flip permutation by image"

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the summed statistics of two models, (rows, statistics) each, to their difference in a metric: (rows,)."""


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact p-value that a model wins as many of the items on which exactly one of the two is right.

    Under the null each such item is a fair coin (McNemar 1947, with the binomial in place of chi-squared).
    """
    n, fewer = wins + losses, min(wins, losses)
    log_chances = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1)]
    tail = math.fsum(math.exp(chance - n * math.log(2)) for chance in log_chances)
    return min(1.0, 2 * tail)


def swap_test(
    first: np.ndarray, second: np.ndarray, difference: Statistic, permutations: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value that it does not matter which of two models an image's statistics came from.

    `first` and `second` are (images, statistics), each image's statistics summed over its items. Under the null,
    swapping the two models in any image is as likely as not, whatever the metric (approximate randomisation, Noreen
    1989); for a mean that is flipping the signs of the images' differences. The observed arrangement counts as one of
    the permutations, so p is never 0.
    """
    totals = first.sum(axis=0), second.sum(axis=0)
    observed = abs(difference(totals[0][None], totals[1][None])[0])
    moved = _swapped_sums(second - first, permutations, seed)
    drawn = np.abs(difference(totals[0] + moved, totals[1] - moved))
    # Ties may differ in the last digits, since their sums are added up in another order; NaN counts against a finding.
    as_large = np.count_nonzero(~(drawn < observed * (1 - 1e-9)))
    return (1 + as_large) / (1 + permutations)


def _swapped_sums(gaps: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """Sums of `gaps` (images, statistics) over a random half of the images: (permutations, statistics)."""
    rng = np.random.default_rng(seed)
    gaps = gaps[gaps.any(axis=1)]
    rows, counts = np.unique(gaps, axis=0, return_counts=True)
    if len(rows) * 20 < len(gaps):
        # Images with equal gaps are interchangeable: draw how many of each kind are swapped.
        return rng.binomial(counts, 0.5, size=(permutations, len(rows))).astype(np.float64) @ rows
    sums = np.empty((permutations, gaps.shape[1]))
    chunk = max(1, 2_000_000 // max(len(gaps), 1))
    for start in range(0, permutations, chunk):
        count = min(chunk, permutations - start)
        swapped = rng.integers(0, 2, size=(count, len(gaps)), dtype=np.int8)
        sums[start : start + count] = swapped.astype(np.float64) @ gaps
    return sums


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected so that the chance of one false finding among them all stays below the level (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
