"""Hubs: items that are among the nearest of far more others than chance would make them."""

from __future__ import annotations

import numpy as np

from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval
from chiasm.probe.neighbours import Neighbours
from chiasm.probe.result import Measurement, Yardstick


def occurrences(neighbours: Neighbours, k: int) -> np.ndarray:
    """In how many lists of the k nearest each item is: (n,), k on average."""
    return np.bincount(neighbours.index[:, :k].ravel(), minlength=len(neighbours))


def hubness(site: str, neighbours: Neighbours, k: int, cluster: np.ndarray) -> Measurement:
    """Skewness of the k-occurrences (Radovanovic, Nanopoulos and Ivanovic 2010): 0 without hubs, above 1 with strong
    ones. Under the null every list is drawn at random, and occurrences are binomial. `cluster`, (n,), numbers clusters.
    """
    n = len(neighbours)
    count = occurrences(neighbours, k) - float(k)
    powers = np.stack([np.ones(n), count, count**2, count**3], axis=1)
    sums = np.stack([np.bincount(cluster, column) for column in powers.T], axis=1)
    value = float(_skewness(sums.sum(axis=0, keepdims=True))[0])
    undefined = not np.isfinite(value)
    low, high = (None, None) if undefined else bootstrap_interval(sums, _skewness) or (None, None)
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
        clusters=len(sums),
        method=f"skewness of k-occurrences; {BOOTSTRAP}",
        settings={"k": k},
        flags=("every item is in equally many lists, so that skewness is undefined",) if undefined else (),
    )


def _skewness(sums: np.ndarray) -> np.ndarray:
    """From sums of 1, x, x^2, x^3, (rows, 4), to the skewness of x: (rows,), NaN where x doesn't vary."""
    count, first, second, third = sums.T
    mean = first / count
    variance = second / count - mean**2
    moment = third / count - 3 * mean * second / count + 2 * mean**3
    return np.divide(moment, variance**1.5, out=np.full_like(moment, np.nan), where=variance > 1e-12)
