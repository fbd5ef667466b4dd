"""How much of one space a rotation can lay onto the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.probe.clusters import JACKKNIFE, jackknife_of_correlations, jackknife_subsets
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.space import Points, blocks

COMPONENTS = 256
DRAWS = 100
ENOUGH = 20
"""Items a component, below which the similarity of a larger set is often under the whole interval."""


@dataclass(frozen=True)
class Principal:
    """Coordinates (n, count) on a site's first principal axes, and the share of the variance that the first 1, 2, ...
    hold: (count,)."""

    site: str
    coordinates: np.ndarray
    shares: np.ndarray


def principal_components(points: Points, count: int = COMPONENTS) -> Principal:
    """At most `count` components, by the smaller of covariance and Gram matrix."""
    n, width = len(points), points.width
    count = min(count, width, n - 1)

    def centred(rows: slice) -> np.ndarray:
        return points.rows(rows) - points.mean

    if n <= width:
        rows = centred(slice(0, n))
        values, axes = np.linalg.eigh(rows @ rows.T)
        coordinates = (axes * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :count]
    else:
        covariance = np.zeros((width, width))
        for part in blocks(n, width):
            rows = centred(part)
            covariance += rows.T @ rows
        values, axes = np.linalg.eigh(covariance)
        first = axes[:, ::-1][:, :count]
        coordinates = np.concatenate([centred(part) @ first for part in blocks(n, width)])
    return Principal(points.space.site, coordinates, np.cumsum(values[::-1][:count]) / values.sum())


def procrustes_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Nuclear norm of the cross product of the centred spaces, (n, d) and (n, e), over their Frobenius norms: the
    cosine between the two after the best rotation of one, in [0, 1]. Schonemann 1966; Williams et al. 2021."""
    first, second = (space - space.mean(axis=0) for space in (first, second))
    cross = np.linalg.svd(first.T @ second, compute_uv=False).sum()
    return float(cross / (np.linalg.norm(first) * np.linalg.norm(second)))


def procrustes(first: Principal, second: Principal, cluster: np.ndarray) -> Measurement:
    """Procrustes similarity of equally many principal components. It has no debiased form: with many components and few
    items a rotation always fits something, and only the distance to `procrustes_null` counts."""
    a, b = _alike(first, second)
    values = np.array([procrustes_similarity(a[some], b[some]) for some in jackknife_subsets(cluster)])
    low, high = jackknife_of_correlations(values) or (None, None)
    count = a.shape[1]
    few = f"{len(a)} items for {count} components: higher than of more items, interval and all; compare with the null"
    shares = {"variance_first": float(first.shares[count - 1]), "variance_second": float(second.shares[count - 1])}
    return Measurement(
        "procrustes",
        (first.site, second.site),
        float(values[0]),
        None if low is None else max(low, 0.0),
        high,
        n=len(a),
        clusters=int(cluster.max()) + 1,
        method=f"nuclear norm of the cross product; {JACKKNIFE}, on Fisher's z",
        settings={"components": count, **shares},
        flags=(few,) if len(a) < ENOUGH * count else (),
    )


def procrustes_null(first: Principal, second: Principal, seed: int = 0) -> Yardstick:
    a, b = _alike(first, second)
    rng = np.random.default_rng(seed)
    chance = np.array([procrustes_similarity(a, b[rng.permutation(len(b))]) for _ in range(DRAWS)])
    return Yardstick.of_draws(chance, f"{DRAWS} permutations of the items")


def _alike(first: Principal, second: Principal) -> tuple[np.ndarray, np.ndarray]:
    count = min(len(first.shares), len(second.shares))
    return first.coordinates[:, :count], second.coordinates[:, :count]
