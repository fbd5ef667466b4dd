"""A pen for shapes in their own units (about 0 to 100), whatever the pixel size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

INK: Color = (28, 24, 34)
PAPER: Color = (248, 246, 240)
STEEL: Color = (150, 156, 168)
WOOD: Color = (124, 82, 48)
LEAF: Color = (58, 112, 52)
GLASS: Color = (186, 222, 236)
SOOT: Color = (64, 60, 72)


class Pen:
    """Draws filled shapes. `tone` gives the body colour, darker below 1 and paler above 1."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, shift: Point, body: Color) -> None:
        self._draw = draw
        self._scale = scale
        self._shift = shift
        self._body = body

    def tone(self, brightness: float = 1.0) -> Color:
        """The body colour times `brightness`; above 1, mixed with white in the proportion ``brightness - 1``."""
        dark, white = min(brightness, 1.0), max(brightness - 1.0, 0.0)
        r, g, b = (round(c * dark * (1 - white) + 255 * white) for c in self._body)
        return r, g, b

    def _at(self, point: Point) -> Point:
        return point[0] * self._scale + self._shift[0], point[1] * self._scale + self._shift[1]

    def _box(self, x1: float, y1: float, x2: float, y2: float) -> list[Point]:
        (left, top), (right, bottom) = self._at((x1, y1)), self._at((x2, y2))
        # PIL includes the last pixel of a shape.
        return [(left, top), (max(right - 1, left), max(bottom - 1, top))]

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        self._draw.polygon([self._at(p) for p in points], fill=fill)

    def oval(self, x1: float, y1: float, x2: float, y2: float, fill: Color) -> None:
        self._draw.ellipse(self._box(x1, y1, x2, y2), fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Color) -> None:
        self.oval(x - radius, y - radius, x + radius, y + radius, fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Color) -> None:
        box = self._box(x - radius, y - radius, x + radius, y + radius)
        self._draw.ellipse(box, outline=fill, width=self._width(width))

    def box(self, x1: float, y1: float, x2: float, y2: float, fill: Color, corner: float = 0) -> None:
        self._draw.rounded_rectangle(self._box(x1, y1, x2, y2), corner * self._scale, fill=fill)

    def pie(self, x1: float, y1: float, x2: float, y2: float, start: float, end: float, fill: Color) -> None:
        """A slice of an oval; degrees clockwise from three o'clock."""
        self._draw.pieslice(self._box(x1, y1, x2, y2), start, end, fill=fill)

    def arc(
        self, x1: float, y1: float, x2: float, y2: float, start: float, end: float, width: float, fill: Color
    ) -> None:
        """A part of an oval's rim; degrees clockwise from three o'clock."""
        self._draw.arc(self._box(x1, y1, x2, y2), start, end, fill=fill, width=self._width(width))

    def line(self, points: Sequence[Point], width: float, fill: Color) -> None:
        """A line with round ends and joints."""
        placed = [self._at(p) for p in points]
        pixels = self._width(width)
        self._draw.line(placed, fill=fill, width=pixels, joint="curve")
        radius = pixels / 2
        for x, y in (placed[0], placed[-1]):
            self._draw.ellipse([(x - radius, y - radius), (x + radius, y + radius)], fill=fill)

    def star(self, x: float, y: float, outer: float, inner: float, points: int, fill: Color) -> None:
        corners = []
        for k in range(2 * points):
            radius = inner if k % 2 else outer
            angle = math.pi * k / points - math.pi / 2
            corners.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
        self.polygon(corners, fill)

    def _width(self, width: float) -> int:
        return max(round(width * self._scale), 1)
