"""What a model answered, as the tools of the VQA family write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.data.json_text import keys_of
from chiasm.data.records import by_id, first_character, paired, place, records
from chiasm.errors import DataError
from chiasm.score.vqa.entries import read_text

Missing = Literal["error", "wrong"]

_ID_KEYS = ("question_id", "questionId", "image")
_TEXT_KEYS = ("answer", "text", "prediction")


def read_answers(path: Path | str) -> dict[str, str]:
    """Answers by question id, from a JSON list or JSON lines.

    An entry is VQA's ``{question_id, answer}``, LLaVA's ``{question_id, text}``, DocVQA's ``{questionId, answer}``,
    GQA's ``{questionId, prediction}`` or VizWiz's ``{image, answer}``. Raises DataError for a missing or repeated id
    and for an answer that is not text, naming file, entry and id.
    """
    return answers_of(path, list(records(path)))


def answers_of(path: Path | str, rows: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, str]:
    """As `read_answers`, of records already read."""
    if not rows:
        raise DataError(f"{path} holds no answers")
    id_key = _key(path, rows[0], _ID_KEYS, "id")
    text_key = _key(path, rows[0], _TEXT_KEYS, "answer")
    numbers = (number for number, _ in rows)
    found = by_id(path, rows, id_key, "answer")
    return {
        name: _text(path, number, row, text_key, name)
        for number, (name, row) in zip(numbers, found.items(), strict=True)
    }


def read_answers_to(
    path: Path | str, questions: Sequence[tuple[str, str]], missing: Missing = "error"
) -> list[str | None]:
    """Answers to questions that have no id, only an image and a text, in the order of `questions`; None where missing.

    A file is tied to them by `question_id` (the position, from 0), else by the image and the question (``imgname`` and
    ``query`` or ``image`` and ``question``; the n-th of the same pair goes with the n-th), else, if it names neither,
    by order. A file that is not JSON is read as one answer a line, in order.
    """
    if first_character(path) not in ("[", "{"):
        text = read_text(path)
        if not text.strip():
            raise DataError(f"{path} is empty; expected an answer a line, or JSON")
        lines = text.removesuffix("\n").split("\n")
        return _in_order(path, [line.removesuffix("\r") for line in lines], questions)
    rows = list(records(path))
    if not rows:
        raise DataError(f"{path} holds no answers")
    text_key = _key(path, rows[0], _TEXT_KEYS, "answer")
    if any(key in rows[0][1] for key in ("question_id", "questionId")):
        names = [str(index) for index in range(len(questions))]
        answers = read_answers(path)
    else:
        image_key = next((key for key in ("imgname", "image") if key in rows[0][1]), None)
        question_key = next((key for key in ("query", "question") if key in rows[0][1]), None)
        if image_key is None or question_key is None:
            return _in_order(path, [_text(path, number, row, text_key, "") for number, row in rows], questions)
        names = numbered(questions)
        pairs = [(str(row.get(image_key)), str(row.get(question_key))) for _, row in rows]
        answers = {
            name: _text(path, number, row, text_key, name)
            for name, (number, row) in zip(numbered(pairs), rows, strict=True)
        }
    paired(names, answers, "the questions", path, missing)
    return [answers.get(name) for name in names]


def numbered(questions: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each (image, question), with "#2", "#3" where the same question is asked again of an image."""
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for image, question in questions:
        seen[image, question] += 1
        again = seen[image, question]
        names.append(f"{image}: {question}" + (f" #{again}" if again > 1 else ""))
    return names


def _in_order(path: Path | str, answers: list[str], questions: Sequence[Any]) -> list[str | None]:
    if len(answers) != len(questions):
        raise DataError(
            f"{path} has {len(answers)} answers without ids for {len(questions)} questions; one is needed for each, in "
            "order"
        )
    return list(answers)


def _key(path: Path | str, first: tuple[int, dict[str, Any]], keys: tuple[str, ...], what: str) -> str:
    number, row = first
    for key in keys:
        if key in row:
            return key
    raise DataError(
        f"{place(path, number)}: no {what} under {', '.join(map(repr, keys))}, only {keys_of(row)}; expected a row an "
        'answer, such as {"question_id": 7, "answer": "red"}'
    )


def _text(path: Path | str, number: int, row: dict[str, Any], key: str, name: str) -> str:
    if key not in row:
        raise DataError(f"{place(path, number)}: {name!r} has no {key!r}, only {keys_of(row)}")
    text = row[key]
    if not isinstance(text, str):
        raise DataError(f"{place(path, number)}: the {key!r} of {name!r} is {text!r:.60}, expected text")
    return text
