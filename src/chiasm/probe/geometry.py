"""Whether two sites see the same pictures as similar: every measure of two spaces, with its yardsticks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from chiasm.errors import DataError
from chiasm.probe.clusters import JACKKNIFE, jackknife_of_subsets, jackknife_subsets, numbered
from chiasm.probe.duplicates import duplicate_groups, duplicate_share
from chiasm.probe.hubness import hubness
from chiasm.probe.neighbours import Neighbours, nearest_neighbours
from chiasm.probe.nulls import group_preserving_overlaps, mean_displacement, permutation_moments, shifted_overlaps
from chiasm.probe.overlap import Overlap, overlaps_of_subsets, rank_biased_overlap
from chiasm.probe.procrustes import Principal, principal_components, procrustes, procrustes_null
from chiasm.probe.result import Measurement, Setting, Yardstick
from chiasm.probe.similarity import debiased_cka, distance_measures
from chiasm.probe.space import Metric, Points, Scaling, Space, check_same_items

PERSISTENCE = 0.9
WHOLE = ("rbo", "debiased_cka", "distance_correlation", "pairwise_distance_correlation", "procrustes")
FEWEST_ITEMS = 8
SPARE, MORE = 16, 1.25
"""Neighbours kept beyond those that would do, on average, when a part of the items is left out."""


@dataclass(frozen=True)
class Geometry:
    """How spaces are compared.

    ks          neighbourhood sizes to report
    metric, scaling   as in `Points`, the same for both spaces
    seed        of the null's permutations
    """

    ks: tuple[int, ...] = (10, 50, 100)
    metric: Metric = "l2"
    scaling: Scaling = "z-scored"
    seed: int = 0


DEFAULT = Geometry()


class View:
    """A space, compared in one way; what belongs to it alone is computed once, for all comparisons that it is in."""

    def __init__(self, space: Space, how: Geometry, cluster: np.ndarray) -> None:
        self.space, self.how, self.cluster = space, how, cluster

    @cached_property
    def points(self) -> Points:
        return Points(self.space, self.how.metric, self.how.scaling)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Lists so long that they still reach `max(how.ks)` when any group of clusters is left out."""
        k, n = max(self.how.ks), len(self.space)
        left = jackknife_subsets(self.cluster).mean(axis=1).min()
        return nearest_neighbours(self.points, max(k, min(n - 1, ceil(k / left * MORE) + SPARE)))

    @cached_property
    def duplicates(self) -> np.ndarray:
        """See `duplicate_groups`."""
        return duplicate_groups(self.points, self.neighbours)

    @cached_property
    def principal(self) -> Principal:
        return principal_components(self.points)

    @cached_property
    def hubness(self) -> list[Measurement]:
        found = (hubness(self.space.site, self.neighbours, k, self.cluster) for k in self.how.ks)
        settings: dict[str, Setting] = {"metric": self.how.metric, "scaling": self.how.scaling}
        return [replace(one, settings={**settings, **one.settings}) for one in found]


