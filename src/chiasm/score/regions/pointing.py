"""The pointing game: does the point that a model marks as most important lie in the region it should show?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.records import by_id, paired, records
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, mean_of_ratios, ratio, share
from chiasm.score.regions.attribution import attribution_iou, energy_inside, pointed_at, read_map, region_cells
from chiasm.score.regions.rle import decode
from chiasm.score.result import Item, Score

TOLERANCE = 15.0
"""Pixels around a region within which a point still hits it."""


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
    categories" is the paper's number.

    A row may have ``map`` instead of ``point``: an attribution map in .npy, of any size and named from where `points`
    lies, that covers the whole picture, whose width and height then stand in `truth`. It points at its largest value,
    and its "energy inside" and "attribution IoU" are means over such rows, in [0, 1].

    Raises DataError for files that can't be read or do not fit each other.
    """
    regions = by_id(truth, records(truth), "id", "region")
    said = by_id(points, records(points), "id", "point")
    paired(regions.keys(), said.keys(), truth, points, missing)
    items = tuple(_item(truth, points, key, region, said.get(key), tolerance) for key, region in regions.items())
    values = summarise(items, {"hit": _HIT} | _of_maps(items), ("category",), replicates, seed)
    values += summarise(items, {"mean over categories": _over_categories(items)}, (), replicates, seed)
    absent = sum(item.problem is not None for item in items)
    notes = (f"{absent} of {len(items)} rows have no point and count as wrong.",) if absent else ()
    return Score("pointing", f"within {tolerance:g} pixels", values, items, notes)


_HIT = share("hit", "points")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_pointing`."""
    return {"hit": _HIT} | _of_maps(items) | {"mean over categories": _over_categories(items)}


def _of_maps(items: Sequence[Item]) -> dict[str, Measure]:
    if not any("maps" in item.statistics for item in items):
        return {}
    return {"energy inside": ratio("energy", "maps"), "attribution IoU": ratio("attribution_iou", "maps")}


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
    of_map: dict[str, float] = {}
    if said is not None and "map" in said:
        point, of_map = _of_map(where, region, Path(points).parent / str(said["map"]))
        distance = _distance(where, region, point)
        said = said | {"point": list(point)}
    elif said is not None:
        x, y = _numbers(f"{points}: point {key}", said.get("point"), 2, "point", "[x, y]")
        distance = _distance(where, region, (x, y))
    category = str(region.get("category", "all"))
    hit = float(distance <= tolerance)
    reason = "hit" if hit else "no point" if said is None else "near miss" if distance <= 3 * tolerance else "elsewhere"
    return Item(
        id=key,
        image=str(region.get("image", key)),
        prediction=said,
        parsed=None if said is None else said["point"],
        truth={name: region[name] for name in ("bbox", "segmentation", "category") if name in region},
        statistics={"points": 1.0, "hit": hit, f"points: {category}": 1.0, f"hits: {category}": hit} | of_map,
        problem=None if said is not None else "no point",
        slices={"category": category, "reason": reason},
    )


def _of_map(where: str, region: dict[str, Any], path: Path) -> tuple[tuple[float, float], dict[str, float]]:
    """The point in pixels that the map shows, and its statistics."""
    width, height = _numbers(where, [region.get("width"), region.get("height")], 2, "width and height", "numbers")
    attribution = read_map(path)
    rows, columns = attribution.shape
    x, y = pointed_at(attribution)
    if "segmentation" not in region:
        _numbers(where, region.get("bbox"), 4, "bbox", "[left, top, width, height]")
    try:
        inside = region_cells(region, width, height, (rows, columns))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    energy, iou = energy_inside(attribution, inside), attribution_iou(attribution, inside)
    if math.isnan(energy):
        raise DataError(f"{path}: no value of the map is above 0")
    if math.isnan(iou):
        raise DataError(f"{where}: no cell of the {columns} x {rows} map {path} lies in it; give a finer map")
    return (x * width / columns, y * height / rows), {"maps": 1.0, "energy": energy, "attribution_iou": iou}


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
