"""What every scorer returns: numbers with intervals, and one row an item with the reason for each lost point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """One number.

    `n` counts what it is a mean or ratio of, `ci_low` and `ci_high` are the central 95 % by `method`, None where there
    are too few items. `slice` is (key, label) of the part of the items it is about, None for all.
    """

    metric: str
    value: float | None
    n: int
    ci_low: float | None = None
    ci_high: float | None = None
    method: str = ""
    slice: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One scored item.

    `image` is what intervals are clustered by. `statistics` are the item's sufficient statistics: their sums give
    every metric of the task. `rule` is the parse rule that fired; `problem` says why there is no parsed prediction,
    which counts as wrong. `prompt` is what was asked, empty where every picture is asked the same.
    """

    id: str
    image: str
    prediction: Any
    parsed: Any
    truth: Any
    statistics: Mapping[str, float]
    rule: str = "as is"
    problem: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A task's numbers. `dialect` names the scoring rule wherever the community has several; `notes` are sentences the
    reader must see beside the numbers (what was left out, which convention an empty case follows)."""

    task: str
    dialect: str
    values: tuple[Value, ...]
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
