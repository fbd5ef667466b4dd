"""Similarity of two spaces as wholes, over all pairs of items: debiased CKA, distance correlation, correlation of
distances. One pass over blocks of pairs gives the value, its interval and its null."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from chiasm.probe.clusters import JACKKNIFE, jackknife_of_correlations, jackknife_subsets
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.space import Points, blocks

Pairs = Literal["products", "distances"]
NULL = "items permuted: exact mean, 1.96 exact standard deviations"
BLOCK = 2**23
"""Pairs at a time."""


@dataclass(frozen=True)
class PairSums:
    """Sums over ordered pairs of different items, of a pair's values a and b in the two spaces. Each is (c,): of all
    items, then without each group. `rows_aa` and the like are sums over items of products of row sums."""

    n: np.ndarray
    a: np.ndarray
    b: np.ndarray
    aa: np.ndarray
    bb: np.ndarray
    ab: np.ndarray
    rows_aa: np.ndarray
    rows_bb: np.ndarray
    rows_ab: np.ndarray

    def u_centred_correlation(self) -> np.ndarray:
        """Inner product of the two U-centred matrices over the root of their squared norms: (c,), at most 1, 0 on
        average under permutations. Szekely and Rizzo 2014, section 3."""
        n = self.n

        def inner(ab: np.ndarray, a: np.ndarray, b: np.ndarray, rows_ab: np.ndarray) -> np.ndarray:
            return ab + a * b / ((n - 1) * (n - 2)) - 2 * rows_ab / (n - 2)

        norms = inner(self.aa, self.a, self.a, self.rows_aa) * inner(self.bb, self.b, self.b, self.rows_bb)
        return inner(self.ab, self.a, self.b, self.rows_ab) / np.sqrt(norms)

    def pearson(self) -> np.ndarray:
        """Correlation of a and b over pairs: (c,)."""
        pairs = self.n * (self.n - 1)
        covariance = self.ab - self.a * self.b / pairs
        return covariance / np.sqrt((self.aa - self.a**2 / pairs) * (self.bb - self.b**2 / pairs))

    def pearson_null_deviation(self) -> float:
        """Standard deviation of `pearson` over all permutations of the items; its mean is 0. Mantel 1967."""
        n = float(self.n[0])
        kinds = []
        for total, squares, rows in ((self.a, self.aa, self.rows_aa), (self.b, self.bb, self.rows_bb)):
            mean = total[0] / (n * (n - 1))
            centred = squares[0] - mean * total[0]
            row_squares = rows[0] - n * ((n - 1) * mean) ** 2
            kinds.append(np.array([2 * centred, 4 * (row_squares - centred), 2 * centred - 4 * row_squares]) / centred)
        ways = n * (n - 1) * np.array([2, 4 * (n - 2), (n - 2) * (n - 3)])
        return sqrt(float((kinds[0] * kinds[1] / ways).sum()))


def debiased_cka(first: Points, second: Points, cluster: np.ndarray) -> Measurement:
    """Linear CKA with the unbiased estimator of HSIC (Song et al. 2012; Murphy, Zylberberg and Fyshe 2024): 1 for
    spaces that differ by rotation and scale, 0 on average for unrelated ones however wide they are.

    Its null has no unknowns: over all permutations of the items the mean is 0 and the variance 2 / (n (n - 3)).
    """
    sums = pair_sums(first, second, cluster, "products")
    name, method = "debiased_cka", "linear kernel, unbiased HSIC"
    return _measurement(name, method, sums.u_centred_correlation(), _u_centred_deviation(sums), first, second, cluster)


def distance_measures(first: Points, second: Points, cluster: np.ndarray) -> tuple[Measurement, Measurement]:
    """Bias-corrected squared distance correlation (Szekely and Rizzo 2013), 0 on average for independent spaces of any
    width; and Pearson's correlation of the distances of all pairs."""
    sums = pair_sums(first, second, cluster, "distances")
    name, method = "distance_correlation", "bias-corrected, squared"
    values, deviation = sums.u_centred_correlation(), _u_centred_deviation(sums)
    correlation = _measurement(name, method, values, deviation, first, second, cluster)
    name, method = "pairwise_distance_correlation", "Pearson's r over pairs of items"
    values, deviation = sums.pearson(), sums.pearson_null_deviation()
    return correlation, _measurement(name, method, values, deviation, first, second, cluster)


def pair_sums(first: Points, second: Points, cluster: np.ndarray, pairs: Pairs) -> PairSums:
    """Sums over all pairs, products or distances; column 0 is of all items, the others leave out one group of clusters
    each. Holds both spaces in fp32, and blocks of pairs. `cluster`, (n,), numbers each item's cluster."""
    n = len(first)
    present = torch.from_numpy(jackknife_subsets(cluster).T).float()
    values_of = [_pair_values(points, pairs) for points in (first, second)]
    sums = torch.zeros(8, present.shape[1], dtype=torch.float64)
    for rows in blocks(n, n, BLOCK):
        here = present[rows].double()
        itself = torch.arange(rows.start, rows.stop)
        a, b = (values(rows) for values in values_of)
        a[itself - rows.start, itself] = b[itself - rows.start, itself] = 0
        row_a, row_b, row_aa, row_bb, row_ab = ((values @ present).double() for values in (a, b, a * a, b * b, a * b))
        terms = (row_a, row_b, row_aa, row_bb, row_ab, row_a * row_a, row_b * row_b, row_a * row_b)
        sums += torch.stack([(here * term).sum(0) for term in terms])
    return PairSums(present.double().sum(0).numpy(), *sums.numpy())


def _pair_values(points: Points, pairs: Pairs) -> Callable[[slice], Tensor]:
    """From rows to their values with every item: (rows, n). Scaled to a mean length of 1; distances less their typical
    value, which changes no measure but keeps sums of fp32 values precise."""
    x = torch.empty(len(points), points.width)
    for rows in blocks(len(points), points.width):
        x[rows] = torch.from_numpy(points.rows(rows) - points.mean)
    squares = x.square().sum(1)
    x /= squares.sqrt().mean()
    squares = x.square().sum(1)

    def products(rows: slice) -> Tensor:
        return x[rows] @ x.T

    def distances(rows: slice) -> Tensor:
        return torch.cdist(x[rows], x, compute_mode="use_mm_for_euclid_dist")

    if pairs == "products":
        return products
    typical = distances(slice(0, min(len(x), 64))).mean()
    return lambda rows: distances(rows) - typical


def _u_centred_deviation(sums: PairSums) -> float:
    return sqrt(2 / (sums.n[0] * (sums.n[0] - 3)))


def _measurement(
    name: str, method: str, values: np.ndarray, deviation: float, first: Points, second: Points, cluster: np.ndarray
) -> Measurement:
    """`values` (1 + groups,): of all items, and without each group; `deviation` is that of the permutation null."""
    low, high = jackknife_of_correlations(values) or (None, None)
    return Measurement(
        name,
        (first.space.site, second.space.site),
        float(values[0]),
        low,
        high,
        Yardstick(0.0, -1.96 * deviation, 1.96 * deviation, NULL),
        n=len(first),
        clusters=int(cluster.max()) + 1,
        method=f"{method}; {JACKKNIFE}, on Fisher's z",
    )
