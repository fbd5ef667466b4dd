"""Near duplicates: one picture twice is its own nearest neighbour in any space, and makes unrelated spaces agree."""

from __future__ import annotations

import numpy as np

from chiasm.probe.neighbours import CACHE, Neighbours
from chiasm.probe.space import Points, Space, blocks

NEAR = 0.05
"""Near duplicates are this close, measured in the root mean square distance of two items."""


def duplicate_groups(points: Points, neighbours: Neighbours, near: float = NEAR) -> np.ndarray:
    """Items in chains of near duplicates have one number, all others one each: (n,), from 0.

    Two items are near duplicates if their distance is at most `near` times the root mean square distance of two items,
    and one is in the other's neighbour list. Give the points of the earliest site: a later one may merge
    different pictures.
    """
    n, k = neighbours.index.shape
    squares = np.concatenate(
        [
            np.einsum("nd,nd->n", gap, gap)
            for rows in blocks(n, points.width, CACHE)
            for gap in [points.rows(rows) - points.mean]
        ]
    )
    limit = near**2 * 2 * squares.sum() / (n - 1)
    group = np.arange(n)

    def first_of(item: int) -> int:
        while group[item] != item:
            group[item] = item = group[group[item]]
        return item

    # Lists are nearest first: an item whose neighbour in one column is too far has none in the next.
    items = np.arange(n)
    for column in range(k):
        others = neighbours.index[items, column]
        close = np.empty(len(items), dtype=bool)
        for part in blocks(len(items), points.width, CACHE):
            gap = points.rows(items[part]) - points.rows(others[part])
            close[part] = np.einsum("nd,nd->n", gap, gap) <= limit
        items = items[close]
        for item, other in zip(items, others[close], strict=True):
            group[first_of(int(item))] = first_of(int(other))
        if not len(items):
            break
    return np.unique([first_of(item) for item in range(n)], return_inverse=True)[1]


def duplicate_share(group: np.ndarray) -> float:
    """Share of the items that have a near duplicate."""
    return float((np.bincount(group)[group] > 1).mean())


def collapse(space: Space, group: np.ndarray) -> Space:
    """The first item of each group, in the items' order."""
    kept = np.sort(np.unique(group, return_index=True)[1])
    return Space(space.site, [space.ids[item] for item in kept], space.vectors[kept], space.norm)
