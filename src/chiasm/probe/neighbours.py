"""Exact nearest neighbours of every item among all others, in bounded memory. Overlaps, ranks and hubs need only these
lists."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.nn.linear import inner_products
from chiasm.probe.space import Points, blocks

MEMORY = 2**30
"""Bytes."""
TILE = 2048
"""Items whose products with as many others are made at a time."""
STRIP = 128
"""Rows from which the best are chosen at a time, few enough to stay in the cache."""
MARGIN = 16
"""Candidates kept beyond k, so that rounding can't push a true neighbour out."""
UNIT = 2.0**-24
"""Unit roundoff of fp32."""
SMALLEST = 2.0**-126
"""Normal fp32 number; products below it may vanish."""
CONFIDENCE = 8.0
"""Lambda of the rounding bound: an inner product leaves it with a chance below 2 exp(-lambda^2 / 2) = 3e-14."""
CACHE = 2**17
"""Numbers of a block that stays in the processor's cache."""


@dataclass(frozen=True)
class Neighbours:
    """Who is nearest to whom.

    index    (n, k) int32, the k nearest others of each item, nearest first; equally near ones by index
    ties     items whose k-th and next neighbour are equally near, so that the index decides who is in the list
    """

    index: np.ndarray
    ties: int

    def __len__(self) -> int:
        return len(self.index)

    @property
    def k(self) -> int:
        return self.index.shape[1]


