"""Groups of items that aren't independent of each other (a folder of pictures, a set of near duplicates), and the
intervals that take them as the units."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level
from chiasm.score.intervals import percentile_interval, resampled_sums
from chiasm.score.jackknife import GROUPS, jackknife_interval

Interval = tuple[float, float] | None
BOOTSTRAP = "bootstrap by cluster"
JACKKNIFE = "jackknife over groups of clusters"
LARGEST = 1 - 1e-12
"""Correlation that Fisher's z is finite for."""


def numbered(clusters: Sequence[Hashable] | None, n: int) -> np.ndarray:
    """The number of each item's cluster, from 0: (n,). Without clusters each item is its own. Raises DataError unless
    there is a label for every item."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise DataError(f"{len(clusters)} cluster labels for {n} items")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in clusters])


def bootstrap_interval(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], replicates: int = 2000, seed: int = 0
) -> Interval:
    """Central 95 % of a statistic of sums, from (rows, sums) to (rows,), with whole clusters resampled. `sums` is
    (clusters, sums). None for fewer than five clusters."""
    if len(sums) < FEWEST_IMAGES:
        return None
    drawn = statistic(resampled_sums(sums, replicates, seed))
    return percentile_interval(drawn, small_sample_level(len(sums)))


def jackknife_subsets(cluster: np.ndarray, groups: int = GROUPS, seed: int = 0) -> np.ndarray:
    """Masks of items: first all of them, then all but one of at most `groups` groups, into which clusters are dealt at
    random: (1 + groups, n). Fewer than five clusters tell nothing about their spread, and only the first is given."""
    clusters = int(cluster.max()) + 1
    if clusters < FEWEST_IMAGES:
        return np.ones((1, len(cluster)), dtype=bool)
    group_of = np.random.default_rng(seed).permutation(clusters) % min(groups, clusters)
    return np.arange(-1, group_of.max() + 1)[:, None] != group_of[cluster]


def jackknife_of_subsets(values: np.ndarray) -> Interval:
    """Central 95 % around the first of `values`, those of `jackknife_subsets`: (1 + groups,). None without groups."""
    value, without = float(values[0]), values[1:]
    return jackknife_interval(value, lambda part: float(without[part[0]]), len(without), len(without))


def jackknife_of_correlations(values: np.ndarray) -> Interval:
    """`jackknife_of_subsets` of numbers from -1 to 1, on Fisher's z scale: the interval stays in this range, and where
    there are few items holds the truth more often."""
    interval = jackknife_of_subsets(np.arctanh(np.clip(values, -LARGEST, LARGEST)))
    if interval is None:
        return None
    return min(float(np.tanh(interval[0])), float(values[0])), max(float(np.tanh(interval[1])), float(values[0]))
