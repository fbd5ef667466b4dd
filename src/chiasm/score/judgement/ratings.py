"""Importing the ratings that people gave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.data.json_text import keys_of
from chiasm.data.records import id_text, place
from chiasm.errors import DataError
from chiasm.score.tables import table_rows


@dataclass(frozen=True, slots=True)
class Rating:
    """What `rater` gave the output of `system` (empty where there is one system) for `item`."""

    item: str
    rater: str
    value: float
    system: str = ""


def read_ratings(path: Path | str) -> list[Rating]:
    """Rows with `item`, `rater`, `rating` and perhaps `system`; an empty or null rating was not given and is skipped.

    CSV, TSV, JSON or JSON lines, told apart by content. Raises DataError with the place for a missing column, a rating
    that is no finite number, and a second one of an output by a rater.
    """
    found: dict[tuple[str, str, str], Rating] = {}
    for number, row in table_rows(path):
        where = place(path, number)
        rating = rating_of(row, where)
        if rating is None:
            continue
        key = (rating.item, rating.rater, rating.system)
        if key in found:
            raise DataError(f"{where}: a second rating of item {key[0]!r} by {key[1]!r}")
        found[key] = rating
    if not found:
        raise DataError(f"{path} holds no ratings")
    return [*found.values()]


def rating_of(row: Mapping[str, Any], where: str) -> Rating | None:
    """The rating of a row, None where none was given. Raises DataError for a row that can't be used."""
    system = _id(row, "system", where) if row.get("system") else ""
    item, rater = _id(row, "item", where), _id(row, "rater", where)
    if "rating" not in row:
        raise DataError(f"{where}: no 'rating', only {keys_of(row)}")
    if row["rating"] in (None, ""):
        return None
    try:
        value = math.nan if isinstance(row["rating"], bool) else float(row["rating"])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: the rating is {row['rating']!r}, expected a number (item {item!r})")
    return Rating(item, rater, value, system)


def _id(row: Mapping[str, Any], key: str, where: str) -> str:
    try:
        return id_text(row.get(key))
    except ValueError as error:
        raise DataError(f"{where}: {key!r} {error}") from None
