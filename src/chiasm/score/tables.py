"""Rows of a table in any layout that answer files come in: JSON, JSON lines, CSV, TSV, and xlsx with openpyxl."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from chiasm.data.json_text import keys_of, reason
from chiasm.data.records import by_id, first_character, records
from chiasm.errors import DataError


def table_rows(path: Path | str, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number from 1 and columns of every row; the layout is told from the content, not from the file's name.

    `columns` are those of a CSV or TSV without a header: one whose first line lacks the first of them. Cells of CSV,
    TSV and xlsx come as text, an empty cell as "". Raises DataError for a row that does not fit its header, text that
    is not UTF-8, and an xlsx file where openpyxl is not installed.
    """
    if is_xlsx(path):
        return _xlsx_rows(path)
    if first_character(path) in ("", "{", "["):
        return records(path)
    return _delimited_rows(path, delimiter_of(path), columns)


def is_xlsx(path: Path | str) -> bool:
    """Whether the file begins as an Excel file does. Raises DataError if it can't be opened."""
    return _start(path).startswith(b"PK\x03\x04")


def delimiter_of(path: Path | str) -> str:
    """What parts the cells of a text table: a tab if the first line has one, else a comma."""
    return "\t" if b"\t" in _start(path).partition(b"\n")[0] else ","


def rows_by_id(path: Path | str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The ``id`` of every row as text, the row, and where it is. Raises DataError as `table_rows` does, for a missing
    or repeated id, and for a table without rows."""
    rows = by_id(path, table_rows(path), "id", "row")
    if not rows:
        raise DataError(f"{path}: no row in it")
    for name, row in rows.items():
        yield name, row, f"{path}, id {name!r}"


def text_of(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    """The text under the first of `keys` that `row` has. Raises DataError if there is none or it is not text."""
    key = next((key for key in keys if key in row), None)
    if key is None:
        raise DataError(f"{where}: no {' or '.join(map(repr, keys))}, only {keys_of(row)}")
    if not isinstance(row[key], str):
        raise DataError(f"{where}: {key!r} is {row[key]!r:.60}, expected text")
    return row[key]


def _start(path: Path | str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None


def _delimited_rows(path: Path | str, delimiter: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    # A picture in base64 is longer than the 128 KiB that csv allows a cell by default.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader)
            rows: Iterator[list[str]] = reader
            if columns and columns[0] not in header:
                header, rows = list(columns), chain([header], reader)
            if len(set(header)) < len(header):
                raise DataError(f"{path}: the header names a column twice: {', '.join(header)}")
            for number, cells in enumerate((cells for cells in rows if cells), start=1):
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, but the header names {len(header)}; "
                        "a cell with a line break, quote or separator in it must be quoted"
                    )
                yield number, dict(zip(header, cells, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as a table ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _xlsx_rows(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        openpyxl = import_module("openpyxl")
    except ImportError:
        raise DataError(f"{path} is an Excel file: pip install openpyxl, or save it as TSV or CSV") from None
    with open(path, "rb") as file:  # of a path, openpyxl looks at the name as well
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except (BadZipFile, KeyError, OSError, ValueError) as error:
            raise DataError(f"{path} is a zip archive, but no Excel file that can be read ({error})") from None
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = [str(name) for name in next(rows, ())]
        for number, cells in enumerate(rows, start=1):
            texts = ["" if cell is None else str(cell) for cell in cells]
            yield number, dict(zip(header, texts, strict=False))
