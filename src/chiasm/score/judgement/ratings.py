"""Importing what people said: ratings and preferences, from CSV or JSON lines."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.data.records import id_text, place, records
from chiasm.errors import DataError


@dataclass(frozen=True, slots=True)
class Rating:
    """What `rater` gave the output of `system` (empty where there is one system) for `item`."""

    item: str
    rater: str
    value: float
    system: str = ""


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two systems `rater` preferred for `item`; `winner` is None for a tie. `left` was shown first."""

    item: str
    rater: str
    left: str
    right: str
    winner: str | None


def read_ratings(path: Path | str) -> list[Rating]:
    """Rows with `item`, `rater`, `rating` and perhaps `system`; an empty or null rating was not given and is skipped.

    The format is told by the file's name: .csv with a header line, else a JSON list or JSON lines. Raises DataError
    with the line for a missing column, a rating that is no finite number, and a second one of an output by a rater.
    """
    found: dict[tuple[str, str, str], Rating] = {}
    for where, row in _rows(path):
        system = _id(row, "system", where) if row.get("system") else ""
        key = (_id(row, "item", where), _id(row, "rater", where), system)
        if "rating" not in row:
            raise DataError(f"{where}: no 'rating', only {', '.join(map(repr, row))}")
        if row["rating"] in (None, ""):
            continue
        if key in found:
            raise DataError(f"{where}: a second rating of item {key[0]!r} by {key[1]!r}")
        try:
            value = math.nan if isinstance(row["rating"], bool) else float(row["rating"])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{where}: the rating is {row['rating']!r}, expected a number (item {key[0]!r})")
        found[key] = Rating(key[0], key[1], value, key[2])
    if not found:
        raise DataError(f"{path} holds no ratings")
    return [*found.values()]


def read_preferences(path: Path | str) -> list[Preference]:
    """Rows with `item`, `left`, `right` and `winner`, and perhaps `rater`; formats as in `read_ratings`.

    `left` and `right` are names of systems, `winner` is one of the two names, "left", "right" or "tie". Raises
    DataError with the line for anything else: a preference is never guessed.
    """
    found = []
    for where, row in _rows(path):
        item, left, right = (_id(row, key, where) for key in ("item", "left", "right"))
        if left == right:
            raise DataError(f"{where}: {left!r} is compared with itself")
        sides: dict[Any, str | None] = {"left": left, "right": right, "tie": None} | {left: left, right: right}
        said = row.get("winner")
        if not isinstance(said, str) or said not in sides:
            raise DataError(f"{where}: the winner is {said!r}, expected {left!r}, {right!r}, 'left', 'right' or 'tie'")
        rater = _id(row, "rater", where) if row.get("rater") else ""
        found.append(Preference(item, rater, left, right, sides[said]))
    if not found:
        raise DataError(f"{path} holds no preferences")
    return found


def _rows(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows, each with where it is, in words."""
    if Path(path).suffix.lower() != ".csv":
        yield from ((place(path, number), row) for number, row in records(path))
        return
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{where}: another number of fields than in the header")
                yield where, row
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not CSV in UTF-8 ({error})") from None


def _id(row: dict[str, Any], key: str, where: str) -> str:
    try:
        return id_text(row.get(key))
    except ValueError as error:
        raise DataError(f"{where}: {key!r} {error}") from None
