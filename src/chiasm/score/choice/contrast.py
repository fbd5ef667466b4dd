"""Captions against pictures by a matching score: Winoground and SugarCrepe. Equal scores are never right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.records import by_id
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.tables import table_rows


def score_winoground(scores: Path | str) -> Score:
    """Text, image and group score, in 0..1 (Thrush et al. 2022, arXiv 2204.03162).

    Rows of `scores` (JSON lines, CSV or TSV) are ``{id, c0_i0, c0_i1, c1_i0, c1_i1}``, how well caption c fits picture
    i, and may have ``tag``, which the values are sliced by. `text_score`: for both pictures the right caption scores
    higher; `image_score`: for both captions the right picture does; `group_score`: all four. Ties count as wrong.
    Guessing scores 1/4, 1/4 and 1/6. Raises DataError for a missing or not finite score.
    """
    items = []
    for name, row in _rows(scores).items():
        at = {key: _number(row, key, f"{scores}, id {name!r}") for key in ("c0_i0", "c0_i1", "c1_i0", "c1_i1")}
        text = at["c0_i0"] > at["c1_i0"] and at["c1_i1"] > at["c0_i1"]
        image = at["c0_i0"] > at["c0_i1"] and at["c1_i1"] > at["c1_i0"]
        statistics = {"examples": 1.0, "text": float(text), "image": float(image), "group": float(text and image)}
        parsed = {"text": text, "image": image}
        slices = {"tag": str(row["tag"])} if row.get("tag") else {}
        items.append(Item(name, name, at, parsed, {"text": True, "image": True}, statistics, slices=slices))
    chance = {"text_score": 1 / 4, "image_score": 1 / 4, "group_score": 1 / 6}
    baselines = (
        Value(f"baseline.chance.{name}", value, len(items), method="baseline") for name, value in chance.items()
    )
    values = summarise(items, measures(items), slices=("tag",))
    return Score("winoground", "ties are wrong", (*values, *baselines), tuple(items))


def score_sugarcrepe(scores: Path | str) -> Score:
    """Share of pictures whose caption scores higher than its hard negative, in 0..1 (Hsieh et al. 2023, arXiv
    2306.14610).

    Rows of `scores` (JSON lines, CSV or TSV) are ``{id, positive, negative}`` and may have ``image``, which intervals
    are clustered by, and ``type`` (replace-obj, swap-att, ...), which the values are sliced by and which the paper
    reports. Ties count as wrong. Raises DataError for a missing or not finite score.
    """
    items = []
    for name, row in _rows(scores).items():
        at = {key: _number(row, key, f"{scores}, id {name!r}") for key in ("positive", "negative")}
        right = at["positive"] > at["negative"]
        statistics = {"examples": 1.0, "right": float(right)}
        slices = {"type": str(row["type"])} if row.get("type") else {}
        image = str(row.get("image") or name)
        items.append(Item(name, image, at, "positive" if right else "negative", "positive", statistics, slices=slices))
    values = summarise(items, measures(items), slices=("type",))
    chance = Value("baseline.chance.accuracy", 0.5, len(items), method="baseline")
    return Score("sugarcrepe", "ties are wrong", (*values, chance), tuple(items))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_winoground` or `score_sugarcrepe`, by what the items have."""
    if "right" in items[0].statistics:
        return {"accuracy": share("right", "examples")}
    return {f"{name}_score": share(name, "examples") for name in ("text", "image", "group")}


def _rows(path: Path | str) -> dict[str, dict[str, Any]]:
    rows = by_id(path, table_rows(path), "id", "example")
    if not rows:
        raise DataError(f"{path}: no example in it")
    return rows


def _number(row: Mapping[str, Any], key: str, where: str) -> float:
    try:
        value = float(row[key])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {key!r} is {row.get(key, 'missing')!r}, expected a finite number")
    return value