class Comparer:
    """Compares spaces of the same items in one way. `clusters` are (n,) labels of items that aren't independent
    (folder, source); intervals leave out whole clusters."""

    def __init__(self, how: Geometry = DEFAULT, clusters: Sequence[Hashable] | None = None) -> None:
        self.how, self._clusters = how, clusters
        self._views: dict[int, View] = {}
        self._overlaps: dict[tuple[View, View], list[Overlap]] = {}
        self._nulls_of: dict[tuple[View, View], tuple[np.ndarray, str]] = {}

    def compare(
        self,
        first: Space,
        second: Space,
        resampled: tuple[Space, Space] | None = None,
        untrained: Space | None = None,
    ) -> tuple[Measurement, ...]:
        """See `compare_spaces`."""
        check_same_items(first, second, *(resampled or ()), *((untrained,) if untrained else ()))
        if len(first) < FEWEST_ITEMS:
            raise DataError(
                f"{len(first)} items are too few to compare {first.site} and {second.site}: give at least 8"
            )
        found = self._measured(first, second)
        if found[0].value is None:
            return tuple(found)
        nulls = self._nulls(first, second)
        found = [replace(m, null=nulls.get(m.name, m.null)) for m in found]
        if resampled:
            ceilings = _yardsticks(self._measured(*resampled), "halves of the tokens, pooled apart")
            found = [replace(m, ceiling=ceilings.get(m.name)) for m in found]
        if untrained:
            controls = _yardsticks(self._measured(first, untrained), "connector initialised at random")
            found = [replace(m, control=controls.get(m.name)) for m in found]
        exact = self._exact_null(first, second)
        found = [replace(m, settings={**m.settings, **exact.get(m.name, {})}) for m in found]
        return (*found, *self.view(first).hubness, *self.view(second).hubness)

    def overlaps(self, first: Space, second: Space) -> list[Overlap]:
        """At k = 1, 2, ..., `max(how.ks)`: of all items, and without each group of the jackknife."""
        views = self.view(first), self.view(second)
        if views not in self._overlaps:
            lists, others = (view.neighbours.index for view in views)
            subsets = jackknife_subsets(views[0].cluster)
            self._overlaps[views] = overlaps_of_subsets(lists, others, subsets, max(self.how.ks))
        return self._overlaps[views]

    def sampled_null(self, first: Space, second: Space) -> tuple[np.ndarray, str]:
        """KNOR at k = 1, 2, ..., `max(how.ks)` under permutations of the items, (permutations, k), and which these are.
        Near duplicates in the first space stay together."""
        views = self.view(first), self.view(second)
        if views not in self._nulls_of:
            lists, duplicates = self._lists(first, second), views[0].duplicates
            if duplicate_share(duplicates) == 0:
                null, which = shifted_overlaps(*lists, seed=self.how.seed), "of the items"
            else:
                null = group_preserving_overlaps(*lists, duplicates, seed=self.how.seed)
                which = "that keep near duplicates together"
            self._nulls_of[views] = null, f"{len(null)} permutations {which}"
        return self._nulls_of[views]

    def _lists(self, first: Space, second: Space) -> tuple[np.ndarray, np.ndarray]:
        k = max(self.how.ks)
        return self.view(first).neighbours.index[:, :k], self.view(second).neighbours.index[:, :k]

    def view(self, space: Space) -> View:
        """The same for the same object."""
        if id(space) not in self._views:
            self._views[id(space)] = View(space, self.how, numbered(self._clusters, len(space)))
        return self._views[id(space)]

    def _measured(self, first: Space, second: Space) -> list[Measurement]:
        """All that is of both, with intervals."""
        sites = first.site, second.site
        for space in (first, second):
            if space.all_identical:
                flag = f"all {len(space)} items are identical at {space.site}"
                names = [*(f"{name}@{k}" for name in ("knor", "rank_displacement") for k in self.how.ks), *WHOLE]
                return [Measurement(name, sites, None, n=len(space), flags=(flag,)) for name in names]
        a, b = self.view(first), self.view(second)
        found = [
            *overlap_measurements(sites, self.overlaps(first, second), self.how.ks, a.cluster),
            debiased_cka(a.points, b.points, a.cluster),
            *distance_measures(a.points, b.points, a.cluster),
            procrustes(a.principal, b.principal, a.cluster),
        ]
        share = duplicate_share(a.duplicates)
        flags = (f"near duplicates: {share:.1%} of the items at {first.site}",) if share else ()
        shared: dict[str, Setting] = {
            "metric": self.how.metric,
            "scaling": self.how.scaling,
            "normed_sites": ", ".join(space.site for space in (first, second) if space.norm),
            "seed": self.how.seed,
            "ties_first": a.neighbours.ties,
            "ties_second": b.neighbours.ties,
        }
        return [replace(m, settings={**shared, **m.settings}, flags=(*m.flags, *flags)) for m in found]

    def _nulls(self, first: Space, second: Space) -> dict[str, Yardstick]:
        draws, situation = self.sampled_null(first, second)
        found = {f"knor@{k}": Yardstick.of_draws(draws[:, k - 1], situation) for k in self.how.ks}
        found["rbo"] = Yardstick.of_draws(rank_biased_overlap(draws, PERSISTENCE), situation)
        for k in self.how.ks:
            mean, method = mean_displacement(len(first), k), "mean over all permutations of the items"
            found[f"rank_displacement@{k}"] = Yardstick(mean, method=method)
        found["procrustes"] = procrustes_null(self.view(first).principal, self.view(second).principal, self.how.seed)
        return found

    def _exact_null(self, first: Space, second: Space) -> dict[str, dict[str, float]]:
        """Settings of KNOR: its mean and standard deviation over all permutations, near duplicates or not."""
        mean, deviation = permutation_moments(*self._lists(first, second))
        return {
            f"knor@{k}": {"null_mean": float(mean[k - 1]), "null_deviation": float(deviation[k - 1])}
            for k in self.how.ks
        }


