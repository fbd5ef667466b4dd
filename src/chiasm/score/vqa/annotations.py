"""Questions with the answers of several people, as VQA, VizWiz and TextVQA ship them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from chiasm.data.json_text import keys_of
from chiasm.errors import DataError
from chiasm.score.vqa.entries import each_question


@dataclass(frozen=True, slots=True)
class Annotation:
    """One question. `answers` are what the people said, at least one, as written.

    `records` is what each person's record holds beside the answer, as text; None where every record has an
    ``answer_id`` of its own (or is nothing but a text, and has no record to compare). Types and the question are ""
    where the file has none.
    """

    id: str
    image: str
    answers: tuple[str, ...]
    records: tuple[str, ...] | None
    answer_type: str = ""
    question_type: str = ""
    question: str = ""


def read_annotations(path: Path | str, questions_path: Path | str | None = None) -> list[Annotation]:
    """The questions of a file, in its order.

    Read are ``{"annotations": [...]}`` (VQA), ``{"data": [...]}`` (TextVQA), and such entries as a plain list (VizWiz)
    or as JSON lines. An answer is a text or an object with an "answer". A question without ``question_id``, as in
    VizWiz, is known by its image.

    `questions_path` is VQA's questions file; it must hold the same questions, and is otherwise only read for images and
    wordings that the annotations do not have. Raises DataError, naming file, entry and id, for anything that can't be
    scored.
    """
    asked = {} if questions_path is None else dict(each_question(questions_path))
    # One row at a time: the rows of VQAv2 together would take a gigabyte.
    found = [_annotation(path, name, row, asked.get(name, {})) for name, row in each_question(path)]
    if questions_path is not None:
        _same_questions(path, [question.id for question in found], questions_path, asked)
    return found


def _same_questions(path: Path | str, rows: Iterable[str], questions_path: Path | str, asked: Iterable[str]) -> None:
    annotated, known = set(rows), set(asked)
    if annotated != known:
        raise DataError(
            f"{path} and {questions_path} are not about the same questions: {len(annotated - known)} are only "
            f"annotated, {len(known - annotated)} only asked, such as {min(annotated ^ known)!r}"
        )


def _annotation(path: Path | str, name: str, row: dict[str, Any], asked: dict[str, Any]) -> Annotation:
    if "answers" not in row:
        raise DataError(f"{path}: question {name!r} has no 'answers' of people, only {keys_of(row)}; a prediction?")
    people = row["answers"]
    if not isinstance(people, list) or not people:
        raise DataError(f"{path}: question {name!r} needs a list of 'answers', found {people!r:.60}")
    answers = []
    for person in people:
        answer = person.get("answer") if isinstance(person, dict) else person
        if not isinstance(answer, str):
            raise DataError(f"{path}: question {name!r} has the answer {answer!r:.60}, expected text")
        answers.append(intern(answer))  # people repeat themselves and each other
    return Annotation(
        name,
        str(row.get("image_id") or row.get("image") or asked.get("image_id") or name),
        tuple(answers),
        None if _told_apart(people) else tuple([_rest(person) for person in people]),
        intern(str(row.get("answer_type") or "")),
        intern(str(row.get("question_type") or "")),
        str(row.get("question") or asked.get("question") or ""),
    )


def _told_apart(people: list[Any]) -> bool:
    """Whether every answer has an id of its own. Bare texts, which have no record to compare, are told by position."""
    if set(map(type, people)) != {dict}:
        return True
    ids = [person.get("answer_id") for person in people]
    return None not in ids and len(set(ids)) == len(ids)


def _rest(person: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in person.items() if key != "answer"}, sort_keys=True)
