"""Everything that is wrong with a file of predictions, listed at once and without scoring it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chiasm.data.records import first_character, id_text, read_json, record_word, records
from chiasm.errors import DataError

Kind = Literal[
    "unreadable", "no id", "bad id", "mixed id types", "duplicate id", "missing id", "extra id",
    "no answer", "empty answer", "wrong type", "not finite", "line break", "constant answer",
]  # fmt: skip

ID_KEYS = ("question_id", "questionId", "image_id", "index", "id", "ref_id", "ann_id")
ANSWER_KEYS = ("answer", "prediction", "caption", "text", "bbox", "segmentation")
REGIONS = ("bbox", "segmentation")
"""Answers of which a picture may have any number, so that an id may come often or not at all."""

CONSTANT_SHARE, CONSTANT_FROM = 0.95, 20
"""One answer is suspicious if it is given this often, among at least so many."""

_START = 100  # answers are told apart by so many characters, which bounds the memory that a large file needs


@dataclass(frozen=True, slots=True)
class Problem:
    """`number` is the line or entry, `id` the id as text; None where the problem is not about one."""

    kind: Kind
    message: str
    number: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Checkup:
    """`records` counts what could be read; `id_key` and `answer_key` are where ids and answers were found, None if they
    were not."""

    path: str
    records: int
    id_key: str | None
    answer_key: str | None
    problems: tuple[Problem, ...]


def check_predictions(
    path: Path | str,
    truth_ids: Collection[str] | None = None,
    id_key: str | None = None,
    answer_key: str | None = None,
) -> Checkup:
    """Read a file of predictions to its end and list every problem in it.

    The file is a JSON list, JSON lines, an object with one such list in it, or an object from ids to answers. Unless
    `id_key` and `answer_key` are given, they are the first of `ID_KEYS` and `ANSWER_KEYS` that the first record has.
    With `truth_ids` (as text), ids without a prediction and predictions for unknown ids are problems too. Raises
    DataError only for a file that can't be opened or is UTF-16 text.
    """
    seen: list[_Seen] = []
    found: list[_Found] = []
    unreadable: list[str] = []
    for number, row in _rows(path, unreadable):
        if not seen:
            id_key = id_key or next((key for key in ID_KEYS if key in row), None)
            answer_key = answer_key or next((key for key in ANSWER_KEYS if key in row), None)
        seen.append(_Seen.of(number, row, id_key, answer_key))
        found += [(kind, what, seen[-1]) for kind, what in _row_problems(row, id_key, answer_key)]
    once = answer_key not in REGIONS
    found += _mixed_types(seen)
    found += _constant_answer(seen)
    if once:
        found += _duplicates(seen)
    if truth_ids is not None:
        found += _extra_ids(seen, truth_ids)
    problems = [Problem("unreadable", message) for message in unreadable]
    word = record_word(path)
    for kind, what, one in found:
        if one is None:
            problems.append(Problem(kind, f"{path}: {what}"))
        else:
            problems.append(Problem(kind, f"{path}, {word} {one.number}: {what}", one.number, one.id))
    if truth_ids is not None and once:
        given = {one.id for one in seen}
        missing = [name for name in truth_ids if name not in given]
        problems += [Problem("missing id", f"{path}: no prediction for id {name!r}", id=name) for name in missing]
    return Checkup(str(path), len(seen), id_key, answer_key, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a record: enough to judge the whole file, little enough for a very large one."""

    number: int
    id: str | None
    id_type: str
    answer_type: str
    answer_start: str

    @staticmethod
    def of(number: int, row: dict[str, Any], id_key: str | None, answer_key: str | None) -> _Seen:
        raw, answer = row.get(id_key or ""), row.get(answer_key or "")
        try:
            name = id_text(raw)
        except ValueError:
            name = None
        start = str(answer)[:_START].strip().casefold()
        return _Seen(number, name, _type_name(raw), _type_name(answer), start)


_Found = tuple[Kind, str, _Seen | None]


