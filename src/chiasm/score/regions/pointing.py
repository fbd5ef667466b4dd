"""Attribution maps against the region they should show: the pointing game, energy inside, and IoU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.records import by_id, paired, records
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, mean_of_ratios, share
from chiasm.score.regions.rle import decode
from chiasm.score.result import Item, Score

TOLERANCE = 15.0
"""Pixels around a region within which a point still hits it."""


def pointed_at(attribution: np.ndarray) -> tuple[float, float]:
    """The centre (x, y), in cells of the map, of the largest value; the mean position where several are largest.

    `attribution` is (height, width). Raises ValueError for an empty map, NaN, or a constant map, which points nowhere.
    """
    if attribution.ndim != 2 or not attribution.size or not np.isfinite(attribution).all():
        raise ValueError(f"an attribution map must be finite and (height, width), got {attribution.shape}")
    largest = attribution.max()
    if largest == attribution.min():
        raise ValueError("a constant attribution map points nowhere")
    y, x = np.nonzero(attribution == largest)
    return float(x.mean()) + 0.5, float(y.mean()) + 0.5


def energy_inside(attribution: np.ndarray, region: np.ndarray) -> float:
    """The share of a map's positive values that lies in a bool region of its shape, in [0, 1]; NaN if there are none.

    The energy-based pointing game (Wang et al. 2020, arXiv:1910.01279).
    """
    positive = np.maximum(attribution, 0)
    total = positive.sum()
    return float(positive[region].sum() / total) if total > 0 else float("nan")


def attribution_iou(attribution: np.ndarray, region: np.ndarray) -> float:
    """IoU of a bool region with as many of the map's largest cells as the region has, in [0, 1]; NaN without a region.

    Taking the region's own size needs no threshold to be chosen. Of equal values the earlier cell counts as larger.
    """
    count = int(np.count_nonzero(region))
    if not count:
        return float("nan")
    largest = np.argsort(-attribution, axis=None, kind="stable")[:count]
    hits = int(np.count_nonzero(region.ravel()[largest]))
    return hits / (2 * count - hits)


def distance_to(point: tuple[float, float], region: np.ndarray) -> float:
    """Pixels from a point (x, y) to the nearest pixel of a bool mask (height, width): 0 inside, infinite if empty."""
    y, x = np.nonzero(region)
    if not len(x):
        return math.inf
    # A pixel covers [x, x + 1] by [y, y + 1].
    dx = np.maximum(np.maximum(x - point[0], point[0] - (x + 1)), 0)
    dy = np.maximum(np.maximum(y - point[1], point[1] - (y + 1)), 0)
    return float(np.hypot(dx, dy).min())


def score_pointing(
    truth: Path | str,
    points: Path | str,
    tolerance: float = TOLERANCE,
    missing: Literal["error", "wrong"] = "error",
    replicates: int = 2000,
    seed: int = 0,
) -> Score:
    """The pointing game: does the most important point lie in the region (Zhang et al. 2016, arXiv:1608.00507)?

    `truth` has rows ``{id, image, category, bbox: [left, top, width, height]}`` or, for masks, ``{id, image, category,
    segmentation, width, height}``; `points` has rows ``{id, point: [x, y]}``, all in pixels. A point within `tolerance`
    pixels of the region counts, 15 in the paper. "hit" is over all rows, by category in the slices; "mean over
    categories" is the paper's number. Raises DataError for files that can't be read or do not fit each other.
    """
    regions = by_id(truth, records(truth), "id", "region")
    said = by_id(points, records(points), "id", "point")
    paired(regions.keys(), said.keys(), truth, points, missing)
    items = tuple(_item(truth, points, key, region, said.get(key), tolerance) for key, region in regions.items())
    values = summarise(items, {"hit": _HIT}, ("category",), replicates, seed)
    values += summarise(items, {"mean over categories": _over_categories(items)}, (), replicates, seed)
    absent = sum(item.problem is not None for item in items)
    notes = (f"{absent} of {len(items)} rows have no point and count as wrong.",) if absent else ()
    return Score("pointing", f"within {tolerance:g} pixels", values, items, notes)


_HIT = share("hit", "points")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_pointing`."""
    return {"hit": _HIT, "mean over categories": _over_categories(items)}


def _over_categories(items: Sequence[Item]) -> Measure:
    names = sorted({item.slices["category"] for item in items})
    return mean_of_ratios(names, "hits", "points", "points")


def _item(
    truth: Path | str,
    points: Path | str,
    key: str,
    region: dict[str, Any],
    said: dict[str, Any] | None,
    tolerance: float,
) -> Item:
    where = f"{truth}: region {key}"
    distance = math.inf
    if said is not None:
        point = _numbers(f"{points}: point {key}", said.get("point"), 2, "point", "[x, y]")
        distance = _distance(where, region, (point[0], point[1]))
    category = str(region.get("category", "all"))
    hit = float(distance <= tolerance)
    reason = "hit" if hit else "no point" if said is None else "near miss" if distance <= 3 * tolerance else "elsewhere"
    return Item(
        id=key,
        image=str(region.get("image", key)),
        prediction=said,
        parsed=None if said is None else said["point"],
        truth={name: region[name] for name in ("bbox", "segmentation", "category") if name in region},
        statistics={"points": 1.0, "hit": hit, f"points: {category}": 1.0, f"hits: {category}": hit},
        problem=None if said is not None else "no point",
        slices={"category": category, "reason": reason},
    )


def _distance(where: str, region: dict[str, Any], point: tuple[float, float]) -> float:
    if "segmentation" in region:
        width, height = _numbers(where, [region.get("width"), region.get("height")], 2, "width and height", "numbers")
        try:
            return distance_to(point, decode(region["segmentation"], (int(width), int(height))))
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    left, top, width, height = _numbers(where, region.get("bbox"), 4, "bbox", "[left, top, width, height]")
    dx = max(left - point[0], point[0] - (left + width), 0.0)
    dy = max(top - point[1], point[1] - (top + height), 0.0)
    return math.hypot(dx, dy)


def _numbers(where: str, values: Any, count: int, name: str, form: str) -> list[float]:
    if (
        not isinstance(values, list)
        or len(values) != count
        or any(type(value) not in (int, float) or not math.isfinite(value) for value in values)
    ):
        raise DataError(f"{where}: {name} is {values!r}, expected {form} in pixels")
    return [float(value) for value in values]
