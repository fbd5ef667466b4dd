"""Attribution maps against the region that they should show: where they peak, their energy inside, and IoU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from chiasm.errors import DataError
from chiasm.score.regions.rle import decode


def read_map(path: Path) -> np.ndarray:
    """A map (height, width) from an ``.npy`` file. Raises DataError for one that can't be read, is empty, not finite,
    or constant, since that points nowhere."""
    try:
        attribution = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no attribution map in .npy ({error})") from None
    if attribution.ndim != 2 or not attribution.size or not np.isfinite(attribution).all():
        raise DataError(f"{path}: an attribution map is finite and (height, width), this one is {attribution.shape}")
    if attribution.max() == attribution.min():
        raise DataError(f"{path}: every value is {attribution.flat[0]}, so the map points nowhere")
    return np.asarray(attribution, dtype=np.float64)


def pointed_at(attribution: np.ndarray) -> tuple[float, float]:
    """The centre (x, y), in cells of the map, of the largest value; the mean position where several are largest."""
    y, x = np.nonzero(attribution == attribution.max())
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


def region_cells(region: dict[str, Any], width: float, height: float, cells: tuple[int, int]) -> np.ndarray:
    """Which cells of a map (rows, columns) over a picture of `width` x `height` pixels have their centre in the box or
    mask of `region`."""
    rows, columns = cells
    x = (np.arange(columns) + 0.5) * width / columns
    y = (np.arange(rows) + 0.5) * height / rows
    if "segmentation" in region:
        mask = decode(region["segmentation"], (int(width), int(height)))
        return mask[y.astype(int)[:, None], x.astype(int)]
    left, top, box_width, box_height = region["bbox"]
    across = (x >= left) & (x < left + box_width)
    return ((y >= top) & (y < top + box_height))[:, None] & across
