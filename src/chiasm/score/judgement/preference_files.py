"""Importing which of two or more outputs people preferred, from the files the community has.

* Pairs: ``item, left, right, winner``, perhaps ``rater``; winner is a system's name, "left", "right" or "tie".
* Pick-a-Pic: ``caption, model_0, model_1, label_0, label_1, user_id``; labels are 1 and 0, or .5 and .5 for a tie.
* Rankings: ImageReward's ``prompt, generations, ranking`` and HPD's ``prompt, image_path, rank`` or
  ``human_preference``. A list ``systems`` of the row tells which system made each picture, else the picture's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from chiasm.data.records import id_text, place
from chiasm.errors import DataError
from chiasm.score.tables import table_rows

EXPECTED = (
    "item, left, right, winner; Pick-a-Pic's caption, model_0, model_1, label_0, label_1; or rankings: prompt with "
    "generations and ranking, or image_path and rank or human_preference"
)
_PICTURES, _PLACES = ("generations", "image_path"), ("ranking", "rank", "human_preference")


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two systems `rater` preferred for `item`; `winner` is None for a tie. `left` was shown first."""

    item: str
    rater: str
    left: str
    right: str
    winner: str | None


@dataclass(frozen=True, slots=True)
class Preferences:
    """`notes` say which rows hold no comparison of two systems."""

    rows: tuple[Preference, ...]
    notes: tuple[str, ...] = ()


def read_preferences(path: Path | str) -> Preferences:
    """The comparisons of a file: CSV, TSV, JSON or JSON lines, told apart by content as its columns are.

    A ranking of n outputs counts as its n (n - 1) / 2 pairs. Rows without a label (Pick-a-Pic's ``has_label``) and
    pairs of one system with itself compare nothing; they are left out and counted in the notes. Raises DataError with
    the place for anything else: a preference is never guessed.
    """
    found: list[Preference] = []
    unlabelled = itself = 0
    for number, row in table_rows(path):
        where = place(path, number)
        if str(row.get("has_label", True)).lower() in ("false", "0"):
            unlabelled += 1
            continue
        pairs = pairs_of(row, where)
        found += [pair for pair in pairs if pair.left != pair.right]
        itself += sum(pair.left == pair.right for pair in pairs)
    if not found:
        raise DataError(f"{path} holds no preferences between two systems")
    notes = [f"Left out as they have no label: {unlabelled} rows."] if unlabelled else []
    notes += [f"Left out as they compare a system with itself: {itself} pairs."] if itself else []
    return Preferences(tuple(found), tuple(notes))


def pairs_of(row: Mapping[str, Any], where: str) -> list[Preference]:
    """The comparisons that a row holds, one but for a ranking. Raises DataError for a row that can't be used."""
    if "winner" in row:
        return [_plain(row, where)]
    if "label_0" in row:
        return [_pick_a_pic(row, where)]
    pictures = next((key for key in _PICTURES if key in row), None)
    places = next((key for key in _PLACES if key in row), None)
    if pictures is None or places is None:
        raise DataError(f"{where}: found the columns {', '.join(map(repr, row))}; expected {EXPECTED}")
    return _ranking(row, pictures, places, where)


def _plain(row: Mapping[str, Any], where: str) -> Preference:
    item, left, right = (_id(row, key, where) for key in ("item", "left", "right"))
    sides: dict[Any, str | None] = {"left": left, "right": right, "tie": None} | {left: left, right: right}
    said = row["winner"]
    if not isinstance(said, str) or said not in sides:
        raise DataError(f"{where}: the winner is {said!r}, expected {left!r}, {right!r}, 'left', 'right' or 'tie'")
    return Preference(item, _id(row, "rater", where) if row.get("rater") else "", left, right, sides[said])


def _pick_a_pic(row: Mapping[str, Any], where: str) -> Preference:
    item, left, right = (_id(row, key, where) for key in ("caption", "model_0", "model_1"))
    labels = (_number(row["label_0"]), _number(row.get("label_1")))
    winners: dict[tuple[float | None, float | None], str | None] = {(1, 0): left, (0, 1): right, (0.5, 0.5): None}
    if labels not in winners:
        said = f"{row['label_0']!r} and {row.get('label_1')!r}"
        raise DataError(f"{where}: the labels are {said}, expected 1 and 0, 0 and 1, or .5 twice")
    return Preference(item, _id(row, "user_id", where) if row.get("user_id") else "", left, right, winners[labels])


def _ranking(row: Mapping[str, Any], pictures: str, places: str, where: str) -> list[Preference]:
    item = _id(row, "id" if "id" in row else "prompt", where)
    paths, ranks = row[pictures], row[places]
    if not isinstance(paths, list) or not isinstance(ranks, list) or len(paths) != len(ranks):
        raise DataError(f"{where}: {pictures!r} and {places!r} should be lists of one length")
    numbers = [_number(rank) for rank in ranks]
    if None in numbers:
        raise DataError(f"{where}: {places!r} is {ranks!r}, expected numbers")
    # Ranks count from the best, preferences are 1 for the better one.
    better_first = [-rank for rank in numbers if rank is not None]
    if places == "human_preference":
        better_first = [-rank for rank in better_first]
    systems = row.get("systems") or [_folder(path, where) for path in paths]
    if not isinstance(systems, list) or len(systems) != len(paths):
        raise DataError(f"{where}: 'systems' should be a list with a name for each of the {len(paths)} outputs")
    found = []
    for (left, first), (right, second) in combinations(zip(map(str, systems), better_first, strict=True), 2):
        winner = None if first == second else left if first > second else right
        found.append(Preference(item, "", left, right, winner))
    return found


def _folder(path: Any, where: str) -> str:
    name = PurePosixPath(path).parent.name if isinstance(path, str) else ""
    if not name:
        raise DataError(
            f"{where}: {path!r} does not tell which system made it; add a list 'systems' to the row, or name a folder"
        )
    return name


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _id(row: Mapping[str, Any], key: str, where: str) -> str:
    try:
        return id_text(row.get(key))
    except ValueError as error:
        raise DataError(f"{where}: {key!r} {error}") from None
