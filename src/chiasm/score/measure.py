"""A metric as a function of summed statistics, with what is needed to resample, compare and draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Metric = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""From summed statistics, arrays of one shape, to the metric in the same shape; NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Measure:
    """`count` is the statistic whose sum is the value's `n`. `better` is None for a number that describes and does not
    rank, such as a yes-ratio, or the share of unparsed answers, which other numbers count as wrong. `most` is the
    largest value there can be, infinite where there is none; the least is 0 or its negative. `is_share` says that the
    value is a mean of trials that are right, wrong or, where several people judge, right in part: Wilson's interval of
    a share holds for it, and for no other number that happens to be 0 or 1."""

    of: Metric
    count: str
    better: Literal["higher", "lower"] | None = "higher"
    most: float = 1.0
    is_share: bool = False


def ratio(top: str, bottom: str, better: Literal["higher", "lower"] | None = "higher", most: float = 1.0) -> Measure:
    """The sum of statistic `top` over that of `bottom`."""
    return Measure(lambda sums: sums[top] / sums[bottom], bottom, better, most)


def share(right: str, trials: str, better: Literal["higher", "lower"] | None = "higher") -> Measure:
    """Which part of the trials came out `right`."""
    return replace(ratio(right, trials, better), is_share=True)


def mean_of_ratios(names: Sequence[str], top: str, bottom: str, count: str) -> Measure:
    """The mean over `names` of sum ``TOP: NAME`` over sum ``BOTTOM: NAME``, of those where that is defined."""

    def mean(sums: Mapping[str, np.ndarray]) -> np.ndarray:
        ratios = np.stack([sums[f"{top}: {name}"] / sums[f"{bottom}: {name}"] for name in names])
        defined = np.isfinite(ratios)
        return np.where(defined, ratios, 0).sum(axis=0) / defined.sum(axis=0)

    return Measure(mean, count)


def means(names: Iterable[str], over: str) -> dict[str, Measure]:
    """The mean of each statistic over the items that `over` counts."""
    return {name: ratio(name, over) for name in names}
