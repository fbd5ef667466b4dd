"""A metric as a function of summed statistics, with what is needed to resample, compare and draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Metric = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""From summed statistics, arrays of one shape, to the metric in the same shape; NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Measure:
    """`count` is the statistic whose sum is the value's `n`. `better` is None for a number that describes and does not
    rank, such as a yes-ratio, or the share of unparsed answers, which other numbers count as wrong. `most` is the
    largest value there can be, infinite where there is none; the least is 0 or its negative."""

    of: Metric
    count: str
    better: Literal["higher", "lower"] | None = "higher"
    most: float = 1.0


def ratio(top: str, bottom: str, better: Literal["higher", "lower"] | None = "higher", most: float = 1.0) -> Measure:
    """The sum of statistic `top` over that of `bottom`."""
    return Measure(lambda sums: sums[top] / sums[bottom], bottom, better, most)


def means(names: Iterable[str], over: str) -> dict[str, Measure]:
    """The mean of each statistic over the items that `over` counts."""
    return {name: ratio(name, over) for name in names}
