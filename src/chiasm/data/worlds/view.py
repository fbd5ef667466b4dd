"""A picture to paint places on, in fractions of its side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]


class View:
    """A square picture to draw on: coordinates and widths are fractions of its side."""

    def __init__(self, side: int, rng: Random, horizon: float) -> None:
        self.rng = rng
        self.horizon = horizon
        self._side = side
        self.image = Image.new("RGB", (side, side))
        self._draw = ImageDraw.Draw(self.image)

    def gradient(self, y1: float, y2: float, top: Color, bottom: Color) -> None:
        """Fill the rows from y1 to y2."""
        first, last = round(y1 * self._side), round(y2 * self._side)
        if last <= first:
            return
        rows = np.linspace(np.array(top, np.float32), np.array(bottom, np.float32), last - first)
        band = np.broadcast_to(rows[:, None, :].astype(np.uint8), (last - first, self._side, 3))
        self.image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, first))

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        self._draw.polygon([(x * self._side, y * self._side) for x, y in points], fill=fill)

    def box(self, x1: float, y1: float, x2: float, y2: float, fill: Color) -> None:
        self.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        s = self._side
        self._draw.ellipse([((x - rx) * s, (y - ry) * s), ((x + rx) * s, (y + ry) * s)], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Color) -> None:
        s = self._side
        self._draw.line([(x * s, y * s) for x, y in points], fill=fill, width=max(round(width * s), 1), joint="curve")

    def ridge(self, y: float, height: float, fill: Color, *, peaks: int = 8, rough: float = 0.25) -> None:
        """A hilly or jagged skyline around `y`, filled down to the bottom."""
        phase, waves = self.phase(), self.rng.uniform(0.7, 1.6)
        points = []
        for k in range(2 * peaks + 1):
            x = k / (2 * peaks)
            bump = math.sin(6.28 * waves * x + phase) * (1 - rough) + self.rng.uniform(-1, 1) * rough
            points.append((x, y - height * bump))
        self.polygon([(0, 1), *points, (1, 1)], fill)

    def phase(self) -> float:
        return self.rng.uniform(0, 6.28)

    def wave(self, y: float, height: float, waves: float, phase: float, width: float, fill: Color) -> None:
        points = [(k / 24, y + height * math.sin(6.28 * waves * k / 24 + phase)) for k in range(25)]
        self.line(points, width, fill)

    def specks(self, count: int, y1: float, y2: float, radius: float, fills: Sequence[Color]) -> None:
        for _ in range(count):
            x, y, fill = self.rng.random(), self.rng.uniform(y1, y2), self.rng.choice(fills)
            r = radius * self.rng.uniform(0.6, 1.2)
            self.oval(x, y, r, r * 0.6, fill)

    def clouds(self, count: int, lowest: float, fill: Color) -> None:
        for _ in range(count):
            x, y = self.rng.random(), self.rng.uniform(0.04, lowest)
            r = self.rng.uniform(0.03, 0.06)
            for dx, dy, k in ((-1.5, 0.3, 0.7), (0, 0, 1.0), (1.4, 0.3, 0.8), (0, 0.5, 1.2)):
                self.oval(x + dx * r, y + dy * r, r * 1.3 * k, r * 0.7 * k, fill)

    def varied(self, color: Color, amount: int = 12) -> Color:
        """`color`, a little lighter or darker and warmer or colder."""
        light = self.rng.randint(-amount, amount)
        r, g, b = (channel(c + light + self.rng.randint(-amount // 2, amount // 2)) for c in color)
        return r, g, b


def channel(value: float) -> int:
    """The nearest whole number in 0..255."""
    return min(max(round(value), 0), 255)
