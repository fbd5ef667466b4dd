"""Where a box is: its size class, and why a box that names the right thing is in the wrong place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.data.boxes import Boxes, area, as_array, iou_matrix
from chiasm.types import Box

SIZES = ("small", "medium", "large")
_SIZE_LIMITS = (0.15, 0.30)
_BORDER = 0.01
_GROSS = 0.1


def size_class(box: Box, image_size: tuple[int, int]) -> str:
    """small, medium or large by sqrt(box area / image area): below .15, below .30, and above.

    Relative to the picture, since COCO's absolute limits (32 and 96 pixels) say nothing about a picture of 96 pixels.
    """
    side = (box.area / max(image_size[0] * image_size[1], 1)) ** 0.5
    return SIZES[sum(side >= limit for limit in _SIZE_LIMITS)]


def share_inside(boxes: Boxes, regions: Boxes) -> np.ndarray:
    """Share of each box's area that lies inside each region: (boxes, regions) in [0, 1]; 0 for a box without area."""
    a, b = as_array(boxes)[:, None], as_array(regions)[None, :]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.prod(np.maximum(sides, 0), axis=-1)
    whole = np.broadcast_to(area(boxes)[:, None], inside.shape)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)


def miss_cause(true: Box, others: Sequence[Box], image_size: tuple[int, int]) -> str:
    """What may have hidden a missed object; the first that applies of small, crowded, at the border, in plain view.

    Crowded: boxes of other objects cover 30 % of it or more (the largest one counts).
    """
    if size_class(true, image_size) == "small":
        return "small"
    if (share_inside([true], others) >= 0.3).any():
        return "crowded"
    width, height = image_size
    left, top, right, bottom = true.as_tuple()
    if min(left, width - right) <= _BORDER * width or min(top, height - bottom) <= _BORDER * height:
        return "at the border"
    return "in plain view"


def location_cause(
    predicted: Box | None, true: Box, others: Sequence[Box], image_size: tuple[int, int], threshold: float = 0.5
) -> str:
    """Why `predicted` does not lie on `true`; `others` are the boxes of the other true objects.

    Tested in this order, a repair counting when it lifts IoU to `threshold`: loose (IoU is above it already), another
    instance, and for a box that hardly touches its target, axis order (y before x), scale (bins of 1,000 or [0, 1]
    instead of pixels) and left-right; then offset (right size, wrong place), size (overlaps, wrong size), elsewhere.
    """
    if predicted is None:
        return "no box"
    overlap = _iou(predicted, true)
    if overlap >= threshold:
        return "loose"
    if any(_iou(predicted, other) >= threshold for other in others):
        return "another instance"
    if overlap < _GROSS:
        for cause, repaired in _gross_repairs(predicted, image_size):
            if _iou(repaired, true) >= threshold:
                return cause
    dx, dy = (t - p for t, p in zip(true.center, predicted.center, strict=True))
    left, top, right, bottom = predicted.as_tuple()
    if _iou(Box(left + dx, top + dy, right + dx, bottom + dy), true) >= threshold:
        return "offset"
    return "size" if overlap > 0 else "elsewhere"


def _gross_repairs(box: Box, image_size: tuple[int, int]) -> list[tuple[str, Box]]:
    width, height = image_size
    left, top, right, bottom = box.as_tuple()
    return [
        ("axis order", Box(top, left, bottom, right)),
        ("axis order", _scaled(Box(top, left, bottom, right), width / height, height / width)),
        ("scale", _scaled(box, width / 1000, height / 1000)),
        ("scale", _scaled(box, 1000 / width, 1000 / height)),
        ("scale", _scaled(box, width, height)),
        ("scale", _scaled(box, 1 / width, 1 / height)),
        ("left-right", Box(width - right, top, width - left, bottom)),
    ]


def _scaled(box: Box, x: float, y: float) -> Box:
    return Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y)


def _iou(first: Box, second: Box) -> float:
    return float(iou_matrix([first], [second])[0, 0])
