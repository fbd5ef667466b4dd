"""What every scorer returns: numbers with intervals, and one row an item with the reason for each lost point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload


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
    which counts as wrong. `prompt` is what was asked, empty where every picture is asked the same; `options` are the
    texts of a choice by the letters that it showed them under.
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
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items there are, of how many images, and how many of them could not be parsed."""

    items: int
    images: int
    unparsed: int


class LazyItems(Sequence[Item]):
    """Items made on first access, for a scorer whose numbers take less time than its items."""

    def __init__(self, counts: Counts, make: Callable[[], tuple[Item, ...]]) -> None:
        self.counts, self._make = counts, make

    @cached_property
    def _made(self) -> tuple[Item, ...]:
        return self._make()

    def __len__(self) -> int:
        return self.counts.items

    def __iter__(self) -> Iterator[Item]:
        return iter(self._made)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self._made[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made == tuple(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Score:
    """A task's numbers. `dialect` names the scoring rule wherever the community has several; `notes` are sentences the
    reader must see beside the numbers (what was left out, which convention an empty case follows)."""

    task: str
    dialect: str
    values: tuple[Value, ...]
    items: Sequence[Item]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> Counts:
        """Items, images and unparsed items."""
        if isinstance(self.items, LazyItems):
            return self.items.counts
        unparsed = sum(item.problem is not None for item in self.items)
        return Counts(len(self.items), len({item.image for item in self.items}), unparsed)
