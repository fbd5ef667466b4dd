"""Two models side by side: which of the faults do they share?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.errors import DataError
from chiasm.score.faults.fault import Fault
from chiasm.score.result import Score


@dataclass(frozen=True, slots=True)
class Shared:
    """Counts of common items (images, for detections) by who has a fault of the kind; None is any kind of fault."""

    kind: str | None
    neither: int
    only_first: int
    only_second: int
    both: int


def shared_faults(
    first: Score, first_faults: Sequence[Fault], second: Score, second_faults: Sequence[Fault]
) -> tuple[Shared, ...]:
    """All kinds together, then each kind. Detections have no items in common, so that for them images are counted.

    Raises DataError for different tasks, and if nothing is common.
    """
    if first.task != second.task:
        raise DataError(f"models are compared on one task, got {first.task!r} and {second.task!r}")
    ours, theirs = _units(first), _units(second)
    common = set(ours.values()) & set(theirs.values())
    if not common:
        raise DataError("the two scores have no item in common: are they of the same dataset and split?")
    counted = [[fault for fault in faults if fault.cause != "loose"] for faults in (first_faults, second_faults)]
    kinds = dict.fromkeys(fault.kind for faults in counted for fault in faults)
    found = []
    for kind in (None, *kinds):
        one, other = (
            {units[fault.item] for fault in faults if kind in (None, fault.kind)} & common
            for units, faults in zip((ours, theirs), counted, strict=True)
        )
        found.append(Shared(kind, len(common - one - other), len(one - other), len(other - one), len(one & other)))
    return tuple(found)


def _units(score: Score) -> dict[str, str]:
    by_image = score.task.startswith("coco-")
    return {item.id: item.image if by_image else item.id for item in score.items}
