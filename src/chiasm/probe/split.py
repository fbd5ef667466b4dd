"""Pictures into parts for training, validation and test, whole clusters at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError
from chiasm.probe.clusters import numbered

SHARES = (0.6, 0.15, 0.25)


@dataclass(frozen=True)
class Split:
    """Indices of pictures, rising. No cluster has pictures in two parts; `cluster` (n,) numbers each picture's."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    cluster: np.ndarray

    def smaller_train(self, share: float, seed: int = 0) -> np.ndarray:
        """A share of the training pictures, at least one cluster of them; a smaller share is part of a larger one."""
        clusters = np.unique(self.cluster[self.train])
        order = np.random.default_rng(seed).permutation(clusters)
        kept = order[: max(1, round(share * len(order)))]
        return self.train[np.isin(self.cluster[self.train], kept)]


def split_pictures(
    count: int, clusters: Sequence[Hashable] | None = None, shares: Sequence[float] = SHARES, seed: int = 0
) -> Split:
    """`count` pictures in three parts of about the given shares; without `clusters` each picture is its own.

    Raises DataError where a part would be empty.
    """
    cluster = numbered(clusters, count)
    sizes = np.bincount(cluster, minlength=1)
    order = np.random.default_rng(seed).permutation(len(sizes))
    middles = (np.cumsum(sizes[order]) - sizes[order] / 2) / max(count, 1)
    part_of = np.empty(len(sizes), dtype=np.int64)
    part_of[order] = np.searchsorted(np.cumsum(shares)[:-1], middles)
    train, validation, test = (np.flatnonzero(part_of[cluster] == part) for part in range(3))
    if not (len(train) and len(validation) and len(test)):
        raise DataError(
            f"{count} pictures in {len(np.unique(cluster))} clusters can't be split for training, validation and test; "
            "give more pictures, or group them more finely"
        )
    return Split(train, validation, test, cluster)
