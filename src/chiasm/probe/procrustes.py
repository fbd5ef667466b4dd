"""How much of one space a rotation can lay onto the other."""

from __future__ import annotations

import numpy as np

from chiasm.probe.clusters import JACKKNIFE, jackknife_of_subsets, jackknife_subsets
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.space import Points, blocks

COMPONENTS = 256
DRAWS = 100


def principal_components(points: Points, count: int) -> tuple[np.ndarray, float]:
    """Coordinates on the first `count` principal axes, (n, count), and the share of the variance that they hold."""
    n, width = len(points), points.width
    covariance = np.zeros((width, width))
    for rows in blocks(n, width):
        centred = points.rows(rows) - points.mean
        covariance += centred.T @ centred
    values, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1][:, :count]
    coordinates = np.concatenate([(points.rows(rows) - points.mean) @ axes for rows in blocks(n, width)])
    return coordinates, float(values[::-1][:count].sum() / values.sum())


def procrustes_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Nuclear norm of the cross product of the centred spaces, (n, d) and (n, e), over their Frobenius norms: the
    cosine between the two after the best rotation of one, in [0, 1]. Schonemann 1966; Williams et al. 2021."""
    first, second = (space - space.mean(axis=0) for space in (first, second))
    cross = np.linalg.svd(first.T @ second, compute_uv=False).sum()
    return float(cross / (np.linalg.norm(first) * np.linalg.norm(second)))


def procrustes(
    first: Points, second: Points, cluster: np.ndarray, components: int = COMPONENTS, seed: int = 0
) -> Measurement:
    """Procrustes similarity of the first `components` principal components. It has no debiased form: with many
    components and few items a rotation always fits something, and only the distance to the null counts. The null is
    sampled, 100 permutations of the items."""
    count = min(components, first.width, second.width, len(first) - 1)
    (a, share_a), (b, share_b) = (principal_components(points, count) for points in (first, second))
    values = np.array([procrustes_similarity(a[some], b[some]) for some in jackknife_subsets(cluster)])
    low, high = jackknife_of_subsets(values) or (None, None)
    rng = np.random.default_rng(seed)
    chance = np.array([procrustes_similarity(a, b[rng.permutation(len(b))]) for _ in range(DRAWS)])
    return Measurement(
        "procrustes",
        (first.space.site, second.space.site),
        float(values[0]),
        low,
        high,
        Yardstick.of_draws(chance, f"{DRAWS} permutations of the items"),
        n=len(first),
        clusters=int(cluster.max()) + 1,
        method=f"nuclear norm of the cross product; {JACKKNIFE}",
        settings={"components": count, "variance_first": share_a, "variance_second": share_b, "seed": seed},
    )
