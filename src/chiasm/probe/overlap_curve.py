"""KNOR at every k from 1 on, with the bands of its interval, its null and its ceiling: what a plot of it needs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from chiasm.probe.clusters import numbered
from chiasm.probe.duplicates import duplicate_groups, duplicate_share
from chiasm.probe.geometry import Geometry
from chiasm.probe.neighbours import Neighbours, nearest_neighbours
from chiasm.probe.nulls import group_preserving_overlaps, shifted_overlaps
from chiasm.probe.overlap import matches, shared_by_group
from chiasm.probe.space import Space
from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level
from chiasm.score.intervals import resampled_sums

REPLICATES = 1000


def overlap_curve(
    first: Space,
    second: Space,
    how: Geometry,
    clusters: Sequence[Hashable] | None = None,
    resampled: tuple[Space, Space] | None = None,
    untrained: Space | None = None,
) -> dict[str, Any]:
    """The arguments and yardsticks of `compare_spaces`, as JSON: sites, and for each of "overlap", "null", "ceiling"
    and "control" that is known its "value", "low" and "high" at k = 1, 2, ..., `max(how.ks)`."""
    k = max(how.ks)
    points = how.points(first)
    lists = nearest_neighbours(points, k), nearest_neighbours(how.points(second), k)
    cluster = numbered(clusters, len(first))
    duplicates = duplicate_groups(points, lists[0])
    if duplicate_share(duplicates):
        null = group_preserving_overlaps(lists[0].index, lists[1].index, duplicates, seed=how.seed)
    else:
        null = shifted_overlaps(lists[0].index, lists[1].index, seed=how.seed)
    low, high = np.quantile(null, (0.025, 0.975), axis=0)
    curves: dict[str, Any] = {
        "overlap": _curve(*lists, cluster, how.seed),
        "null": {"value": null.mean(axis=0).tolist(), "low": low.tolist(), "high": high.tolist()},
    }
    if resampled is not None:
        one, other = (nearest_neighbours(how.points(half), k) for half in resampled)
        curves["ceiling"] = _curve(one, other, cluster, how.seed)
    if untrained is not None:
        random = nearest_neighbours(how.points(untrained), k)
        curves["control"] = _curve(lists[0], random, cluster, how.seed)
    return {"sites": [first.site, second.site], "metric": how.metric, "scaling": how.scaling, **curves}


def _curve(first: Neighbours, second: Neighbours, cluster: np.ndarray, seed: int) -> dict[str, list[float]]:
    shared = shared_by_group(matches(first.index, second.index), cluster)
    items = np.bincount(cluster)[:, None]
    size = np.arange(1, first.k + 1)
    found = {"value": (shared.sum(axis=0) / len(first) / size).tolist()}
    if len(items) >= FEWEST_IMAGES:
        drawn = resampled_sums(np.concatenate([items, shared], axis=1), REPLICATES, seed)
        outside = (1 - small_sample_level(len(items))) / 2
        low, high = np.quantile(drawn[:, 1:] / drawn[:, :1] / size, (outside, 1 - outside), axis=0)
        found |= {"low": low.tolist(), "high": high.tolist()}
    return found
