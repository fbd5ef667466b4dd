"""Spearman's and Kendall's rank correlations with ties."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chiasm.score.jackknife import jackknife_interval
from chiasm.score.result import Value

Correlation = Callable[[np.ndarray, np.ndarray], float]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of the mid-ranks of (n,) and (n,), in [-1, 1]; NaN where one is constant or n < 2."""
    if len(a) < 2:
        return float("nan")
    x, y = (ranks - ranks.mean() for ranks in (_midranks(a), _midranks(b)))
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread > 0 else float("nan")


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b of (n,) and (n,), in [-1, 1], in n log^2 n (Kendall 1945); NaN where one is constant or n < 2."""
    _, x = np.unique(a, return_inverse=True)
    _, y = np.unique(b, return_inverse=True)
    pairs = len(a) * (len(a) - 1) // 2
    tied_x, tied_y = _tied_pairs(x), _tied_pairs(y)
    tied_both = _tied_pairs(x * (int(y.max(initial=0)) + 1) + y)
    if pairs in (tied_x, tied_y):
        return float("nan")
    # Sorted by a and then b, a pair is out of order in b exactly if it is discordant.
    discordant = _inversions(y[np.lexsort((y, x))])
    balance = pairs - tied_x - tied_y + tied_both - 2 * discordant
    return float(balance / ((pairs - tied_x) * (pairs - tied_y)) ** 0.5)


def correlation_value(
    name: str, of: Correlation, a: np.ndarray, b: np.ndarray, images: Sequence[str], seed: int = 0
) -> Value:
    """``of(a, b)``, called `name`, with its interval by image; without a value where one of the two is constant."""
    pictures, picture = np.unique(images, return_inverse=True)

    def without(part: np.ndarray) -> float:
        kept = ~np.isin(picture, part)
        return of(a[kept], b[kept])

    value = of(a, b)
    if np.isnan(value):
        return Value(name, None, len(a), method="none: no variation")
    found = jackknife_interval(value, without, len(pictures), seed=seed)
    if found is None:
        return Value(name, value, len(a), method="none: too few images")
    return Value(name, value, len(a), max(-1.0, found[0]), min(1.0, found[1]), "delete-a-group jackknife by image")


def _midranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _tied_pairs(place: np.ndarray) -> int:
    counts = np.unique_counts(place).counts
    return int((counts * (counts - 1) // 2).sum())


def _inversions(values: np.ndarray) -> int:
    """Pairs i < j with values[i] > values[j], for whole numbers from 0.

    Two numbers are in the order of the highest bit in which they differ. So each bit is looked at among the numbers
    that agree in all higher ones: every 0 is out of order with the 1s before it.
    """
    count = 0
    for bit in range(int(values.max(initial=0)).bit_length()):
        order = np.argsort(values >> (bit + 1), kind="stable")
        group, one = values[order] >> (bit + 1), values[order] >> bit & 1
        ones = np.cumsum(one)
        first = np.searchsorted(group, group)
        ones_before = ones - (ones[first] - one[first])
        count += int(ones_before[one == 0].sum())
    return count
