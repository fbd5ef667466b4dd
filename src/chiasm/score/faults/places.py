"""Faults of one place given for one question: referring expressions, masks, and the pointing game."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chiasm.score.faults.fault import Fault
from chiasm.score.faults.questions import unparsed
from chiasm.score.faults.repairs import repairs_of
from chiasm.score.result import Score

LOOSE = "loose"
"""Right by the usual threshold, but not to the pixel: it costs a little mean IoU and is not counted as an error."""


def place_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """A wrong location, with its cause as `chiasm.score.location.location_cause` tells it where boxes are known; a
    missed object where nothing was marked, and a hallucination where there was nothing to mark."""
    repair_of = repairs_of(score)
    for item in score.items:
        repair = repair_of(item)
        if not repair:
            continue
        if item.problem is not None:
            yield unparsed(item, repair)
            continue
        reason = item.slices.get("reason", "")
        if reason == "missed":
            yield Fault(item.id, "missed_object", item.slices.get("size", "nothing marked"), item.prompt, repair)
        elif reason == "nothing there":
            yield Fault(item.id, "hallucination", "absent object", item.prompt, repair)
        elif reason in ("", "found", "hit"):
            yield Fault(item.id, "wrong_location", LOOSE, item.prompt, repair)
        else:
            cause = item.slices.get("cause") or reason.removeprefix("wrong location") or "elsewhere"
            yield Fault(item.id, "wrong_location", cause, item.prompt, repair)
