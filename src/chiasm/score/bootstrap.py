"""From items to values: every metric with an interval of that metric, for all items and slice by slice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import NormalDist

import numpy as np

from chiasm.errors import DataError
from chiasm.score.intervals import BOOTSTRAP, WILSON, percentile_interval, resampled_sums, wilson_interval
from chiasm.score.measure import Measure, Metric
from chiasm.score.result import Item, Value

INDEPENDENT = "Wilson"
NO_INTERVAL = "none: too few images"
NO_VARIATION = "none: every image scores the same"
FEWEST_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Table:
    """The statistics of items: `values` is (items, statistics), columns named by `names`; `image` is (items,), which
    image each item belongs to, as a whole number."""

    names: tuple[str, ...]
    values: np.ndarray
    image: np.ndarray

    @staticmethod
    def of(items: Sequence[Item]) -> Table:
        """A statistic that an item does not have is 0. Raises DataError, naming the item, if one is not finite."""
        names = tuple(sorted({name for item in items for name in item.statistics}))
        values = np.zeros((len(items), len(names)))
        for column, name in enumerate(names):
            values[:, column] = [item.statistics.get(name, 0.0) for item in items]
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            raise DataError(f"item {items[row].id!r}: {names[column]} is {values[row, column]}, expected a number")
        place: dict[str, int] = {}
        image = np.array([place.setdefault(item.image, len(place)) for item in items], dtype=np.int64)
        return Table(names, values, image)

    def by_image(self, chosen: np.ndarray) -> np.ndarray:
        """Sums over the items that `chosen` (indices or a mask) picks, an image a row: (images, statistics)."""
        _, image = np.unique(self.image[chosen], return_inverse=True)
        part = self.values[chosen]
        count = int(image.max(initial=-1)) + 1
        sums = [np.bincount(image, weights=column, minlength=count) for column in part.T]
        return np.stack(sums, axis=1) if sums else np.zeros((count, 0))

    def evaluate(self, metric: Metric, sums: np.ndarray) -> np.ndarray:
        """`metric` of each row of `sums` (rows, statistics): (rows,), NaN where it is undefined."""
        columns = defaultdict(lambda: np.zeros(len(sums)), zip(self.names, sums.T, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(metric(columns), dtype=np.float64)
        return np.where(np.isfinite(values), values, np.nan)


def summarise(
    items: Sequence[Item],
    measures: Mapping[str, Measure],
    slices: Sequence[str] = (),
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[Value, ...]:
    """Every measure with its central 95 %, for all items and then for every label of the slice keys.

    Whole images are resampled, and all measures of a slice see the same resamples. The interval of a share is Wilson's
    where each image has one trial that is right or wrong, and where all images are 0 or all are 1 alike, which leaves
    the bootstrap nothing to resample. A slice in which a measure has nothing to count is left out. Raises
    DataError for a statistic that is not finite.
    """
    table = Table.of(items)
    values = []
    for where, chosen in parts(items, slices):
        by_image = table.by_image(chosen)
        spread = resampled_sums(by_image, replicates, seed)
        for name, measure in measures.items():
            value = _value(name, table, measure, by_image, spread, where)
            if where is None or value.n:
                values.append(value)
    return tuple(values)


def parts(items: Sequence[Item], slices: Iterable[str]) -> list[tuple[tuple[str, str] | None, np.ndarray]]:
    """All items as (None, indices), then ((key, label), indices) for each label of each key, labels in order,
    numbers in them by their size."""
    found: list[tuple[tuple[str, str] | None, np.ndarray]] = [(None, np.arange(len(items)))]
    for key in slices:
        by_label: dict[str, list[int]] = {}
        for index, item in enumerate(items):
            if key in item.slices:
                by_label.setdefault(item.slices[key], []).append(index)
        found += [
            ((key, label), np.array(by_label[label], dtype=np.int64)) for label in sorted(by_label, key=_by_number)
        ]
    return found


def _by_number(label: str) -> list[str | int]:
    """A sort key by which "2 to 4" stands before "10 or more"."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", label)]


def small_sample_level(images: int, level: float = 0.95) -> float:
    """The level at which percentiles of the bootstrap cover as often as `level` promises.

    The plain percentile interval is too narrow by Student's t against the normal and by sqrt(n / (n - 1)); both are
    made good by going further into the tails (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").
    """
    normal, freedom = NormalDist(), images - 1
    z = normal.inv_cdf((1 + level) / 2)
    # Quantile of Student's t by its Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return 2 * normal.cdf(t * (images / freedom) ** 0.5) - 1


def _value(
    name: str,
    table: Table,
    measure: Measure,
    by_image: np.ndarray,
    spread: np.ndarray,
    where: tuple[str, str] | None,
) -> Value:
    count = table.evaluate(itemgetter(measure.count), by_image)
    point = float(table.evaluate(measure.of, by_image.sum(axis=0, keepdims=True))[0])
    n = round(float(count.sum()))
    if np.isnan(point):
        return Value(name, None, n, method="none: nothing to count", slice=where)
    alone = table.evaluate(measure.of, by_image)
    alone = alone[~np.isnan(alone)]
    images = int((count > 0).sum())
    interval: tuple[float, float] | None = None
    one_trial_each = len(alone) == n == images and np.isin(alone, (0.0, 1.0)).all()
    if measure.is_share and one_trial_each and abs(alone.mean() - point) < 1e-12:
        method, interval = INDEPENDENT, wilson_interval(point, n)
    elif measure.is_share and point in (0.0, 1.0) and len(alone) > 0 and (alone == point).all() and images > 0:
        method, interval = WILSON, wilson_interval(point, images)
    elif images < FEWEST_IMAGES:
        method = NO_INTERVAL
    else:
        interval = percentile_interval(table.evaluate(measure.of, spread), small_sample_level(images))
        method = BOOTSTRAP if interval else NO_INTERVAL
        if interval and interval[1] - interval[0] < 1e-12:
            method, interval = NO_VARIATION, None
    low, high = interval or (None, None)
    return Value(name, point, n, low, high, method, where)
