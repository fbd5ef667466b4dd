"""Faults counted and costed: a row for every kind, and for every cause of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.score.faults.costs import grouped
from chiasm.score.faults.fault import Fault, FaultCost
from chiasm.score.faults.places import LOOSE
from chiasm.score.result import Item, Score


@dataclass(frozen=True, slots=True)
class Example:
    """A fault with what its item was asked, said, and should have said."""

    fault: Fault
    image: str
    prompt: str
    said: Any
    truth: Any


@dataclass(frozen=True, slots=True)
class FaultRow:
    """`cause` is None for a whole kind. `count` counts faults and `items` the items that have one, of which `share` is
    the share of all items; of a kind, boxes that are right but loose are in the cost only. The worst examples come
    first: a detector's most certain, otherwise those that cost their item most."""

    kind: str
    cause: str | None
    count: int
    items: int
    share: float
    costs: tuple[FaultCost, ...]
    examples: tuple[Example, ...]


def fault_table(
    score: Score, faults: Sequence[Fault], costs: Sequence[FaultCost], examples: int = 3
) -> tuple[FaultRow, ...]:
    """Every kind with its causes after it, most frequent first; `examples` are shown of each."""
    items = {item.id: item for item in score.items}
    rows = []
    for (kind, cause), members in grouped(faults).items():
        counted = members if cause is not None else [fault for fault in members if fault.cause != LOOSE]
        worst = sorted(counted, key=lambda fault: -_weight(fault, items[fault.item]))[:examples]
        concerned = {fault.item for fault in counted}
        rows.append(
            FaultRow(
                kind,
                cause,
                len(counted),
                len(concerned),
                len(concerned) / len(items),
                tuple(cost for cost in costs if (cost.kind, cost.cause) == (kind, cause)),
                tuple(example_of(fault, items[fault.item]) for fault in worst),
            )
        )
    return tuple(rows)


def example_of(fault: Fault, item: Item) -> Example:
    return Example(fault, item.image, item.prompt, item.prediction, item.truth)


def _weight(fault: Fault, item: Item) -> float:
    if isinstance(item.prediction, dict) and "score" in item.prediction:
        return float(item.prediction["score"])
    return sum(map(abs, fault.repair.values()))
