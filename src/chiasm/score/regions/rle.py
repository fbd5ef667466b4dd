"""Masks as COCO writes them: compressed and uncompressed run lengths, and polygons.

Runs go down the columns, zeros first. The compressed text and the rule by which a polygon covers pixels are the
backend's (faster-coco-eval), so that a mask read here has exactly the pixels that COCO's own tools give it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chiasm.data.boxes import Size
from chiasm.errors import DataError

Rle = dict[str, Any]
"""``{"size": [height, width], "counts": bytes}``."""


def encode(mask: np.ndarray) -> Rle:
    """A bool mask (height, width) as compressed run lengths. Raises ValueError for another shape or type."""
    from faster_coco_eval import mask as backend

    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(f"a mask must be a bool array (height, width), got {mask.dtype} {mask.shape}")
    return backend.encode(np.asfortranarray(mask, dtype=np.uint8))


def decode(segmentation: Any, size: Size) -> np.ndarray:
    """The bool mask (height, width) of a polygon list or run lengths. Raises DataError as `to_rle` does."""
    from faster_coco_eval import mask as backend

    return backend.decode(to_rle(segmentation, size)).astype(bool)


def to_rle(segmentation: Any, size: Size) -> Rle:
    """Compressed run lengths of what a COCO file holds under "segmentation", for a picture of `size` (width, height).

    Accepts a list of polygons ``[x1, y1, x2, y2, ...]`` (their union), ``{"size", "counts"}`` with counts as a list or
    as compressed text. Raises DataError for anything else: fewer than three corners, NaN, a mask of another size, runs
    that do not add up to the picture.
    """
    from faster_coco_eval import mask as backend

    width, height = size
    try:
        if isinstance(segmentation, dict):
            return _checked_runs(segmentation, size)
        if not isinstance(segmentation, list) or not segmentation:
            raise ValueError("expected a list of polygons or {'size', 'counts'}")
        for polygon in segmentation:
            _check_polygon(polygon)
        return backend.merge(backend.frPyObjects(segmentation, height, width))
    except (ValueError, RuntimeError, TypeError) as error:
        raise DataError(f"segmentation can't be read: {error}; it begins {str(segmentation)[:60]}") from None


def _checked_runs(segmentation: dict[str, Any], size: Size) -> Rle:
    from faster_coco_eval import mask_api_new_cpp as runs

    width, height = size
    if list(segmentation.get("size", [])) != [height, width]:
        raise ValueError(
            f"its size [height, width] is {segmentation.get('size')}, the picture's is [{height}, {width}]"
        )
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("run lengths must be whole numbers of at least 0")
        rle: Rle = runs.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    elif isinstance(counts, str | bytes):
        rle = {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    else:
        raise ValueError("'counts' must be a list or compressed text")
    pixels = sum(runs.toUncompressedRLE([rle])[0]["counts"])
    if pixels != height * width:
        raise ValueError(f"its runs cover {pixels} pixels of {height * width}")
    return rle


def _check_polygon(polygon: Any) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise ValueError("a polygon needs three or more corners, x and y in turn")
    if any(type(value) not in (int, float) or not math.isfinite(value) for value in polygon):
        raise ValueError("a polygon's coordinates must be finite numbers")
