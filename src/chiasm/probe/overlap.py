"""How far two spaces agree on who is near whom: overlap of neighbour lists at every k at once, and ranks in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError


@dataclass(frozen=True)
class Matches:
    """Neighbours that two lists of the same item share, one entry each.

    n, k           items, and the length of their lists
    item           (m,) whose lists these are
    first, second  (m,) place of the shared neighbour in each list, from 0
    """

    n: int
    k: int
    item: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def depth(self) -> np.ndarray:
        """(m,) lists of length k share the entry from k = depth + 1 on."""
        return np.maximum(self.first, self.second)


def matches(first: np.ndarray, second: np.ndarray) -> Matches:
    """Compare neighbour lists, (n, k) each, of the same n items. Raises DataError if their shapes differ."""
    if first.shape != second.shape:
        raise DataError(f"neighbour lists of shapes {first.shape} and {second.shape}; give lists of the same n and k")
    n, k = first.shape
    bits = int(2 * k - 1).bit_length()
    place = np.arange(k)
    # Sorted together as (neighbour, place), with the second list's places after the first's, a shared neighbour stands
    # twice in a row.
    entries = np.concatenate([first.astype(np.int64) << bits | place, second.astype(np.int64) << bits | (place + k)], 1)
    entries.sort(axis=1)
    item, column = np.nonzero(entries[:, 1:] >> bits == entries[:, :-1] >> bits)
    mask = (1 << bits) - 1
    return Matches(n, k, item, entries[item, column] & mask, (entries[item, column + 1] & mask) - k)


@dataclass(frozen=True)
class Overlap:
    """Sums over items, of lists cut to k = 1, 2, ...: (k,) each.

    items   whose lists are that long
    shared  neighbours that an item has in both lists
    moved   ``|rank in the first list - rank in the second|`` of the first list's neighbours, k for one that is not in
            the second
    """

    items: np.ndarray
    shared: np.ndarray
    moved: np.ndarray

    @property
    def knor(self) -> np.ndarray:
        """k-nearest-neighbour overlap ratio at each k: the mean share of an item's k neighbours in one space that are
        among its k in the other, in [0, 1]; NaN where no list is that long."""
        return self._mean(self.shared)

    @property
    def displacement(self) -> np.ndarray:
        """Mean rank displacement at each k, in [0, k]; NaN where no list is that long."""
        return self._mean(self.moved)

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        places = self.items * np.arange(1, len(sums) + 1)
        return np.divide(sums, places, out=np.full(len(sums), np.nan), where=places > 0)


def overlap(found: Matches) -> Overlap:
    """Over all items."""
    return _overlap(found, np.full(found.n, found.k), found.k)


def overlaps_of_subsets(first: np.ndarray, second: np.ndarray, subsets: np.ndarray, k: int) -> list[Overlap]:
    """What `overlap` at 1, 2, ..., `k` would be if only the items of each of `subsets`, masks (subsets, n), were there,
    as items and as neighbours.

    The lists, (n, longer than k) each, move up where neighbours are missing. An item of whose neighbours so many are
    missing that fewer than k remain in a list takes no part at that k.
    """
    found = matches(first, second)
    neighbour = first[found.item, found.first]
    overlaps = []
    for kept in subsets:
        missing = [np.cumsum(~kept[lists], axis=1, dtype=np.int32) for lists in (first, second)]
        lengths = np.where(kept, found.k - np.maximum(missing[0][:, -1], missing[1][:, -1]), 0)
        there = np.flatnonzero(kept[found.item] & kept[neighbour])
        item = found.item[there]
        places = (
            place[there] - gone[item, place[there]]
            for place, gone in zip((found.first, found.second), missing, strict=True)
        )
        overlaps.append(_overlap(Matches(found.n, found.k, item, *places), lengths, k))
    return overlaps


def _overlap(found: Matches, lengths: np.ndarray, k: int) -> Overlap:
    """At 1, 2, ..., `k`, over the items whose `lengths`, (n,), reach that far."""

    def summed(weights: np.ndarray | None = None) -> np.ndarray:
        """Each match counts from its depth on, until its item's list ends."""
        begin = np.bincount(found.depth, weights, found.k + 1)
        end = np.bincount(np.maximum(lengths[found.item], found.depth), weights, found.k + 1)
        return np.cumsum(begin - end)[:k]

    size = np.arange(1, k + 1)
    items = len(lengths) - np.cumsum(np.bincount(lengths, minlength=k))[:k]
    shared = summed()
    moved = summed(abs(found.first - found.second)) + size * (items * size - shared)
    return Overlap(items, shared, moved)


def knor(found: Matches) -> np.ndarray:
    """`Overlap.knor` over all items: (k,)."""
    return overlap(found).knor


def rank_biased_overlap(overlap: np.ndarray, persistence: float = 0.9) -> np.ndarray:
    """RBO of a curve of overlaps at k = 1, 2, ..., extrapolated from the last: (..., k) -> (...), in [0, 1].

    A reader who goes on to the next place with the chance `persistence` sees this overlap on average. Linear in the
    overlaps, so that the RBO of a mean curve is the mean RBO. Webber, Moffat and Zobel 2010, equation 23.
    """
    k = np.arange(1, overlap.shape[-1] + 1)
    weights = (1 - persistence) * persistence ** (k - 1.0)
    weights[-1] += persistence ** float(k[-1])
    return overlap @ weights
