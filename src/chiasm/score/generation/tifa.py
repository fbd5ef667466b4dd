"""TIFA: a text-to-image model by questions about its pictures (Hu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.data.records import id_text, paired, place, records
from chiasm.errors import DataError
from chiasm.score.answers import normalise
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item, Score

_TEXT_KEYS = ("id", "caption", "question", "answer", "element_type")


def score_tifa(questions: Path | str, predictions: Path | str, missing: Literal["error", "wrong"] = "error") -> Score:
    """TIFA of answered questions: the mean over captions of each caption's share of right answers.

    `questions` is TIFA's own JSON list of ``{"id", "caption", "question", "choices", "answer", "element_type"}``, where
    `id` is the caption's and is shared by its questions; `predictions` a JSON list or JSON lines of
    ``{"id", "question", "answer"}``. An answer counts if it is the right choice but for case, punctuation and articles;
    one that is none of the choices is wrong and reported as unparsed. `accuracy` is over questions, for all and by
    element type. Raises DataError for malformed rows and for ids that don't pair up.
    """
    truth = _by_question(questions, _TEXT_KEYS)
    said = _by_question(predictions, ("id", "question"))
    paired([*truth], [*said], questions, predictions, missing)
    asked: dict[str, int] = {}
    for row in truth.values():
        asked[row["id"]] = asked.get(row["id"], 0) + 1
    items = tuple(_item(key, row, said.get(key), asked[row["id"]]) for key, row in truth.items())
    values = summarise(items, {"tifa": _TIFA}) + summarise(items, {"accuracy": _ACCURACY}, ["element_type"])
    return Score("tifa", "multiple choice, exact after normalisation", values, items, _notes(items, len(truth), said))


_TIFA, _ACCURACY = ratio("caption_right", "caption"), share("right", "questions")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_tifa`."""
    return {"tifa": _TIFA, "accuracy": _ACCURACY}


def _by_question(path: Path | str, text_keys: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Rows by caption id and question, which together are TIFA's only key."""
    found: dict[str, dict[str, Any]] = {}
    for number, row in records(path):
        where = place(path, number)
        if "id" in row:
            try:
                row = {**row, "id": id_text(row["id"])}
            except ValueError as error:
                raise DataError(f"{where}: 'id' {error}") from None
        for key in text_keys:
            if not isinstance(row.get(key), str):
                raise DataError(f"{where}: expected text under {key!r}, found {row.get(key)!r}")
        name = f"{row['id']}: {row['question']}"
        if name in found:
            raise DataError(f"{where}: the question {row['question']!r} of caption {row['id']!r} comes twice")
        found[name] = row
    return found


def _item(name: str, row: dict[str, Any], prediction: dict[str, Any] | None, asked: int) -> Item:
    """The statistics of a question weigh it by one over the number of questions about its caption."""
    answer = None if prediction is None else prediction.get("answer")
    choices = row.get("choices") or ["yes", "no"]
    right_answer = normalise(row["answer"])
    parsed = normalise(answer) if isinstance(answer, str) else None
    problem = None
    if prediction is None:
        problem = "no prediction"
    elif not parsed or parsed not in {normalise(str(choice)) for choice in choices} | {right_answer}:
        problem = "none of the choices"
    right = float(problem is None and parsed == right_answer)
    statistics = {"questions": 1.0, "right": right, "caption": 1 / asked, "caption_right": right / asked}
    return Item(
        name, row["id"], answer, None if problem else parsed, row["answer"], statistics,
        problem=problem, slices={"element_type": row["element_type"]}, prompt=row["question"],
    )  # fmt: skip


def _notes(items: tuple[Item, ...], asked: int, said: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if unparsed := sum(item.problem == "none of the choices" for item in items):
        notes.append(f"{unparsed} answers are none of the choices and count as wrong.")
    if len(said) < asked:
        notes.append(f"{asked - len(said)} questions have no prediction and count as wrong.")
    return tuple(notes)
