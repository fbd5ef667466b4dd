"""What the scorers of this family share: questions that got no answer."""

from __future__ import annotations

from collections.abc import Sequence

from chiasm.score.answer_files import NO_PREDICTION
from chiasm.score.result import Item

EMPTY_ANSWER = "empty answer"


def problem_of(said: str | None) -> str | None:
    """Why there is nothing to score; None if there is something."""
    if said is None:
        return NO_PREDICTION
    return None if said.strip() else EMPTY_ANSWER


def unanswered(items: Sequence[Item]) -> list[str]:
    """Notes that say how many of the items have no prediction and how many an empty one."""
    notes = []
    for problem in (NO_PREDICTION, EMPTY_ANSWER):
        count = sum(item.problem == problem for item in items)
        if count:
            notes.append(f"{problem}: {count} of {len(items)} questions, counted as wrong.")
    return notes
