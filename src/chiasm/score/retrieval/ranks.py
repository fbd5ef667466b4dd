"""At which rank each right answer stands, by counting what scores higher, without sorting and block by block.

A wrong candidate with an equal score ranks above a right one, so that a constant score never looks good.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from chiasm.errors import DataError

ScoreBlock = Callable[[int, int], np.ndarray]
"""The scores of the queries from one number up to another: (queries, candidates)."""

BLOCK_BYTES = 32 * 2**20
_MOST_ROWS = 255  # as many as a count in one byte can hold


def ranks_in_rows(
    scores: ScoreBlock, positives: Sequence[np.ndarray], candidates: int, itemsize: int
) -> Iterator[list[int]]:
    """For each query, a row of scores, the ranks of its right candidates, from 1 and rising.

    `positives` has their numbers. Blocks hold as many queries as fit in 32 MiB at `itemsize` bytes a score, and at
    least one. Raises DataError for a score that is not finite.
    """
    step = max(1, BLOCK_BYTES // (itemsize * candidates))
    for start in range(0, len(positives), step):
        stop = min(start + step, len(positives))
        block = np.ascontiguousarray(scores(start, stop))
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise DataError(f"the scores of query {start + int(np.argmin(finite))} are not all finite numbers")
        for row, right in zip(block, positives[start:stop], strict=True):
            yield _row_ranks(row, right)


def ranks_in_columns(scores: np.ndarray, positives: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """The same where each column of `scores` (candidates, queries), all finite, is a query.

    It reads the matrix row by row, as it lies in memory or in a mapped file, several times faster than its transpose.
    """
    sizes = np.array([len(right) for right in positives])
    queries = np.repeat(np.arange(len(positives)), sizes)
    values = scores[np.concatenate(positives), queries]
    order = np.lexsort((-values, queries))
    places = np.arange(len(values)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # (most positives, queries): the scores of the right candidates, falling in each column.
    right = np.full((sizes.max(), len(positives)), -np.inf, dtype=scores.dtype)
    right[places, queries] = values[order]
    at_least = np.zeros(right.shape, dtype=np.int64)
    step = min(_MOST_ROWS, max(1, BLOCK_BYTES // (scores.itemsize * len(positives))))
    for start in range(0, len(scores), step):
        block = scores[start : start + step]
        for place, threshold in enumerate(right):
            at_least[place] += (block >= threshold).view(np.uint8).sum(axis=0, dtype=np.uint8)
    ranks = at_least - _right_at_least(right) + np.arange(1, len(right) + 1)[:, None]
    for query, size in enumerate(sizes):
        yield ranks[:size, query].tolist()


def _row_ranks(row: np.ndarray, positives: np.ndarray) -> list[int]:
    rising: list[float] = sorted(row[positives].tolist())
    ranks = []
    for place, score in enumerate(reversed(rising), start=1):
        right_at_least = len(rising) - bisect_left(rising, score)
        wrong_at_least = int(np.count_nonzero(row >= score)) - right_at_least
        ranks.append(wrong_at_least + place)
    return ranks


def _right_at_least(falling: np.ndarray) -> np.ndarray:
    """How many of its column are at least as large as each number of columns that fall: the place of its last equal."""
    places = np.arange(1, len(falling) + 1)[:, None]
    last = np.ones(falling.shape, dtype=bool)
    last[:-1] = falling[:-1] > falling[1:]
    return np.minimum.accumulate(np.where(last, places, len(falling))[::-1], axis=0)[::-1]
