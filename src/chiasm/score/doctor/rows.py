"""The records of a file of predictions, whatever its format: JSON, JSON lines, a table, or one answer a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from chiasm.data import json_stream
from chiasm.data.records import layout_of, record_word, records
from chiasm.errors import DataError
from chiasm.score.captioning.formats import TOKEN_LINE
from chiasm.score.choice.tables import table_rows

Word = Literal["line", "entry", "row"]
Row = tuple[int, dict[str, Any]]

LISTS = ("annotations", "data", "questions", "predictions", "results", "answers", "outputs")
"""Keys under which an object may have its list of records."""

_TREC_RUN = re.compile(rb"\S+\s+Q0\s+\S+\s+\d+\s+[-+.eE\d]+\s+\S+\s*\n")


def rows(path: Path | str, keys: frozenset[str], unreadable: list[str]) -> tuple[Word, Iterator[Row]]:
    """What the numbers of the records count, and the records with their numbers from 1.

    `keys` are those under which ids and answers may stand: a text file is a table if its first line names one. An
    object has a list of records under one of `LISTS`, or is ``{id: answer}``, whose records become ``{"id": ...,
    "answer": ...}``. What can't be read is added to `unreadable`. Raises DataError for a file that can't be opened.
    """
    layout = layout_of(path)
    if layout == "text":
        if _is_excel(path) or not keys.isdisjoint(_columns(path)):
            return "row", _until_damaged(table_rows(path), unreadable)
        _refuse_what_is_no_answers(path)
        return "line", _until_damaged(_lines(path), unreadable)
    if layout in ("one line", "object") and not _is_record(path, keys):
        return "entry", _until_damaged(_by_id(path), unreadable)
    return record_word(path), records(path, unreadable, LISTS)


def _until_damaged(found: Iterator[Row], unreadable: list[str]) -> Iterator[Row]:
    try:
        yield from found
    except DataError as error:
        unreadable.append(str(error))


def _is_excel(path: Path | str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


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


def _by_id(path: Path | str) -> Iterator[Row]:
    for number, (key, value) in enumerate(json_stream.members(path), start=1):
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
