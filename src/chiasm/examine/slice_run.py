"""The slices of one run in which it is worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chiasm.errors import ConfigError, DataError
from chiasm.score.measure import Measure
from chiasm.score.result import Score
from chiasm.score.slices import SliceSearch, worst_slices

REASONS = ("outcome", "reason", "cause")
"""Keys that say how an item went: a slice of them is worst by definition, and tells nothing of where."""


def slice_run(
    score: Score,
    measures: Mapping[str, Measure],
    keys: Sequence[str] = (),
    metrics: Sequence[str] = (),
    min_n: int = 30,
) -> dict[str, SliceSearch]:
    """A search over `keys`, or all that say something of the question and not of the answer, for each metric.

    Without `metrics` these are the ones that rank. Raises ConfigError for an unknown metric, DataError for an unknown
    key and for items without slices.
    """
    for name in metrics:
        if name not in measures:
            raise ConfigError(f"there is no metric {name!r}, only {', '.join(measures)}")
    known = list(dict.fromkeys(key for item in score.items for key in item.slices if key not in REASONS))
    if not keys and not known:
        raise DataError(f"the items of {score.task} have no slices")
    chosen = metrics or [name for name, measure in measures.items() if measure.better is not None]
    return {name: worst_slices(score.items, name, measures[name], keys or known, min_n=min_n) for name in chosen}
