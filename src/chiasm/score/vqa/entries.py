"""The entries of a questions or annotations file, whichever container its benchmark chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chiasm.data.json_text import reason
from chiasm.data.records import by_id, records
from chiasm.errors import DataError

_CONTAINERS = ("annotations", "data", "questions")
_ID_KEYS = ("question_id", "questionId", "image")


def question_rows(path: Path | str) -> dict[str, dict[str, Any]]:
    """The entries by question id, as they are written. Without a question id, as in VizWiz, the image is the id.

    The file is ``{"annotations": [...]}``, ``{"data": [...]}`` or ``{"questions": [...]}``, a list, or JSON lines.
    Raises DataError for an entry without an id and for a second one with the same.
    """
    rows = list(records(path, within=_CONTAINERS))
    if not rows:
        raise DataError(f"{path} holds no questions")
    key = next((key for key in _ID_KEYS if key in rows[0][1]), _ID_KEYS[0])
    return by_id(path, rows, key, "question")


def first_byte(path: Path | str) -> bytes:
    """The first byte that is no white space, which tells a list, an object and plain text apart; empty for none."""
    try:
        with open(path, "rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None


def read_text(path: Path | str) -> str:
    """A text file as it is, line ends included, without its byte order mark. Raises DataError if it is not UTF-8."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
