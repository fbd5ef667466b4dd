"""Krippendorff's alpha and mean ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.jackknife import jackknife_interval
from chiasm.score.judgement.ratings import Rating, read_ratings
from chiasm.score.measure import ratio
from chiasm.score.result import Item, Score, Value

Level = Literal["nominal", "ordinal", "interval"]


def score_ratings(source: Path | str | Sequence[Rating], level: Level = "ordinal", seed: int = 0) -> Score:
    """Mean ratings, for all and by system, and how far the raters agree: alpha at `level`, over outputs.

    `source` is a file as for `read_ratings` or its rows. An output is an item of a system; intervals resample items.
    Raises DataError as `read_ratings` does.
    """
    ratings = read_ratings(source) if isinstance(source, str | Path) else list(source)
    if not ratings:
        raise DataError("no ratings")
    items = tuple(
        Item(
            f"{row.item}/{row.system}/{row.rater}", row.item, row.value, row.value, None,
            {"ratings": 1.0, "rating": row.value}, slices={"system": row.system} if row.system else {},
        )
        for row in ratings
    )  # fmt: skip
    means = summarise(items, {"mean_rating": ratio("rating", "ratings", most=math.inf)}, ["system"], seed=seed)
    return Score("ratings", f"alpha, {level}", (_alpha_value(ratings, level, seed), *means), items)


def _alpha_value(ratings: Sequence[Rating], level: Level, seed: int) -> Value:
    kinds, kind = np.unique([row.value for row in ratings], return_inverse=True)
    place: dict[tuple[str, str], int] = {}
    unit = np.array([place.setdefault((row.item, row.system), len(place)) for row in ratings])
    counts = np.zeros((len(place), len(kinds)))
    np.add.at(counts, (unit, kind), 1)
    items, item = np.unique([name for name, _ in place], return_inverse=True)
    pairable = int((counts.sum(axis=1) >= 2).sum())

    def without(part: np.ndarray) -> float:
        return _alpha(counts[~np.isin(item, part)], kinds, level)

    value = _alpha(counts, kinds, level)
    if np.isnan(value):
        return Value("alpha", None, pairable, method="none: nothing to disagree on")
    found = jackknife_interval(value, without, len(items), seed=seed)
    if found is None:
        return Value("alpha", value, pairable, method="none: too few items")
    return Value("alpha", value, pairable, found[0], min(1.0, found[1]), "delete-a-group jackknife by item")


def _alpha(counts: np.ndarray, kinds: np.ndarray, level: Level) -> float:
    """Krippendorff's alpha: agreement beyond chance, at most 1, 0 at chance (Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability").

    `counts` is (units, kinds): how many raters gave a unit each of `kinds`, the different ratings in order. Units with
    fewer than two ratings don't count. NaN where there is no such unit or all ratings are equal.
    """
    counts = counts[counts.sum(axis=1) >= 2]
    totals = counts.sum(axis=0)
    n = totals.sum()
    if n == 0:
        return float("nan")
    distance = _distance(kinds, totals, level)
    # Pairs of ratings of one unit, each unit weighed by its number of ratings (the distance of equals is 0).
    observed = ((counts @ distance) * counts).sum(axis=1) @ (1 / (counts.sum(axis=1) - 1))
    expected = totals @ distance @ totals / (n - 1)
    return float(1 - observed / expected) if expected > 0 else float("nan")


def _distance(kinds: np.ndarray, totals: np.ndarray, level: Level) -> np.ndarray:
    """Squared difference of every two kinds, (kinds, kinds)."""
    if level == "nominal":
        return 1.0 - np.eye(len(kinds))
    # Ordinal: how many ratings lie between two ranks, their own counted half.
    positions = kinds if level == "interval" else np.cumsum(totals) - totals / 2
    return (positions[:, None] - positions[None, :]) ** 2
