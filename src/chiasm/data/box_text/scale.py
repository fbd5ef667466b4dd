"""Coordinates as integer codes, and boxes as four of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.data.boxes import Size, normalise
from chiasm.errors import DataError, ParseError
from chiasm.types import Box

TOLERANCE = 1e-6  # of the picture's side: rounding noise, not a box outside the picture


@dataclass(frozen=True)
class Scale:
    """Integer codes 0..top for a coordinate in [0, 1]: code k stands for (k + offset) / steps."""

    steps: int
    offset: float
    top: int

    @classmethod
    def of_bins(cls, bins: int) -> Scale:
        """Equal bins, each read as its centre."""
        return cls(steps=bins, offset=0.5, top=bins - 1)

    @classmethod
    def of_borders(cls, top: int) -> Scale:
        """Code 0 on one border, `top` on the other."""
        return cls(steps=top, offset=0.0, top=top)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        return np.clip(np.floor(values * self.steps - self.offset + 0.5), 0, self.top).astype(np.int64)

    def value(self, code: float) -> float:
        return (code + self.offset) / self.steps

    def encode_side(self, low: float, high: float) -> tuple[int, int]:
        """Two codes, the first smaller."""
        first, second = map(int, self.quantize(np.array([low, high])))
        if first == second:
            upper_half = (low + high) / 2 >= self.value(first)
            if first == 0 or (upper_half and first < self.top):
                second += 1
            else:
                first -= 1
        return first, second

    def decode_side(self, first: float, second: float) -> tuple[float, float]:
        """Raises ParseError for codes out of range or not in rising order."""
        if not (0 <= first <= self.top and 0 <= second <= self.top):
            raise ParseError(f"coordinate outside 0..{self.top}")
        if first >= second:
            raise ParseError("inverted or empty box")
        return self.value(first), self.value(second)


def encode_box(box: Box, size: Size, x: Scale, y: Scale) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = normalise([box], size)[0]
    if min(x1, y1) < -TOLERANCE or max(x2, y2) > 1 + TOLERANCE:
        raise DataError(f"box {box.as_tuple()} reaches outside its {size[0]}x{size[1]} picture; clip it first")
    left, right = x.encode_side(x1, x2)
    top, bottom = y.encode_side(y1, y2)
    return left, top, right, bottom


def decode_box(codes: Sequence[float], size: Size, x: Scale, y: Scale) -> Box:
    """`codes` are x1, y1, x2, y2."""
    width, height = size
    left, right = x.decode_side(codes[0], codes[2])
    top, bottom = y.decode_side(codes[1], codes[3])
    return Box(left * width, top * height, right * width, bottom * height)
