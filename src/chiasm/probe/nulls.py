"""What the overlap of neighbour lists is when the two spaces have nothing to do with each other.

The null hypothesis: which item of one space is which of the other is arbitrary. Hubs, mutual neighbours and whatever
else each space has of itself stay as they are; only the correspondence is permuted.
"""

from __future__ import annotations

import numpy as np

from chiasm.probe.overlap import knor, matches

PAIRS = 2**22
"""Pairs of list entries that are counted at a time."""


def permutation_moments(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of KNOR at k = 1, 2, ... over all n! permutations, exactly: (k,) each.

    The overlap is ``sum over i, j of A_ij B_p(i)p(j)`` of two directed graphs, whose moments under permutations p
    Mantel (1967) gives; they need only how often each item occurs in lists and how many neighbours are mutual. The
    mean is k / (n - 1), that of the hypergeometric distribution; the variance is larger than that of independent
    rows where both spaces have hubs. Lists, (n, k) each, of at least four items.
    """
    n, k = first.shape
    size = np.arange(1, k + 1, dtype=np.float64)
    graphs = [_graph_sums(lists) for lists in (first, second)]
    total = n * size
    # Ordered pairs of edges by which of their ends are the same item: mutual ones, equal sources, equal targets, source
    # of one and target of the other, none. A permutation takes each pair to one of the same kind.
    squares = total * total
    second_moment = squares / (n * (n - 1))
    kinds = []
    for mutual, indegree_squares, out_and_in in graphs:
        same_source = n * size * (size - 1)
        same_target = indegree_squares - total
        chain = out_and_in - mutual
        apart = squares - total - mutual - same_source - same_target - 2 * chain
        kinds.append((mutual, same_source, same_target, 2 * chain, apart))
    ways = (n * (n - 1), *[n * (n - 1) * (n - 2)] * 2, 2 * n * (n - 1) * (n - 2), n * (n - 1) * (n - 2) * (n - 3))
    for of_first, of_second, count in zip(*kinds, ways, strict=True):
        second_moment = second_moment + of_first * of_second / count
    mean = size / (n - 1)
    variance = second_moment / squares - mean * mean
    return mean, np.sqrt(np.maximum(variance, 0))


def mean_displacement(n: int, k: int) -> float:
    """Mean rank displacement at `k` over all n! permutations of n items, exactly: in [0, k].

    A neighbour is as likely at any of the n - 1 places of the other list: at place b of the first k it has moved by
    |a - b|, whose mean over a and b is (k^2 - 1) / (3 k), and beyond them it counts k.
    """
    return k - k * k / (n - 1) + (k * k - 1) / (3 * (n - 1))


def shifted_overlaps(first: np.ndarray, second: np.ndarray, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """KNOR at k = 1, 2, ... under at least `draws` permutations of the items: (permutations, k).

    The permutations shift a random order of the items by 1, 2, ..., n - 1 places: together with the identity they form
    a group, which is what an exact permutation test needs (Hemerik and Goeman 2018), and all of them cost as much as
    about k single ones. Two entries of the lists can only meet where neighbour and item are equally far apart in the
    order, and then in one shift: n k^2 pairs in all, where n shifts compared one by one take n^2 k. Where n is too
    small for `draws`, several orders are used.
    """
    n = len(first)
    rng = np.random.default_rng(seed)
    orders = -(-draws // (n - 1))
    return np.concatenate([_overlaps_of_shifts(first, second, rng.permutation(n)) for _ in range(orders)])


def group_preserving_overlaps(
    first: np.ndarray, second: np.ndarray, group: np.ndarray, draws: int = 100, seed: int = 0
) -> np.ndarray:
    """KNOR at k = 1, 2, ... under permutations that keep groups together: (draws, k).

    A group of near duplicates, numbered by `group` (n,), changes places with another of its size: what remains of the
    overlap is what duplicates alone make, since they are each other's neighbours in any space.
    """
    rng = np.random.default_rng(seed)
    by_group = np.argsort(group, kind="stable")
    sizes = np.bincount(group)[group[by_group]]
    permutation = np.empty(len(first), dtype=np.int32)
    curves = []
    for _ in range(draws):
        for size in np.unique(sizes):
            members = by_group[sizes == size].reshape(-1, size)
            permutation[members] = rng.permuted(rng.permutation(members), axis=1)
        moved = np.empty_like(second)
        moved[permutation] = permutation[second]
        curves.append(knor(matches(first, moved)))
    return np.array(curves)


def _graph_sums(lists: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the graph of each item's first k neighbours, for k = 1, 2, ...: edges whose reverse is one too, the sum of
    squared in-degrees, and of in-degree times out-degree; (k,) each."""
    n, k = lists.shape
    source = np.repeat(np.arange(n), k)
    target = lists.ravel().astype(np.int64)
    place = np.tile(np.arange(k), n)
    key, reverse = source * n + target, target * n + source
    order = np.argsort(key)
    at = np.searchsorted(key[order], reverse).clip(max=len(key) - 1)
    found = key[order][at] == reverse
    depth = np.maximum(place[found], place[order][at][found])
    mutual = np.cumsum(np.bincount(depth, minlength=k)).astype(np.float64)
    degree = np.zeros(n)
    squares = np.empty(k)
    for column in range(k):
        degree += np.bincount(lists[:, column], minlength=n)
        squares[column] = degree @ degree
    size = np.arange(1, k + 1, dtype=np.float64)
    return mutual, squares, n * size * size


def _overlaps_of_shifts(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> np.ndarray:
    n, k = first.shape
    sides = [_entries_by_offset(lists, order) for lists in (first, second)]
    counts = np.zeros(n * k, dtype=np.int64)
    cells: list[np.ndarray] = []
    waiting = 0
    for offset in range(1, n):
        (item, place), (other_item, other_place) = (
            (items[starts[offset] : starts[offset + 1]], places[starts[offset] : starts[offset + 1]])
            for items, places, starts in sides
        )
        shift = np.subtract.outer(other_item, item)
        shift += n * (shift < 0)
        shift *= k
        shift += np.maximum.outer(other_place, place)
        cells.append(shift.ravel())
        waiting += shift.size
        if waiting > PAIRS or offset == n - 1:
            counts += np.bincount(np.concatenate(cells), minlength=n * k)
            cells, waiting = [], 0
    shared = np.cumsum(counts.reshape(n, k)[1:], axis=1)
    return shared / (n * np.arange(1, k + 1))


def _entries_by_offset(lists: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All list entries, sorted by how far the neighbour is from the item in the order: the items' places in the order,
    the neighbours' places in the list, and where the entries of each offset start."""
    n, k = lists.shape
    item = np.repeat(order.astype(np.int64), k)
    offset = (order[lists].ravel() - item) % n
    by_offset = np.argsort(offset, kind="stable")
    starts = np.searchsorted(offset[by_offset], np.arange(n + 1))
    return item[by_offset], np.tile(np.arange(k), n)[by_offset], starts
