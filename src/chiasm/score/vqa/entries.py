"""The entries of a questions or annotations file, whichever container its benchmark chose."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from chiasm.data.records import records, with_ids
from chiasm.errors import DataError
from chiasm.score.answer_files import ID_KEYS

_CONTAINERS = ("annotations", "data", "questions")


def each_question(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and entry, as it is written, of every question. Without a question id, as in VizWiz, the image is the id.

    The file is ``{"annotations": [...]}``, ``{"data": [...]}`` or ``{"questions": [...]}``, a list, or JSON lines.
    Raises DataError for an entry without an id and for a second one with the same.
    """
    rows = records(path, within=_CONTAINERS)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path} holds no questions")
    key = next((key for key in ID_KEYS if key in first[1]), ID_KEYS[0])
    return with_ids(path, chain([first], rows), key, "question")