def compare_spaces(
    first: Space,
    second: Space,
    how: Geometry = DEFAULT,
    clusters: Sequence[Hashable] | None = None,
    resampled: tuple[Space, Space] | None = None,
    untrained: Space | None = None,
) -> tuple[Measurement, ...]:
    """Neighbour overlap at every k of `how.ks`, rank-biased overlap, rank displacement, debiased CKA, distance
    correlation, correlation of distances and Procrustes similarity of two spaces of the same items; hubness of each.

    resampled   the first site twice, each from one half of the tokens: their similarity is the ceiling
    untrained   the second site with the connector initialised at random: its similarity to the first is the control

    The null permutes items. Where there are near duplicates in the first space they stay together in the null of the
    overlaps, so that it holds what they alone make, and every measurement is flagged.

    Raises DataError for fewer than 8 items, different items, k >= n, and vectors that Space or Points refuse. Where all
    items are identical at a site, every value is None and flagged.
    """
    return Comparer(how, clusters).compare(first, second, resampled, untrained)


def overlap_measurements(
    sites: tuple[str, str], overlaps: Sequence[Overlap], ks: Sequence[int], cluster: np.ndarray
) -> list[Measurement]:
    """KNOR and mean rank displacement at each k, and RBO, from overlaps of all items and without each group of the
    jackknife: a picture that is left out is missing as somebody's neighbour too. `cluster`, (n,), numbers clusters."""
    knors, moved = (np.array([getattr(one, name) for one in overlaps]) for name in ("knor", "displacement"))

    def measurement(name: str, method: str, values: np.ndarray, most: int, **settings: Setting) -> Measurement:
        """`values` (1 + groups,), from 0 to `most`."""
        low: float | None = None
        high: float | None = None
        flags: tuple[str, ...] = ()
        interval = jackknife_of_subsets(values)
        if len(values) > 1 and interval is None:
            flags = (f"no interval: without a part of the items there are not {settings['k']} neighbours",)
        elif len(values) > 1 and np.ptp(values[1:]) == 0:
            flags = (f"no interval for {name}: it is the same without any part of the items",)
        elif interval is not None:
            low, high = max(interval[0], 0.0), min(interval[1], float(most))
        return Measurement(
            name,
            sites,
            float(values[0]),
            low,
            high,
            n=len(cluster),
            clusters=int(cluster.max()) + 1,
            method=f"{method}; {JACKKNIFE}",
            settings=settings,
            flags=flags,
        )

    found = []
    for k in ks:
        found.append(measurement(f"knor@{k}", "mean share of the k nearest in common", knors[:, k - 1], 1, k=k))
    rbo = rank_biased_overlap(knors, PERSISTENCE)
    found.append(measurement("rbo", "rank-biased overlap, extrapolated", rbo, 1, k=max(ks), persistence=PERSISTENCE))
    for k in ks:
        method = "mean |difference of ranks| of the first site's k nearest, k for one that the second lacks"
        found.append(measurement(f"rank_displacement@{k}", method, moved[:, k - 1], k, k=k))
    return found


def _yardsticks(measurements: Iterable[Measurement], situation: str) -> dict[str, Yardstick]:
    """By name."""
    return {m.name: Yardstick(m.value, m.ci_low, m.ci_high, situation) for m in measurements if m.value is not None}
