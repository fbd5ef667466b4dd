"""What cost a point, in the same few words for every task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS: Mapping[str, str] = {
    "hallucination": "names an object that is not there",
    "missed_object": "does not see an object that is there",
    "wrong_location": "names the right object in the wrong place",
    "wrong_answer": "answers the question wrongly",
    "wrong_scene": "takes the place for another",
    "unparsed": "gives no output that can be read",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that an item lost points by.

    `kind` is one of `KINDS`, `cause` why it came about in a few fixed words, `detail` what is particular to this one
    ("3 instead of 5"). `repair` is what must be added to the item's statistics so that this fault alone is put right.
    """

    item: str
    kind: str
    cause: str
    detail: str = ""
    repair: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultCost:
    """How much `metric` would change if all faults of a kind, or of one of its causes, were put right.

    `cause` is None for the whole kind. `change` has the metric's own unit and sign: a number that should be low falls.
    `ci_low` and `ci_high` are its central 95 % over resampled images, None where there are too few.
    """

    kind: str
    cause: str | None
    metric: str
    change: float
    ci_low: float | None = None
    ci_high: float | None = None
