"""One-to-one matching."""

from __future__ import annotations

import numpy as np


def assign(weight: np.ndarray) -> list[tuple[int, int]]:
    """The one-to-one matching with the largest total weight among pairs of positive weight.

    `weight` is (rows, columns), any sign; a pair with weight <= 0 is never matched. Returns (row, column) pairs by row.
    Shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(rows² columns), exact.
    """
    weight = np.asarray(weight, dtype=np.float64)
    if weight.size == 0 or not (weight > 0).any():
        return []
    if weight.shape[0] > weight.shape[1]:
        return sorted((row, column) for column, row in assign(weight.T))
    cost = -np.maximum(weight, 0.0)
    rows, columns = cost.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for start in range(rows):
        distance = np.full(columns, np.inf)
        previous = np.full(columns, -1)
        done = np.zeros(columns, dtype=bool)
        row, reached, last = start, 0.0, -1
        while row >= 0:
            step = reached + cost[row] - row_potential[row] - column_potential
            closer = ~done & (step < distance)
            distance[closer] = step[closer]
            previous[closer] = last
            last = int(np.where(done, np.inf, distance).argmin())
            reached = distance[last]
            done[last] = True
            row = int(owner[last])
        row_potential[start] += reached
        visited = done & (owner >= 0)
        row_potential[owner[visited]] += reached - distance[visited]
        column_potential[done] -= reached - distance[done]
        while last >= 0:
            before = int(previous[last])
            owner[last] = start if before < 0 else owner[before]
            last = before
    pairs = [(int(row), column) for column, row in enumerate(owner) if row >= 0 and weight[row, column] > 0]
    return sorted(pairs)
