"""Runs and judgements: TREC's text layouts and their JSON counterparts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.data.records import first_character, read_json
from chiasm.errors import DataError

Table = dict[str, dict[str, float]]
"""A number for each document of each query."""


def read_run(path: Path | str) -> Table:
    """Scores, ``query Q0 document rank score tag`` on each line, or JSON ``{query: {document: score}}``.

    The rank column is ignored, as in trec_eval. Raises DataError for a malformed line, a score that is not finite and a
    document twice in one query.
    """
    return _read(path, columns=6, value_column=4, layout="query Q0 document rank score tag")


def read_judgements(path: Path | str) -> Table:
    """Judgements (qrels), ``query 0 document relevance`` on each line, or JSON ``{query: {document: relevance}}``.

    Raises DataError as `read_run` does.
    """
    return _read(path, columns=4, value_column=3, layout="query 0 document relevance")


def _read(path: Path | str, columns: int, value_column: int, layout: str) -> Table:
    first = first_character(path)
    if first == "[":
        raise DataError(
            f"{path} holds a JSON list; expected {{query: {{document: number}}}}, or {layout!r} on each line"
        )
    entries = _json_entries(path) if first == "{" else _line_entries(path, columns, value_column, layout)
    table: Table = {}
    for where, query, document, value in entries:
        found = table.setdefault(query, {})
        if document in found:
            raise DataError(f"{where}: document {document!r} is there a second time for query {query!r}")
        found[document] = _number(value, where)
    if not table:
        raise DataError(f"{path} is empty; expected {layout!r} on each line, or JSON")
    return table


def _line_entries(
    path: Path | str, columns: int, value_column: int, layout: str
) -> Iterator[tuple[str, str, str, Any]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            try:
                cells = line.decode("utf-8-sig" if number == 1 else "utf-8").split()
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 text (byte {error.start})") from None
            if not cells:
                continue
            if len(cells) != columns:
                raise DataError(f"{where}: {len(cells)} columns, expected {layout!r}")
            yield where, cells[0], cells[2], cells[value_column]


def _json_entries(path: Path | str) -> Iterator[tuple[str, str, str, Any]]:
    for query, documents in read_json(path, unique_keys=True).items():
        where = f"{path}, query {query!r}"
        if not isinstance(documents, dict):
            raise DataError(f"{where}: expected an object of documents, found {documents!r:.60}")
        for document, value in documents.items():
            yield where, query, document, value


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r} is not a finite number")
    return number
