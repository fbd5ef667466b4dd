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


def shared_by_group(found: Matches, group: np.ndarray) -> np.ndarray:
    """Shared neighbours in lists cut to k = 1, 2, ..., added up over each group's items: (groups, k). `group`, (n,),
    numbers each item's group from 0."""
    return np.cumsum(_by_group_and_depth(found, group), axis=1)


def displacement_by_group(found: Matches, group: np.ndarray) -> np.ndarray:
    """``|rank in the first list - rank in the second|`` of the first list's neighbours, k for one that is not in the
    second, with lists cut to k = 1, 2, ..., added up over each group's items: (groups, k)."""
    shared = shared_by_group(found, group)
    moved = np.cumsum(_by_group_and_depth(found, group, abs(found.first - found.second)), axis=1)
    k = np.arange(1, found.k + 1)
    return moved + k * (np.bincount(group)[:, None] * k - shared)


def knor(found: Matches) -> np.ndarray:
    """k-nearest-neighbour overlap ratio at k = 1, 2, ...: the mean share of an item's k neighbours in one space that
    are among its k in the other, in [0, 1]; (k,)."""
    shared = shared_by_group(found, np.zeros(found.n, dtype=np.int64))[0]
    return shared / (found.n * np.arange(1, found.k + 1))


def rank_biased_overlap(overlap: np.ndarray, persistence: float = 0.9) -> np.ndarray:
    """RBO of a curve of overlaps at k = 1, 2, ..., extrapolated from the last: (..., k) -> (...), in [0, 1].

    A reader who goes on to the next place with the chance `persistence` sees this overlap on average. Linear in the
    overlaps, so that the RBO of a mean curve is the mean RBO. Webber, Moffat and Zobel 2010, equation 23.
    """
    k = np.arange(1, overlap.shape[-1] + 1)
    weights = (1 - persistence) * persistence ** (k - 1.0)
    weights[-1] += persistence ** float(k[-1])
    return overlap @ weights


def _by_group_and_depth(found: Matches, group: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    groups = int(group.max()) + 1
    cell = group[found.item] * found.k + found.depth
    return np.bincount(cell, weights, groups * found.k).reshape(groups, found.k)
