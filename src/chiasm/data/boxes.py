"""Box geometry on arrays of shape (N, 4).

Outside the models a box is ``xyxy`` in absolute pixels of the upright original; inside it is ``xyxy`` in [0, 1].
Sizes are ``(width, height)``, as in PIL. The text dialects of boxes live in `chiasm.data.box_text`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.types import Box

Boxes = np.ndarray | Sequence[Box]
"""An array (N, 4) of ``xyxy`` rows, or a sequence of `Box`."""

Size = tuple[int, int]
"""(width, height) in pixels."""


def as_array(boxes: Boxes) -> np.ndarray:
    """float64 array (N, 4); (0, 4) for no boxes. Raises ValueError for any other shape."""
    if not isinstance(boxes, np.ndarray):
        boxes = np.array([box.as_tuple() for box in boxes], dtype=np.float64).reshape(-1, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4), got {boxes.shape}")
    return boxes.astype(np.float64)


def as_boxes(array: np.ndarray) -> list[Box]:
    """The rows of an ``xyxy`` array (N, 4). Raises ValueError for an inverted or non-finite row, as `Box` does."""
    return [Box(*map(float, row)) for row in as_array(array)]


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """(left, top, width, height) rows, as COCO stores them, to ``xyxy`` rows."""
    boxes = as_array(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def normalise(boxes: Boxes, size: Size) -> np.ndarray:
    """Absolute pixels to fractions of the picture, in [0, 1] for boxes inside it."""
    return as_array(boxes) / _scale(size)


def clip(boxes: Boxes, size: Size) -> np.ndarray:
    """Cut absolute boxes at the picture's border. A box entirely outside becomes an empty one on the border."""
    return np.clip(as_array(boxes), 0, _scale(size))


def area(boxes: Boxes) -> np.ndarray:
    """Areas (N,), never negative."""
    boxes = as_array(boxes)
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def iou_matrix(a: Boxes, b: Boxes) -> np.ndarray:
    """Intersection over union of every pair: (N, M) in [0, 1]; 0 where both boxes are empty."""
    intersection, union = _overlap(as_array(a), as_array(b))
    return _ratio(intersection, union)


def giou_matrix(a: Boxes, b: Boxes) -> np.ndarray:
    """Generalised IoU of every pair: (N, M) in [-1, 1] (Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1).

    IoU less the share of the smallest enclosing box that neither box covers.
    """
    a, b = as_array(a), as_array(b)
    intersection, union = _overlap(a, b)
    top_left = np.minimum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.maximum(a[:, None, 2:], b[None, :, 2:])
    enclosing = np.prod(bottom_right - top_left, axis=2)
    return _ratio(intersection, union) - _ratio(enclosing - union, enclosing)


def _overlap(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    return intersection, area(a)[:, None] + area(b)[None, :] - intersection


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _scale(size: Size) -> np.ndarray:
    width, height = size
    if width <= 0 or height <= 0:
        raise ValueError(f"a picture's size must be positive, got {width}x{height}")
    return np.array([width, height, width, height], dtype=np.float64)
