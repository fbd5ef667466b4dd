"""Vectors of the same items at a site, checked once, and the points whose distances are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chiasm.errors import DataError

Metric = Literal["l2", "cosine"]
Scaling = Literal["raw", "centred", "z-scored"]
RowNorm = Callable[[np.ndarray], np.ndarray]
"""A norm that acts on each row alone, (rows, d) float64 -> the same: a connector's own input norm."""

BLOCK = 2**24
"""Numbers that are held in float64 at a time."""
CONSTANT = 1e-12
"""A feature whose standard deviation is this small against its mean varies by rounding alone."""


@dataclass(frozen=True)
class Space:
    """One vector an item, at one site.

    site      "encoder", "connector.in", "connector", "dinov2"
    ids       (n,) distinct names of the items
    vectors   (n, d) floats; a memory map is read block by block
    norm      applied to the vectors before anything else, where they were taken in front of a connector's own norm

    Raises DataError for fewer than two items, ids that come twice, and values that are not finite (naming the item).
    """

    site: str
    ids: Sequence[str]
    vectors: np.ndarray
    norm: RowNorm | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids) or not self.vectors.shape[1]:
            raise DataError(
                f"{self.site}: {len(self.ids)} ids, but vectors of shape {self.vectors.shape}; expected (n, d)"
            )
        if len(self.ids) < 2:
            raise DataError(f"{self.site}: {len(self.ids)} item; geometry compares items, so give it several")
        if len(set(self.ids)) < len(self.ids):
            twice = Counter(self.ids).most_common(1)[0][0]
            raise DataError(f"{self.site}: item {twice!r} comes twice")
        for rows in blocks(len(self), self.width):
            bad = ~np.isfinite(self.vectors[rows]).all(axis=1)
            if bad.any():
                item = self.ids[rows.start + int(bad.argmax())]
                raise DataError(f"{self.site}: the vector of item {item!r} holds NaN or infinity; extract it again")

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    @property
    def all_identical(self) -> bool:
        return all((self.vectors[rows] == self.vectors[:1]).all() for rows in blocks(len(self), self.width))


def check_same_items(first: Space, *others: Space) -> None:
    """Raises DataError, naming an item, unless all spaces hold the same items in the same order."""
    for other in others:
        if list(first.ids) == list(other.ids):
            continue
        for here, there in ((first, other), (other, first)):
            missing = sorted(set(here.ids) - set(there.ids))
            if missing:
                raise DataError(
                    f"{there.site} lacks {len(missing)} of the items of {here.site}, {missing[0]!r} for one; "
                    "compare spaces of the same items"
                )
        raise DataError(f"{first.site} and {other.site} hold the same items in another order; bring them into one")


def blocks(count: int, width: int, numbers: int = BLOCK) -> Iterator[slice]:
    """Slices of `count` rows, each of at most `numbers` values (at least one row)."""
    step = max(1, numbers // width)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


class Points:
    """Rows whose Euclidean distances have the order of the chosen metric.

    For "cosine" rows are scaled to length 1: half their squared distance is then 1 - cosine. The scaling comes before:
    "centred" takes the mean off each feature, "z-scored" divides by its standard deviation too (a feature that doesn't
    vary becomes 0). `mean`, (d,), is the mean of the finished rows: distances don't change when it is taken off, and
    rounding errors shrink.

    Raises DataError where a row has no direction (cosine of a zero vector), naming the item, and where a norm or an
    overflow leaves values that are not finite.
    """

    def __init__(self, space: Space, metric: Metric = "l2", scaling: Scaling = "raw") -> None:
        self.space, self.metric = space, metric
        self._shift: np.ndarray | None = None
        self._deviation: np.ndarray | None = None
        if scaling != "raw":
            shift = self._mean(self._scaled)
            if scaling == "z-scored":
                deviation = np.sqrt(self._mean(lambda which: (self._scaled(which) - shift) ** 2))
                self._deviation = np.where(deviation > CONSTANT * abs(shift), deviation, np.inf)
            self._shift = shift
        self.mean = self._mean(self.rows)
        if not np.isfinite(self.mean).all():
            raise DataError(f"{space.site}: vectors are not finite after the norm and scaling ({metric}, {scaling})")

    def __len__(self) -> int:
        return len(self.space)

    @property
    def width(self) -> int:
        return len(self.mean)

    def rows(self, which: slice | np.ndarray) -> np.ndarray:
        """The chosen rows, (rows, d) float64, the caller's own."""
        rows = self._scaled(which)
        if self.metric == "cosine":
            lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
            if not lengths.all():
                item = self.space.ids[int(np.arange(len(self))[which][int((lengths == 0).argmax())])]
                raise DataError(f"{self.space.site}: item {item!r} is a zero vector, which has no cosine; use l2")
            rows /= lengths[:, None]
        return rows

    def _scaled(self, which: slice | np.ndarray) -> np.ndarray:
        rows = np.array(self.space.vectors[which], dtype=np.float64)
        if self.space.norm is not None:
            rows = self.space.norm(rows)
        if self._shift is not None:
            rows -= self._shift
        if self._deviation is not None:
            rows /= self._deviation
        return rows

    def _mean(self, rows_of: Callable[[slice], np.ndarray]) -> np.ndarray:
        return np.sum([rows_of(which).sum(axis=0) for which in blocks(len(self), self.space.width)], axis=0) / len(self)
