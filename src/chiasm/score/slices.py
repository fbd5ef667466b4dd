"""The slices in which a model is worst, corrected for how many slices were searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import Table, parts, summarise
from chiasm.score.measure import Measure
from chiasm.score.result import Item, Value


@dataclass(frozen=True, slots=True)
class SliceGap:
    """One slice against the other items that have its key. `gap` is `value` minus `rest`; `p` is the share of searches
    among permuted labels whose worst slice stands out at least as much."""

    value: Value
    rest: float
    gap: float
    p: float


@dataclass(frozen=True, slots=True)
class SliceSearch:
    """`slices` are all that were searched, the one that stands out most first; `notes` say what was left out."""

    overall: Value
    slices: tuple[SliceGap, ...]
    notes: tuple[str, ...]


def worst_slices(
    items: Sequence[Item],
    name: str,
    measure: Measure,
    keys: Sequence[str],
    *,
    min_n: int = 30,
    permutations: int = 1000,
    replicates: int = 2000,
    seed: int = 0,
) -> SliceSearch:
    """Search every label of the slice `keys` for the one where `measure`, called `name`, is worst.

    Among many slices one is always worst, so each is compared with the worst slice of searches in which the labels are
    permuted (the single-step maximum of Westfall and Young 1993). The items that an image has under one label are
    permuted together, and only with groups of as many items. Slices with fewer than `min_n` in their count are neither
    searched nor corrected for.

    Raises DataError for a key that no item has.
    """
    for key in keys:
        if not any(key in item.slices for item in items):
            known = sorted({key for item in items for key in item.slices})
            raise DataError(f"no item has the slice key {key!r}; known: {', '.join(known) or 'none'}")
    overall, *values = summarise(items, {name: measure}, keys, replicates, seed)
    sign = -1.0 if measure.better == "lower" else 1.0
    table = Table.of(items)
    found: list[SliceGap] = []
    columns: list[np.ndarray] = []
    for key in keys:
        permutation = _LabelPermutation.of(items, table, key)
        total = permutation.groups.sum(axis=0)
        sums = permutation.sums(permutations, seed)
        flat = sums.reshape(-1, sums.shape[2])
        inside, outside = table.evaluate(measure.of, flat), table.evaluate(measure.of, total - flat)
        gaps = (inside - outside).reshape(sums.shape[:2])
        for value in values:
            if value.slice is None or value.slice[0] != key or value.n < min_n:
                continue
            column = permutation.labels.index(value.slice[1])
            if np.isfinite(gaps[0, column]):
                found.append(SliceGap(value, float(outside[column]), float(gaps[0, column]), 1.0))
                columns.append(sign * gaps[:, column])
    notes = tuple(
        f"{value.slice[0]} {value.slice[1]}: n is {value.n}, fewer than {min_n}: not searched"
        for value in values
        if value.slice is not None and value.n < min_n
    )
    return SliceSearch(overall, _corrected(found, columns), notes)


def _corrected(found: Sequence[SliceGap], columns: Sequence[np.ndarray]) -> tuple[SliceGap, ...]:
    """With p, the slice that stands out most first. `columns` has each slice's gaps (below 0 is worse): the observed
    one, then one a permutation."""
    if not found:
        return ()
    gaps = np.stack(columns, axis=1)
    # In standard deviations of its own permutations: else the smallest slices would always be the worst.
    spread = np.nanstd(gaps[1:], axis=0)
    standing = np.divide(gaps, spread, out=np.zeros_like(gaps), where=spread > 0)
    worst = np.nanmin(standing[1:], axis=1)
    p = (1 + (worst[:, None] <= standing[0] + 1e-9).sum(axis=0)) / (1 + len(worst))
    return tuple(replace(found[index], p=float(p[index])) for index in np.argsort(standing[0], kind="stable"))


@dataclass(frozen=True, slots=True)
class _LabelPermutation:
    """The labels of one key, permuted among groups of items: all items of an image under one label.

    `groups` (groups, statistics) are sums over the items of a group, `sizes` (groups,) counts them, and `label`
    (groups,) is an index into `labels`.
    """

    labels: list[str]
    groups: np.ndarray
    sizes: np.ndarray
    label: np.ndarray

    @staticmethod
    def of(items: Sequence[Item], table: Table, key: str) -> _LabelPermutation:
        by_label = [(where[1], chosen) for where, chosen in parts(items, [key]) if where is not None]
        groups, sizes, label = [], [], []
        for index, (_, chosen) in enumerate(by_label):
            groups.append(table.by_image(chosen))
            sizes.append(np.unique(table.image[chosen], return_counts=True)[1])
            label.append(np.full(len(groups[-1]), index))
        labels = [text for text, _ in by_label]
        return _LabelPermutation(labels, *(np.concatenate(column) for column in (groups, sizes, label)))

    def sums(self, permutations: int, seed: int) -> np.ndarray:
        """Statistics of every label, observed and then permuted: (1 + permutations, labels, statistics)."""
        rng = np.random.default_rng(seed)
        alike = [np.flatnonzero(self.sizes == size) for size in np.unique(self.sizes)]
        label = self.label.copy()
        sums = np.empty((1 + permutations, len(self.labels), self.groups.shape[1]))
        for number in range(1 + permutations):
            if number > 0:
                for members in alike:
                    label[members] = rng.permutation(label[members])
            for column, statistic in enumerate(self.groups.T):
                sums[number, :, column] = np.bincount(label, weights=statistic, minlength=len(self.labels))
        return sums
