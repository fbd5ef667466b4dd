"""The records of a file of predictions, whatever its format: JSON, JSON lines, a table, or one answer a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from chiasm.data import json_stream
from chiasm.data.records import layout_of, record_word, records
from chiasm.errors import DataError
from chiasm.score.captioning.formats import TOKEN_LINE
from chiasm.score.tables import is_xlsx, table_rows

Word = Literal["line", "entry", "row"]
Row = tuple[int, dict[str, Any]]

LISTS = ("annotations", "data", "questions", "predictions", "results", "answers", "outputs")
"""Keys under which an object may have its list of records."""

_TREC_RUN = re.compile(rb"\S+\s+Q0\s+\S+\s+\d+\s+[-+.eE\d]+\s+\S+\s*\n")


def rows(path: Path | str, keys: frozenset[str], unreadable: list[str]) -> tuple[Word, Iterator[Row]]:
    """What the numbers of the records count, and the records with their numbers from 1.

    `keys` are those under which ids and answers may stand: a text file is a table if its first line names one. An
    object has a list of records or ``{id: answer}`` under one of `LISTS`, or is ``{id: answer}``, whose records become
    ``{"id": ..., "answer": ...}``. What can't be read is added to `unreadable`. Raises DataError for a file that can't
    be opened.
    """
    if is_xlsx(path):
        return "row", _until_damaged(table_rows(path), unreadable)
    layout = layout_of(path)
    if layout == "text":
        if is_mme(path):
            return "line", _until_damaged(mme_lines(path), unreadable)
        if not keys.isdisjoint(_columns(path)):
            return "row", _until_damaged(table_rows(path), unreadable)
        _refuse_what_is_no_answers(path)
        return "line", _until_damaged(_lines(path), unreadable)
    if layout in ("one line", "object"):
        if not _is_record(path, keys):
            return "entry", _until_damaged(_by_id(json_stream.members(path)), unreadable)
        if inner := _answers_by_id(path, keys):
            return "entry", _by_id(inner.items())
    return record_word(path), records(path, unreadable, LISTS)


def _until_damaged(found: Iterator[Row], unreadable: list[str]) -> Iterator[Row]:
    try:
        yield from found
    except DataError as error:
        unreadable.append(str(error))


def is_mme(path: Path | str) -> bool:
    """Whether a text file is one of MME's: image, question, truth and what a model said, between tabs."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        cells = file.readline().split("\t")
    return len(cells) > 3 and cells[2].strip().lower().removesuffix(".") in ("yes", "no")


def mme_lines(path: Path | str) -> Iterator[Row]:
    """A line that is cut off lacks the columns of its end."""
    for number, row in _lines(path):
        if row["answer"].strip():
            yield (
                number,
                dict(zip(("image", "question", "label", "prediction"), row["answer"].split("\t", 3), strict=False)),
            )


def _refuse_what_is_no_answers(path: Path | str) -> None:
    with open(path, "rb") as file:
        start = file.read(4096)
    if b"\0" in start:
        raise DataError(f"{path} is no text but an array or a picture; only answers as text can be looked at")
    if _TREC_RUN.match(start):
        raise DataError(f"{path} is a TREC run, rankings instead of answers; `chiasm score retrieval` checks it")


def _columns(path: Path | str) -> list[str]:
    with open(path, "rb") as file:
        first = file.readline(1 << 16).decode("utf-8-sig", "replace").rstrip("\r\n")
    return [name.strip().strip('"') for name in first.split("\t" if "\t" in first else ",")]


def _is_record(path: Path | str, keys: frozenset[str]) -> bool:
    """Whether an object is a record or has a list of records, not one answer an id. A damaged one counts as one."""
    try:
        return any(key in keys or key in LISTS for key, _ in json_stream.members(path))
    except DataError:
        return True


def _answers_by_id(path: Path | str, keys: frozenset[str]) -> dict[str, Any]:
    """ScienceQA's: an object of answers under one of `LISTS`, instead of a list of records, which have one of `keys`.
    Empty for a file without one, or a damaged one."""
    try:
        first = next((value for key, value in json_stream.members(path) if key in LISTS), None)
    except DataError:
        return {}
    return first if isinstance(first, dict) and keys.isdisjoint(first) else {}


def _by_id(members: Iterable[tuple[str, Any]]) -> Iterator[Row]:
    for number, (key, value) in enumerate(members, start=1):
        yield number, {"id": key} | value if isinstance(value, dict) else {"id": key, "answer": value}


def _lines(path: Path | str) -> Iterator[Row]:
    tokens = False
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8 text; save the file as UTF-8") from None
            text = text.removesuffix("\n").removesuffix("\r")
            tokens = TOKEN_LINE.match(text) is not None if number == 1 else tokens
            if tokens:  # Flickr8k's
                key, _, caption = text.partition("\t")
                yield number, {"image": key.rpartition("#")[0], "caption": caption}
            else:
                yield number, {"answer": text}