def _rows(path: Path | str, unreadable: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    content = _whole_object(path, unreadable)
    if content is None:
        yield from records(path, unreadable)
        return
    lists = [value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        rows = enumerate(lists[0], start=1)
    else:
        rows = enumerate(({"id": key, "answer": value} for key, value in content.items()), start=1)
    for number, row in rows:
        if isinstance(row, dict):
            yield number, row
        else:
            unreadable.append(f"{path}, entry {number}: expected an object {{...}}, found {row!r}")


def _whole_object(path: Path | str, unreadable: list[str]) -> dict[str, Any] | None:
    """The content of a file that is one JSON object; None for JSON lines, a list, and what can't be read."""
    if first_character(path) != "{" or record_word(path) == "line":
        return None
    try:
        content = read_json(path, unique_keys=True)
    except DataError as error:
        try:
            content = read_json(path)
        except DataError:
            return None
        unreadable.append(str(error))
    # An object that has an id of its own is the only line of JSON lines.
    return content if isinstance(content, dict) and not any(key in content for key in ID_KEYS) else None


def _row_problems(row: dict[str, Any], id_key: str | None, answer_key: str | None) -> Iterator[tuple[Kind, str]]:
    """What can be said of a record without the others."""
    if id_key is None or id_key not in row:
        yield "no id", f"no {id_key!r}" if id_key else f"none of {', '.join(ID_KEYS)}; it has {', '.join(row)}"
    else:
        try:
            id_text(row[id_key])
        except ValueError as error:
            yield "bad id", f"{id_key!r} {error}"
    if answer_key is None or answer_key not in row:
        known = ", ".join(ANSWER_KEYS)
        yield "no answer", f"no {answer_key!r}" if answer_key else f"none of {known}; it has {', '.join(row)}"
    else:
        answer = row[answer_key]
        if answer in (None, []) or (isinstance(answer, str) and not answer.strip()):
            yield "empty answer", f"{answer_key!r} is {answer!r}"
        elif isinstance(answer, str) and len(answer.strip().splitlines()) > 1:
            yield "line break", f"{answer_key!r} has several lines; tools that write texts by lines shift the others"
    for key, value in row.items():
        if key != id_key and not _is_finite(value):
            yield "not finite", f"{key!r} is {value!r}"


def _mixed_types(seen: Sequence[_Seen]) -> Iterator[_Found]:
    """Ids of more than one type, and answers of another type than most."""
    ids = Counter(one.id_type for one in seen if one.id is not None)
    if len(ids) > 1:
        counts = ", ".join(f"{count} are {name}" for name, count in ids.most_common())
        yield "mixed id types", f"{counts}; they are compared as text here, but not by every tool", None
    answers = Counter(one.answer_type for one in seen if one.answer_type != "null")
    for usual, count in answers.most_common(1):
        for one in seen:
            if one.answer_type not in ("null", usual):
                yield "wrong type", f"the answer is {one.answer_type}, where {count} others are {usual}", one


def _duplicates(seen: Sequence[_Seen]) -> Iterator[_Found]:
    first: dict[str, int] = {}
    for one in seen:
        if one.id is not None and first.setdefault(one.id, one.number) != one.number:
            yield "duplicate id", f"id {one.id!r} was already given at {first[one.id]}", one


def _constant_answer(seen: Sequence[_Seen]) -> Iterator[_Found]:
    starts = Counter(one.answer_start for one in seen)
    for start, count in starts.most_common(1):
        if start and count >= CONSTANT_SHARE * len(seen) and len(seen) >= CONSTANT_FROM:
            yield "constant answer", f"{count} of {len(seen)} answers are {start!r}", None


def _extra_ids(seen: Sequence[_Seen], truth_ids: Collection[str]) -> Iterator[_Found]:
    known = set(truth_ids)
    for one in seen:
        if one.id is not None and one.id not in known:
            yield "extra id", f"id {one.id!r} is not in the truth", one


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names: dict[type, str] = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names[type(value)]


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
