"""Whether two sites see the same pictures as similar: every measure of two spaces, with its yardsticks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.errors import DataError
from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval, numbered
from chiasm.probe.duplicates import duplicate_groups, duplicate_share
from chiasm.probe.hubness import hubness
from chiasm.probe.neighbours import Neighbours, nearest_neighbours
from chiasm.probe.nulls import group_preserving_overlaps, mean_displacement, permutation_moments, shifted_overlaps
from chiasm.probe.overlap import displacement_by_group, matches, rank_biased_overlap, shared_by_group
from chiasm.probe.procrustes import procrustes
from chiasm.probe.result import Measurement, Setting, Yardstick
from chiasm.probe.similarity import debiased_cka, distance_measures
from chiasm.probe.space import Metric, Points, Scaling, Space, check_same_items

Statistic = Callable[[np.ndarray], np.ndarray]
"""From sums, (rows, sums), to a number each: (rows,)."""
PERSISTENCE = 0.9
WHOLE = ("rbo", "debiased_cka", "distance_correlation", "pairwise_distance_correlation", "procrustes")
FEWEST_ITEMS = 8


@dataclass(frozen=True)
class Geometry:
    """How spaces are compared.

    ks          neighbourhood sizes to report; the largest is the length of the lists
    metric, scaling   as in `Points`, the same for both spaces
    seed        of the null's permutations
    """

    ks: tuple[int, ...] = (10, 50, 100)
    metric: Metric = "l2"
    scaling: Scaling = "z-scored"
    seed: int = 0

    def points(self, space: Space) -> Points:
        return Points(space, self.metric, self.scaling)


DEFAULT = Geometry()


def compare_spaces(
    first: Space,
    second: Space,
    how: Geometry = DEFAULT,
    clusters: Sequence[Hashable] | None = None,
    resampled: tuple[Space, Space] | None = None,
    untrained: Space | None = None,
) -> tuple[Measurement, ...]:
    """Neighbour overlap at every k of `how.ks`, rank-biased overlap, rank displacement, hubness, debiased CKA, distance
    correlation, correlation of distances and Procrustes similarity of two spaces of the same items.

    clusters    (n,) labels of items that aren't independent (folder, source); intervals resample whole clusters
    resampled   the first site twice, each from one half of the tokens: their similarity is the ceiling
    untrained   the second site with the connector initialised at random: its similarity to the first is the control

    The null permutes items. Where there are near duplicates in the first space they stay together in the null of the
    overlaps, so that it holds what they alone make, and every measurement is flagged.

    Raises DataError for fewer than 8 items, different items, k >= n, and vectors that Space or Points refuse. Where all
    items are identical at a site, every value is None and flagged.
    """
    spaces = [first, second, *(resampled or ()), *((untrained,) if untrained else ())]
    check_same_items(*spaces)
    if len(first) < FEWEST_ITEMS:
        raise DataError(f"{len(first)} items are too few to compare {first.site} and {second.site}: give at least 8")
    cluster = numbered(clusters, len(first))
    found = _measure(first, second, how, cluster)
    if resampled:
        ceilings = _yardsticks(_measure(*resampled, how, cluster), "halves of the tokens, pooled apart")
        found = [replace(m, ceiling=ceilings.get(m.name)) for m in found]
    if untrained:
        controls = _yardsticks(_measure(first, untrained, how, cluster), "connector initialised at random")
        found = [replace(m, control=controls.get(m.name)) for m in found]
    return tuple(found)


def overlap_measurements(
    first: Neighbours,
    second: Neighbours,
    sites: tuple[str, str],
    ks: Sequence[int],
    cluster: np.ndarray,
    duplicates: np.ndarray | None = None,
    seed: int = 0,
) -> list[Measurement]:
    """KNOR and mean rank displacement at each k, and RBO, from neighbour lists alone. `cluster` and `duplicates`, (n,)
    each, number clusters and groups of near duplicates. Raises DataError for a k beyond the lists."""
    if max(ks) > first.k:
        raise DataError(f"neighbour lists of {first.k} can't tell the overlap at k = {max(ks)}; make longer ones")
    found = matches(first.index, second.index)
    items = np.bincount(cluster)[:, None]
    shared = np.concatenate([items, shared_by_group(found, cluster)], axis=1)
    moved = np.concatenate([items, displacement_by_group(found, cluster)], axis=1)
    if duplicates is None or duplicate_share(duplicates) == 0:
        null = shifted_overlaps(first.index, second.index, seed=seed)
        situation = f"{len(null)} permutations of the items"
    else:
        null = group_preserving_overlaps(first.index, second.index, duplicates, seed=seed)
        situation = f"{len(null)} permutations that keep near duplicates together"
    mean, deviation = permutation_moments(first.index, second.index)

    def measurement(name: str, method: str, sums: np.ndarray, statistic: Statistic, **settings: Setting) -> Measurement:
        value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
        low, high = bootstrap_interval(sums, statistic, seed=seed) or (None, None)
        return Measurement(
            name,
            sites,
            value,
            low,
            high,
            n=len(first),
            clusters=len(items),
            method=f"{method}; {BOOTSTRAP}",
            settings={**settings, "seed": seed, "ties_first": first.ties, "ties_second": second.ties},
        )

    measurements = []
    for k in ks:
        exact = {"null_mean": float(mean[k - 1]), "null_deviation": float(deviation[k - 1])}
        method = "mean share of the k nearest in common"
        found_at_k = measurement(f"knor@{k}", method, shared[:, [0, k]], _mean_per(k), k=k, **exact)
        measurements.append(replace(found_at_k, null=Yardstick.of_draws(null[:, k - 1], situation)))
    method = "rank-biased overlap, extrapolated"
    rbo = measurement("rbo", method, shared, _rank_biased_overlap, k=first.k, persistence=PERSISTENCE)
    measurements.append(replace(rbo, null=Yardstick.of_draws(rank_biased_overlap(null, PERSISTENCE), situation)))
    for k in ks:
        method = "mean |difference of ranks| of the first site's k nearest, k for one that the second lacks"
        displacement = measurement(f"rank_displacement@{k}", method, moved[:, [0, k]], _mean_per(k), k=k)
        unrelated = Yardstick(mean_displacement(len(first), k), method="mean over all permutations of the items")
        measurements.append(replace(displacement, null=unrelated))
    return measurements


def _mean_per(k: int) -> Statistic:
    """From sums over items and their number, (rows, [items, sum]), to the mean over items and their k places."""
    return lambda sums: sums[:, 1] / sums[:, 0] / k


def _rank_biased_overlap(sums: np.ndarray) -> np.ndarray:
    """From sums over items, (rows, [items, shared at k = 1, 2, ...])."""
    overlap = sums[:, 1:] / sums[:, :1] / np.arange(1, sums.shape[1])
    return rank_biased_overlap(overlap, PERSISTENCE)


def _measure(first: Space, second: Space, how: Geometry, cluster: np.ndarray) -> list[Measurement]:
    sites = first.site, second.site
    for space in (first, second):
        if space.all_identical:
            flag = f"all {len(space)} items are identical at {space.site}"
            names = [*(f"{name}@{k}" for name in ("knor", "rank_displacement") for k in how.ks), *WHOLE]
            return [Measurement(name, sites, None, n=len(space), flags=(flag,)) for name in names]
    points = how.points(first), how.points(second)
    lists = nearest_neighbours(points[0], max(how.ks)), nearest_neighbours(points[1], max(how.ks))
    duplicates = duplicate_groups(points[0], lists[0])
    found = [
        *overlap_measurements(*lists, sites, how.ks, cluster, duplicates, how.seed),
        *(hubness(site, near, k, cluster) for site, near in zip(sites, lists, strict=True) for k in how.ks),
        debiased_cka(*points, cluster),
        *distance_measures(*points, cluster),
        procrustes(*points, cluster, seed=how.seed),
    ]
    share = duplicate_share(duplicates)
    flags = (f"near duplicates: {share:.1%} of the items at {first.site}",) if share else ()
    normed = ", ".join(space.site for space in (first, second) if space.norm)
    shared = {"metric": how.metric, "scaling": how.scaling, "normed_sites": normed}
    return [replace(m, settings={**shared, **m.settings}, flags=(*m.flags, *flags)) for m in found]


def _yardsticks(measurements: Iterable[Measurement], situation: str) -> dict[str, Yardstick]:
    """Of measurements of two sites, by name; hubness, of one site, has no other to be compared with."""
    pairs = [m for m in measurements if len(m.sites) == 2]
    return {m.name: Yardstick(m.value, m.ci_low, m.ci_high, situation) for m in pairs if m.value is not None}
