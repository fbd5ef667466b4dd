"""Whether an edit did what its instruction asked: VQAScore of the wished text before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.generation.vqascore import QUESTION, Logprob, vqascore
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item, Score


@dataclass(frozen=True, slots=True)
class Edit:
    """`wished` says what the instruction asks for as a statement about the edited picture ("a red car"); `kept` what
    must still be true of it, None where nothing was named."""

    id: str
    source: Any
    edited: Any
    wished: str
    kept: str | None = None


def score_compliance(logprob: Logprob, edits: Iterable[Edit], question: str = QUESTION) -> Score:
    """Instruction compliance of edits, from the probability of yes among yes and no.

    * compliance: mean score of the wished text on the edited picture, in [0, 1];
    * gain: by how much it rose from the source picture, in [-1, 1]; an edit that was true before gains nothing;
    * complied: share of edits whose wished text is likelier yes after and was not before, of those where it was not;
    * kept: mean score of the text to be kept on the edited picture.

    Raises DataError as `vqascore` does, naming the edit, and for a repeated id.
    """
    items: dict[str, Item] = {}
    for edit in edits:
        if edit.id in items:
            raise DataError(f"a second edit with the id {edit.id!r}")
        try:
            items[edit.id] = _item(logprob, edit, question)
        except DataError as error:
            raise DataError(f"edit {edit.id!r}: {error}") from None
    rows = tuple(items.values())
    values = summarise(rows, measures(rows))
    already = sum(row.statistics["open"] == 0 for row in rows)
    notes = (f"{already} edits ask for what the source picture already shows and are left out of complied.",)
    return Score("instruction compliance", question, values, rows, notes if already else ())


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_compliance`."""
    return {
        "compliance": ratio("after", "edits"),
        "gain": Measure(lambda sums: (sums["after"] - sums["before"]) / sums["edits"], "edits"),
        "complied": share("complied", "open"),
        "kept": ratio("kept", "with_kept"),
    }


def _item(logprob: Logprob, edit: Edit, question: str) -> Item:
    before = vqascore(logprob, edit.source, edit.wished, question).yes_over_no
    after = vqascore(logprob, edit.edited, edit.wished, question).yes_over_no
    was_open = before < 0.5
    statistics = {
        "edits": 1.0,
        "before": before,
        "after": after,
        "open": float(was_open),
        "complied": float(was_open and after >= 0.5),
    }
    if edit.kept is not None:
        statistics |= {"with_kept": 1.0, "kept": vqascore(logprob, edit.edited, edit.kept, question).yes_over_no}
    return Item(edit.id, edit.id, None, after, edit.wished, statistics)
