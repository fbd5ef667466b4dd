"""KNOR at every k from 1 on, with the bands of its interval, its null and its ceiling: what a plot of it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.probe.clusters import jackknife_of_subsets
from chiasm.probe.geometry import Comparer
from chiasm.probe.overlap import Overlap
from chiasm.probe.space import Space


def overlap_curve(
    comparer: Comparer,
    first: Space,
    second: Space,
    resampled: tuple[Space, Space] | None = None,
    untrained: Space | None = None,
) -> dict[str, Any]:
    """The arguments and yardsticks of `Comparer.compare`, as JSON: sites, and for each of "overlap", "null", "ceiling"
    and "control" that is known its "value", "low" and "high" at k = 1, 2, ..., `max(how.ks)`."""
    null = comparer.sampled_null(first, second)[0]
    low, high = np.quantile(null, (0.025, 0.975), axis=0)
    curves: dict[str, Any] = {
        "overlap": _curve(comparer.overlaps(first, second)),
        "null": {"value": null.mean(axis=0).tolist(), "low": low.tolist(), "high": high.tolist()},
    }
    if resampled is not None:
        curves["ceiling"] = _curve(comparer.overlaps(*resampled))
    if untrained is not None:
        curves["control"] = _curve(comparer.overlaps(first, untrained))
    how = comparer.how
    return {"sites": [first.site, second.site], "metric": how.metric, "scaling": how.scaling, **curves}


def _curve(overlaps: Sequence[Overlap]) -> dict[str, list[float]]:
    """Of all items and without each group; no band where at some k no interval can be had."""
    knors = np.array([one.knor for one in overlaps])
    found = {"value": knors[0].tolist()}
    intervals = [interval for at_k in knors.T if (interval := jackknife_of_subsets(at_k))]
    if len(intervals) == len(knors.T):
        low, high = np.clip(intervals, 0, 1).T
        found |= {"low": low.tolist(), "high": high.tolist()}
    return found
