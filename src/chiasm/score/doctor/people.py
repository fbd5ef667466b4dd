"""Tables of what people said of outputs: ratings and preferences, read row by row as their scores read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chiasm.errors import DataError
from chiasm.score.doctor.findings import Tally
from chiasm.score.judgement.preference_files import pairs_of
from chiasm.score.judgement.ratings import rating_of

KEYS = ("rater", "rating", "winner", "label_0", "ranking", "rank", "human_preference")
"""Columns that only such tables have."""
Judgement = tuple[str, str, str, Any]
"""Item, rater, what was judged, and the judgement."""

FEW = 5
"""A rater of fewer outputs may well say the same of all of them."""


def judgements_in(row: Mapping[str, Any]) -> Callable[[Mapping[str, Any], str], list[Judgement]] | None:
    """The reader of rows with the columns of `row`; None if they are neither ratings nor preferences."""
    if row.keys() >= {"item", "rater", "rating"}:
        return _ratings
    columns = ({"left", "right", "winner"}, {"label_0", "label_1"}, {"generations", "ranking"}, {"image_path", "rank"})
    return (
        _preferences if any(row.keys() >= names for names in (*columns, {"image_path", "human_preference"})) else None
    )


def check_judgements(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    read: Callable[[Mapping[str, Any], str], list[Judgement]],
    tally: Tally,
) -> int:
    """Adds rows that can't be used, outputs that one rater judges twice, and raters who say the same of everything; the
    number of rows."""
    records = 0
    first: dict[tuple[str, str, str], int] = {}
    said: defaultdict[str, list[Any]] = defaultdict(list)
    for number, row in rows:
        records += 1
        try:
            judged = read(row, "")
        except DataError as error:
            tally.add("unusable judgement", number, found=str(error).lstrip(": "))
            continue
        for item, rater, output, judgement in judged:
            before = first.setdefault((item, rater, output), number)
            if before != number and read is _ratings:
                tally.add("judged twice", number, item, f"{output or 'its output'} by {rater!r}, first at {before}")
            said[rater].append(judgement)
    for rater, judgements in said.items():
        if len(judgements) >= FEW and len(set(judgements)) == 1:
            of = f"{rater!r}" if rater else "all"
            tally.add("constant rater", found=f"{of}: {judgements[0]} of {len(judgements)} outputs")
    return records


def _ratings(row: Mapping[str, Any], where: str) -> list[Judgement]:
    rating = rating_of(row, where)
    return [] if rating is None else [(rating.item, rating.rater, rating.system, rating.value)]


def _preferences(row: Mapping[str, Any], where: str) -> list[Judgement]:
    """What is constant about a rater of pairs is the side, not the system."""
    if str(row.get("has_label", True)).lower() in ("false", "0"):
        return []
    return [
        (one.item, one.rater, " against ".join(sorted((one.left, one.right))), _side(one.winner, one.left))
        for one in pairs_of(row, where)
    ]


def _side(winner: str | None, left: str) -> str:
    return "a tie" if winner is None else "left" if winner == left else "right"
