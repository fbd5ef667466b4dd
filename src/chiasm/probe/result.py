"""What every probe returns: a number, its interval, and the yardsticks without which it can't be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from chiasm.errors import DataError

Setting = str | int | float | bool
FEW = 3
"""Measurements that are named beside a flag of theirs."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a measurement would be in a known situation. `low` and `high` are its central 95 % there, where they are
    known; `method` says which situation, and how the value was found."""

    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""

    @classmethod
    def of_draws(cls, values: np.ndarray, method: str) -> Yardstick:
        """Mean and central 95 % of sampled values, (draws,)."""
        low, high = np.quantile(values, (0.025, 0.975))
        return cls(float(values.mean()), float(low), float(high), method)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number about one site, or about several together.

    name        what was measured, "knor@10"
    sites       where, in the order of the measurement's own direction: ("encoder", "connector")
    value       None where it is undefined; `flags` then say why
    ci_low, ci_high   central 95 %, clusters of items taken as the independent units; None where it can't be had
    null        if the sites had nothing to do with each other (permuted items, or what chance gives)
    ceiling     if nothing had been lost (the same site sampled twice)
    control     if what happened had nothing learned in it (a connector initialised at random, shuffled labels)
    n, clusters   items, and independent groups of them
    method      definition and kind of interval, in words
    settings    everything needed to compute it again: metric, scaling, k, seed, ...
    flags       sentences the reader must see beside the number: "27 % of the items have a near duplicate"

    Raises DataError if a number is not finite, or if the value is missing and no flag says why.
    """

    name: str
    sites: tuple[str, ...]
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    null: Yardstick | None = None
    ceiling: Yardstick | None = None
    control: Yardstick | None = None
    n: int = 0
    clusters: int = 0
    method: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"{self.name} at {', '.join(self.sites) or 'no site'}"
        for name in ("value", "ci_low", "ci_high"):
            number = getattr(self, name)
            if number is not None and not isfinite(number):
                raise DataError(f"{where}: {name} is {number}; an undefined number is None with a flag that says why")
        if self.value is None and not self.flags:
            raise DataError(f"{where}: there is no value and no flag that says why")


def named_flags(measurements: Iterable[Measurement]) -> list[str]:
    """Every flag once, behind the names of its measurements if they are few."""
    names: dict[str, dict[str, None]] = {}
    for one in measurements:
        for flag in one.flags:
            names.setdefault(flag, {})[one.name] = None
    return [f"{', '.join(those)}: {flag}" if len(those) <= FEW else flag for flag, those in names.items()]
