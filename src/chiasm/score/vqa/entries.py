"""The entries of a questions or annotations file, whichever container its benchmark chose."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from chiasm.data.json_text import reason
from chiasm.data.records import records, with_ids
from chiasm.errors import DataError

_CONTAINERS = ("annotations", "data", "questions")
_ID_KEYS = ("question_id", "questionId", "image")


def each_question(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and entry, as it is written, of every question. Without a question id, as in VizWiz, the image is the id.

    The file is ``{"annotations": [...]}``, ``{"data": [...]}`` or ``{"questions": [...]}``, a list, or JSON lines.
    Raises DataError for an entry without an id and for a second one with the same.
    """
    rows = records(path, within=_CONTAINERS)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path} holds no questions")
    key = next((key for key in _ID_KEYS if key in first[1]), _ID_KEYS[0])
    return with_ids(path, chain([first], rows), key, "question")


def read_text(path: Path | str) -> str:
    """A text file as it is, line ends included, without its byte order mark. Raises DataError if it is not UTF-8."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
