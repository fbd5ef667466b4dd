"""Where a box is: its size class, and why a box that names the right thing is in the wrong place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chiasm.data.boxes import Boxes, area, as_array, iou_matrix
from chiasm.types import Box

ON_OBJECT = 0.5
"""IoU from which on a box lies on an object."""
CROWDED = 0.3
"""Share of an object's box that another one covers."""
SIZES = ("small", "medium", "large")
SIZE_LIMITS = (0.15, 0.30)
_BORDER = 0.01
_GROSS = 0.1


def size_class(box: Box, image_size: tuple[int, int]) -> str:
    """small, medium or large by sqrt(box area / image area): below .15, below .30, and above.

    Relative to the picture, since COCO's absolute limits (32 and 96 pixels) say nothing about a picture of 96 pixels.
    """
    side = (box.area / max(image_size[0] * image_size[1], 1)) ** 0.5
    return SIZES[sum(side >= limit for limit in SIZE_LIMITS)]


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
    crowded = np.any(share_inside([true], others) >= CROWDED, axis=1)
    [cause] = miss_causes(as_array([true]), crowded, np.array([image_size]))
    return cause


def miss_causes(true: np.ndarray, crowded: np.ndarray, image_sizes: np.ndarray) -> list[str]:
    """As `miss_cause`, of many: ``xyxy`` (N, 4), whether another box covers `CROWDED` of it (N,), (width, height)
    (N, 2)."""
    width, height = image_sizes.T
    left, top, right, bottom = true.T
    side = np.sqrt(area(true) / np.maximum(width * height, 1))
    at_side = np.minimum(left, width - right) <= _BORDER * width
    at_edge = np.minimum(top, height - bottom) <= _BORDER * height
    cases = {"small": side < SIZE_LIMITS[0], "crowded": crowded, "at the border": at_side | at_edge}
    return _first_case(cases, "in plain view")


def location_cause(predicted: Box | None, true: Box, others: Sequence[Box], image_size: tuple[int, int]) -> str:
    """Why `predicted` does not lie on `true`; `others` are the boxes of the other true objects.

    Tested in this order, a repair counting when it lifts IoU to `ON_OBJECT`: loose (IoU is above it already), another
    instance, and for a box that hardly touches its target, axis order (y before x), scale (bins of 1,000 or [0, 1]
    instead of pixels) and left-right; then offset (right size, wrong place), size (overlaps, wrong size), elsewhere.
    """
    if predicted is None:
        return "no box"
    on_another = np.any(iou_matrix([predicted], others) >= ON_OBJECT, axis=1)
    [cause] = location_causes(as_array([predicted]), as_array([true]), on_another, np.array([image_size]))
    return cause


def location_causes(
    predicted: np.ndarray, true: np.ndarray, on_another: np.ndarray, image_sizes: np.ndarray
) -> list[str]:
    """As `location_cause`, of many: two times ``xyxy`` (N, 4), whether it lies on another object (N,), (width, height)
    (N, 2)."""
    overlap = _iou(predicted, true)
    shift = (true[:, :2] + true[:, 2:] - predicted[:, :2] - predicted[:, 2:]) / 2
    cases = {"loose": overlap >= ON_OBJECT, "another instance": on_another}
    for cause, repairs in _gross_repairs(predicted, image_sizes.astype(np.float64)).items():
        repaired = np.max([_iou(boxes, true) for boxes in repairs], axis=0)
        cases[cause] = (overlap < _GROSS) & (repaired >= ON_OBJECT)
    cases["offset"] = _iou(predicted + np.tile(shift, 2), true) >= ON_OBJECT
    cases["size"] = overlap > 0
    return _first_case(cases, "elsewhere")


def _gross_repairs(boxes: np.ndarray, sizes: np.ndarray) -> dict[str, list[np.ndarray]]:
    both = np.tile(sizes, 2)
    swapped = boxes[:, [1, 0, 3, 2]]
    mirrored = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + both * [1, 0, 1, 0]
    return {
        "axis order": [swapped, swapped * both / both[:, [1, 0, 3, 2]]],
        "scale": [boxes * both / 1000, boxes * 1000 / both, boxes * both, boxes / both],
        "left-right": [mirrored],
    }


def _first_case(cases: Mapping[str, np.ndarray], otherwise: str) -> list[str]:
    names = [*cases, otherwise]
    return [names[case] for case in np.select([*cases.values()], range(len(cases)), len(cases)).tolist()]


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of row with row: (N, 4) twice to (N,)."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = area(first) + area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
