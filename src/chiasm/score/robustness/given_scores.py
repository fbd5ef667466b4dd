"""A run as somebody else's tool wrote it: nothing but a score and perhaps an answer for every item."""

from __future__ import annotations

import math
from pathlib import Path

from chiasm.data.records import by_id, place, records
from chiasm.errors import DataError
from chiasm.score.measure import ratio
from chiasm.score.result import Item, Score

MEAN_SCORE = ratio("score", "items", most=math.inf)
"""The measure of such a run, called "score"."""


def read_given_scores(path: Path | str) -> Score:
    """Per-item scores: a JSON list or JSON lines of ``{"id", "score", "answer", "image"}``.

    `score` is a finite number, the higher the better; `answer`, the answer in words rather than a letter of a choice,
    may be missing or null (unparsed); `image` is what intervals are clustered by, the id where it is missing. Raises
    DataError with line.
    """
    items = []
    rows = list(records(path))
    numbers = {id(row): number for number, row in rows}
    for name, row in by_id(path, rows, "id", "item").items():
        value = row.get("score")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{place(path, numbers[id(row)])}: the score of {name!r} is {value!r}, expected a number")
        statistics = {"items": 1.0, "score": float(value)}
        items.append(Item(name, str(row.get("image", name)), row.get("answer"), row.get("answer"), None, statistics))
    return Score("run", "given scores", (), tuple(items))