def nearest_neighbours(points: Points, k: int, memory: int = MEMORY) -> Neighbours:
    """The k nearest others of every point, exact in float64: by ``sum((x - y)^2)`` of the points' rows.

    fp32 products give a shortlist, and the order of all candidates whose scores differ by more than rounding can
    explain; the others are compared again in float64. An item for which `MARGIN` more candidates than k are not enough
    is compared with everything.

    `memory` bounds the bytes of the blocks held at a time; the candidates, n * (2 k + MARGIN) * 8 bytes, come on top.
    Raises DataError unless 1 <= k < n, and if all points are the same.
    """
    n = len(points)
    if not 1 <= k < n:
        raise DataError(
            f"{points.space.site}: {n} items have {n - 1} neighbours each, {k} were asked for; "
            "give more items, or a smaller k"
        )
    kept = min(k + MARGIN, n - 1)
    lengths = np.concatenate([_norm(points.rows(rows) - points.mean) for rows in blocks(n, points.width, CACHE)])
    # Below this, all that differs between the points is the rounding of their mean.
    if lengths.max() <= 1e-14 * np.linalg.norm(points.mean):
        raise DataError(f"{points.space.site}: all {n} items are identical, none is nearer than another")
    scale = 1 / lengths.mean()
    lengths *= scale
    with torch.no_grad():
        scores, index = _shortlist(points, lengths, scale, kept, memory)

    def exact(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(-scores[rows], axis=1)
        score, whose = (np.take_along_axis(part[rows], order, axis=1) for part in (scores, index))
        tolerance = 2 * _rounding(points.width, lengths[rows], lengths[whose], score[:, k - 1])
        found, tied = _in_order(points, rows, whose, score, tolerance, k)
        if kept < n - 1:
            for row in np.flatnonzero(score[:, k - 1] - score[:, -1] <= tolerance):
                found[row], tied[row] = _among_all(points, rows.start + row, k)
        return found, tied

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        found, tied = zip(*threads.map(exact, blocks(n, kept, CACHE)), strict=True)
    return Neighbours(np.concatenate(found), int(np.concatenate(tied).sum()))


def _norm(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nd,nd->n", rows, rows))


def _shortlist(
    points: Points, lengths: np.ndarray, scale: float, kept: int, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best scores ``x.y - |y|^2 / 2`` in fp32, in no order, and whose they are: (n, kept) each. `points` are
    centred and scaled, which changes no order but keeps rounding small; `lengths`, (n,), are theirs after that."""
    n, width = len(points), points.width
    scores = np.full((n, kept), -np.inf, dtype=np.float32)
    index = np.zeros((n, kept), dtype=np.int32)
    bias = (-lengths * lengths / 2).astype(np.float32)

    def fp32(rows: slice) -> Tensor:
        block = torch.empty(rows.stop - rows.start, width)
        for part in blocks(len(block), width, CACHE):
            part_rows = points.rows(slice(rows.start + part.start, rows.start + part.stop))
            block[part] = torch.from_numpy((part_rows - points.mean) * scale)
        return block

    def merge(rows: slice, others: slice, products: np.ndarray) -> None:
        """Of the best so far and these others, keep the best."""

        def merge_strip(strip: slice) -> None:
            mine = slice(rows.start + strip.start, rows.start + strip.stop)
            found = np.concatenate([scores[mine], products[strip] + bias[others]], axis=1)
            if rows == others:
                itself = np.arange(strip.start, strip.stop)
                found[itself - strip.start, kept + itself] = -np.inf
            best = np.argpartition(found, -kept, axis=1)[:, -kept:]
            scores[mine] = np.take_along_axis(found, best, axis=1)
            before = np.take_along_axis(index[mine], np.minimum(best, kept - 1), axis=1)
            index[mine] = np.where(best < kept, before, best + (others.start - kept))

        list(threads.map(merge_strip, blocks(len(products), 1, STRIP)))

    # A quarter of the memory for the rows held, an eighth for a tile of others, an eighth for products: the last and
    # the next of each may be there together.
    side = max(1, min(TILE, isqrt(memory // 32), memory // (32 * width)))
    tiles = list(blocks(n, 1, side))
    held = max(1, memory // (16 * width * side))
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for first in range(0, len(tiles), held):
            here = [(rows, fp32(rows)) for rows in tiles[first : first + held]]
            for others in tiles[first:]:
                there = fp32(others)
                for rows, block in here:
                    if rows.start > others.start:  # has been compared the other way round
                        break
                    products = inner_products(block, there).numpy()
                    merge(rows, others, products)
                    if rows != others:
                        merge(others, rows, products.T)
    return scores, index


def _rounding(width: int, lengths: np.ndarray, candidates: np.ndarray, kth_score: np.ndarray) -> np.ndarray:
    """How far, for each query, the fp32 score of a candidate or of a true k-nearest neighbour can be off: (rows,).

    An inner product is off by at most ``lambda sqrt(d) u |x| |y|`` (Higham and Mary 2019, theorem 3.1); rounding x, y,
    the bias and the sum adds ``3 u |x| |y| + u |y|^2``. `lengths` (rows,) are |x|, `candidates` (rows, kept) are |y|.
    Whoever is nearer than the k-th candidate, at most r away, has |y| <= |x| + r: one far-off item spoils no bound.
    """

    def bound(longest: np.ndarray) -> np.ndarray:
        return UNIT * longest * ((CONFIDENCE * width**0.5 + 3) * lengths + longest) + width * SMALLEST

    longest = candidates.max(axis=1)
    radius = np.sqrt(np.maximum(lengths**2 - 2 * (kth_score - bound(longest)), 0))
    return bound(np.maximum(longest, lengths + radius))


def _in_order(
    points: Points, rows: slice, index: np.ndarray, scores: np.ndarray, tolerance: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of the candidates of `rows`, (rows, k), and whether the next is as near as the k-th, (rows,).

    Candidates are in order wherever two adjacent scores differ by more than `tolerance` (rows,); between such places
    lie runs, and within each run float64 decides.
    """
    close = scores[:, :-1] - scores[:, 1:] <= tolerance[:, None]
    run = np.zeros(index.shape, dtype=np.int32)
    np.cumsum(~close, axis=1, out=run[:, 1:])
    unsure = np.zeros(index.shape, dtype=bool)
    unsure[:, 1:] |= close
    unsure[:, :-1] |= close
    unsure &= run <= run[:, k - 1 : k]
    row, candidate = np.nonzero(unsure)[0], index[unsure]
    squares = np.empty(len(row))
    for pairs in blocks(len(row), points.width, CACHE):
        gaps = points.rows(row[pairs] + rows.start)
        gaps -= points.rows(candidate[pairs])
        squares[pairs] = np.einsum("nd,nd->n", gaps, gaps)
    order = np.lexsort((candidate, squares, run[unsure], row))
    index = index.copy()
    index[unsure] = candidate[order]
    tied = np.zeros(len(index), dtype=bool)
    if index.shape[1] > k:
        all_squares = np.full(index.shape, np.nan)
        all_squares[unsure] = squares[order]
        tied = all_squares[:, k - 1] == all_squares[:, k]
    return index[:, :k], tied


def _among_all(points: Points, item: int, k: int) -> tuple[np.ndarray, bool]:
    """One item's neighbours, (k,), all others compared in float64, and whether the next is as near as the k-th."""
    here = points.rows(slice(item, item + 1))
    gaps = (points.rows(others) - here for others in blocks(len(points), points.width, CACHE))
    squares = np.concatenate([np.einsum("nd,nd->n", gap, gap) for gap in gaps])
    squares[item] = np.inf
    order = np.argsort(squares, kind="stable")
    return order[:k], k < len(points) - 1 and bool(squares[order[k - 1]] == squares[order[k]])
