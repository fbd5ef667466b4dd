"""VQAScore and instruction compliance from files of log-probabilities that somebody else's model gave.

Rows are JSON, JSON lines, CSV or TSV. Every yes and no is the natural log-probability of "Yes" and of "No" as the
answer to `vqascore.QUESTION` about a picture and a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm.errors import DataError
from chiasm.score.generation.compliance import Edit, score_compliance
from chiasm.score.generation.vqascore import score_vqascore, with_textual_relevance
from chiasm.score.result import Score
from chiasm.score.tables import rows_by_id, text_of

GIVEN = "given log-probabilities"

_Answered = Mapping[str, tuple[float, float]]
"""What stands in a picture's place: the log-probabilities of yes and no for each text asked about it."""


def score_vqascore_file(path: Path | str) -> Score:
    """`score_vqascore` of rows ``{id, text, yes, no}``, with the VQAR-Score where rows have ``textual``, the textual
    relevance in [0, 1]. Raises DataError naming file and id for anything else."""
    pairs = []
    textual: dict[str, float] = {}
    for name, row, where in rows_by_id(path):
        text = text_of(row, ("text",), where)
        pairs.append((name, {text: _yes_and_no(row, "", where)}, text))
        if row.get("textual") not in (None, ""):
            textual[name] = _number(row["textual"], f"{where}: 'textual'")
    score = replace(score_vqascore(_looked_up, pairs, "{text}"), dialect=GIVEN)
    try:
        return with_textual_relevance(score, textual) if textual else score
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def score_compliance_file(path: Path | str) -> Score:
    """`score_compliance` of rows ``{id, wished, before_yes, before_no, after_yes, after_no}``, which may have
    ``kept, kept_yes, kept_no``: a text that must still be true of the edited picture.

    Raises DataError naming file and id for anything else.
    """
    edits = []
    for name, row, where in rows_by_id(path):
        wished, kept = text_of(row, ("wished",), where), row.get("kept") or None
        source = {wished: _yes_and_no(row, "before_", where)}
        edited = {wished: _yes_and_no(row, "after_", where)}
        if kept is not None:
            edited[kept] = _yes_and_no(row, "kept_", where)
        edits.append(Edit(name, source, edited, wished, kept))
    return replace(score_compliance(_looked_up, edits, "{text}"), dialect=GIVEN)


def _looked_up(picture: _Answered, text: str, answers: Sequence[str]) -> tuple[float, float]:
    return picture[text]


def _yes_and_no(row: Mapping[str, Any], prefix: str, where: str) -> tuple[float, float]:
    try:
        return float(row[f"{prefix}yes"]), float(row[f"{prefix}no"])
    except (KeyError, TypeError, ValueError):
        found = {key: row.get(key, "missing") for key in (f"{prefix}yes", f"{prefix}no")}
        raise DataError(f"{where}: expected two log-probabilities, found {found}") from None


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where} is {value!r}, expected a number") from None
