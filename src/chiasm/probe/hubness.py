"""Hubs: items that are among the nearest of far more others than chance would make them."""

from __future__ import annotations

import numpy as np

from chiasm.probe.clusters import JACKKNIFE, jackknife_of_subsets, jackknife_subsets
from chiasm.probe.neighbours import Neighbours
from chiasm.probe.result import Measurement, Yardstick


def occurrences(neighbours: Neighbours, k: int, kept: np.ndarray | None = None) -> np.ndarray:
    """In how many lists of the k nearest each item is: (n,), k on average. With `kept`, a mask (n,), as if only those
    items were there: (kept,)."""
    if kept is None:
        return np.bincount(neighbours.index[:, :k].ravel(), minlength=len(neighbours))
    there = kept[neighbours.index]
    listed = kept[:, None] & there & (np.cumsum(there, axis=1) <= k)
    return np.bincount(neighbours.index[listed], minlength=len(neighbours))[kept]


def hubness(site: str, neighbours: Neighbours, k: int, cluster: np.ndarray) -> Measurement:
    """Skewness of the k-occurrences (Radovanovic, Nanopoulos and Ivanovic 2010): 0 without hubs, above 1 with strong
    ones. Under the null every list is drawn at random, and occurrences are binomial. `cluster`, (n,), numbers clusters.
    """
    n = len(neighbours)
    value = _skewness(occurrences(neighbours, k))
    undefined = not np.isfinite(value)
    subsets = jackknife_subsets(cluster)[1:]
    without = [_skewness(occurrences(neighbours, k, kept)) for kept in subsets]
    low, high = (None, None) if undefined else jackknife_of_subsets(np.array([value, *without])) or (None, None)
    chance = k / (n - 1)
    null = None
    if chance < 1:
        null = Yardstick((1 - 2 * chance) / ((n - 1) * chance * (1 - chance)) ** 0.5, method="lists drawn at random")
    return Measurement(
        f"hubness@{k}",
        (site,),
        None if undefined else value,
        low,
        high,
        null,
        n=n,
        clusters=int(cluster.max()) + 1,
        method=f"skewness of k-occurrences; {JACKKNIFE}",
        settings={"k": k},
        flags=("every item is in equally many lists, so that skewness is undefined",) if undefined else (),
    )


def _skewness(values: np.ndarray) -> float:
    """NaN where they don't vary."""
    centred = values - values.mean()
    variance = np.mean(centred**2)
    return float(np.mean(centred**3) / variance**1.5) if variance > 1e-12 else float("nan")
