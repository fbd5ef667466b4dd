"""Two scores side by side on their common items, and how far apart they are in one metric."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import FEWEST_IMAGES, Table, small_sample_level
from chiasm.score.intervals import percentile_interval, resampled_sums
from chiasm.score.measure import Measure, Metric
from chiasm.score.paired_tests import MCNEMAR, SWAP, mcnemar, swap_test
from chiasm.score.result import Item, Score

LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Gap:
    """One metric of two models on the same items. `difference` is first minus second.

    `ci_low` and `ci_high` are its paired interval (95 %), `ci90_low` and `ci90_high` the one for equivalence, and
    `detectable` the smallest true difference that a sample like this one shows four times in five at level .05: all
    None where there is too little to resample. `wins`, `losses` and `both_wrong` count items by the metric of the item
    alone: first better, second better, both at 0 (both above 0 for a metric that should be low). `p` is of `test`.
    """

    items: int
    images: int
    first_value: float
    second_value: float
    difference: float
    ci_low: float | None
    ci_high: float | None
    ci90_low: float | None
    ci90_high: float | None
    detectable: float | None
    wins: int
    losses: int
    both_wrong: int
    test: str
    p: float


@dataclass(frozen=True, slots=True)
class Pair:
    """The common items as the first score has them, with their statistics in both. `notes` say what is not common."""

    items: tuple[Item, ...]
    first: Table
    second: Table
    notes: tuple[str, ...]

    @staticmethod
    def of(first_name: str, first: Score, second_name: str, second: Score) -> Pair:
        """Raises DataError for other tasks or dialects, repeated ids, ids with another truth, and nothing in common."""
        pair = f"{first_name} and {second_name}"
        for what, one, other in (("tasks", first.task, second.task), ("dialects", first.dialect, second.dialect)):
            if one != other:
                raise DataError(f"{pair} can't be compared: different {what}, {one!r} and {other!r}")
        ours, theirs = _items_by_id(first_name, first.items), _items_by_id(second_name, second.items)
        common = [name for name in ours if name in theirs]
        if not common:
            raise DataError(f"{pair} have no item in common: are they of the same dataset and split?")
        for name in common:
            if ours[name].image != theirs[name].image or not _same(ours[name].truth, theirs[name].truth):
                raise DataError(f"item {name!r} has another truth or image in {second_name} than in {first_name}")
        table = Table.of([scored[name] for scored in (ours, theirs) for name in common])
        halves = [
            Table(table.names, table.values[half], table.image[half])
            for half in (slice(None, len(common)), slice(len(common), None))
        ]
        alone = [
            f"{len(scored) - len(common)} items of {name} are not in {other}: {pair} are compared on {len(common)}"
            for name, scored, other in ((first_name, ours, second_name), (second_name, theirs, first_name))
            if len(scored) > len(common)
        ]
        return Pair(tuple(ours[name] for name in common), halves[0], halves[1], tuple(alone))

    def gap(
        self,
        measure: Measure,
        chosen: np.ndarray,
        permutations: int = 10_000,
        replicates: int = 2000,
        seed: int = 0,
    ) -> Gap | None:
        """The gap in `measure` on the items that `chosen` picks (indices); None where either value is undefined."""
        metric, lower_is_better = measure.of, measure.better == "lower"
        ours, theirs = self.first.by_image(chosen), self.second.by_image(chosen)
        images, statistics = ours.shape
        first, second = self._values(metric, ours.sum(axis=0)[None], theirs.sum(axis=0)[None])[:, 0]
        if np.isnan(first) or np.isnan(second):
            return None

        alone = self._values(metric, self.first.values[chosen], self.second.values[chosen])
        higher, lower = int((alone[0] > alone[1]).sum()), int((alone[0] < alone[1]).sum())
        wrong = alone > 0 if lower_is_better else alone == 0

        def difference(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
            return np.subtract(*self._values(metric, top, bottom))

        right_or_wrong = images == len(chosen) and np.isin(alone, (0.0, 1.0)).all()
        if right_or_wrong and np.abs(alone.mean(axis=1) - [first, second]).max() < 1e-12:
            test, p = MCNEMAR, mcnemar(higher, lower)
        else:
            test, p = SWAP, swap_test(ours, theirs, difference, permutations, seed)

        low = high = low_90 = high_90 = detectable = None
        if images >= FEWEST_IMAGES and (ours != theirs).any():
            sums = resampled_sums(np.concatenate([ours, theirs], axis=1), replicates, seed)
            spread = difference(sums[:, :statistics], sums[:, statistics:])
            low, high = percentile_interval(spread, small_sample_level(images)) or (None, None)
            low_90, high_90 = percentile_interval(spread, small_sample_level(images, 0.90)) or (None, None)
            deviation = float(np.nanstd(spread)) * (images / (images - 1)) ** 0.5
            detectable = (NormalDist().inv_cdf(1 - LEVEL / 2) + NormalDist().inv_cdf(POWER)) * deviation
        return Gap(
            items=len(chosen),
            images=images,
            first_value=float(first),
            second_value=float(second),
            difference=float(first - second),
            ci_low=low,
            ci_high=high,
            ci90_low=low_90,
            ci90_high=high_90,
            detectable=detectable,
            wins=lower if lower_is_better else higher,
            losses=higher if lower_is_better else lower,
            both_wrong=int(wrong.all(axis=0).sum()),
            test=test,
            p=p,
        )

    def _values(self, metric: Metric, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """`metric` of summed statistics (rows, statistics) of both: (2, rows)."""
        return np.stack([self.first.evaluate(metric, first), self.second.evaluate(metric, second)])


def _items_by_id(name: str, items: Sequence[Item]) -> dict[str, Item]:
    found = {item.id: item for item in items}
    if len(found) < len(items):
        seen: set[str] = set()
        for item in items:
            if item.id in seen:
                raise DataError(f"{name} has item {item.id!r} twice")
            seen.add(item.id)
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal, or equal once written to JSON: a score read from a folder has lists where a fresh one has tuples."""
    return one == other or json.dumps(one, default=str) == json.dumps(other, default=str)
