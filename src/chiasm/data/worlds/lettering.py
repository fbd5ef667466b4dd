"""A stroke font of our own, so that words look the same on every machine."""

from __future__ import annotations

from chiasm.data.worlds.pen import Color, Pen

_WIDTH, _HEIGHT, _GAP, _STROKE = 4.0, 6.0, 1.9, 1.15
_Stroke = list[tuple[float, float]]

# Polylines on a grid 4 wide and 6 high, y downwards; only the letters that the words of the world need.
_STROKES: dict[str, list[_Stroke]] = {
    "A": [[(0, 6), (0, 1.5), (1.3, 0), (2.7, 0), (4, 1.5), (4, 6)], [(0, 3.6), (4, 3.6)]],
    "B": [[(0, 0), (0, 6), (2.8, 6), (4, 5.2), (4, 3.8), (2.8, 3), (0, 3)],
          [(0, 0), (2.6, 0), (3.6, 0.8), (3.6, 2.2), (2.6, 3)]],
    "C": [[(4, 0.6), (3, 0), (1.2, 0), (0, 1.2), (0, 4.8), (1.2, 6), (3, 6), (4, 5.4)]],
    "E": [[(4, 0), (0, 0), (0, 6), (4, 6)], [(0, 3), (3.2, 3)]],
    "F": [[(4, 0), (0, 0), (0, 6)], [(0, 3), (3.2, 3)]],
    "G": [[(4, 0.6), (3, 0), (1.2, 0), (0, 1.2), (0, 4.8), (1.2, 6), (4, 6), (4, 3.4), (2.4, 3.4)]],
    "H": [[(0, 0), (0, 6)], [(4, 0), (4, 6)], [(0, 3), (4, 3)]],
    "I": [[(0.8, 0), (3.2, 0)], [(2, 0), (2, 6)], [(0.8, 6), (3.2, 6)]],
    "K": [[(0, 0), (0, 6)], [(4, 0), (0.3, 3.2), (4, 6)]],
    "L": [[(0, 0), (0, 6), (4, 6)]],
    "M": [[(0, 6), (0, 0), (2, 2.8), (4, 0), (4, 6)]],
    "N": [[(0, 6), (0, 0), (4, 6), (4, 0)]],
    "O": [[(1.2, 0), (2.8, 0), (4, 1.2), (4, 4.8), (2.8, 6), (1.2, 6), (0, 4.8), (0, 1.2), (1.2, 0)]],
    "P": [[(0, 6), (0, 0), (2.8, 0), (4, 0.9), (4, 2.5), (2.8, 3.4), (0, 3.4)]],
    "S": [[(4, 0.5), (3, 0), (1, 0), (0, 0.8), (0, 2.2), (1, 3), (3, 3), (4, 3.8), (4, 5.2), (3, 6), (1, 6), (0, 5.5)]],
    "T": [[(0, 0), (4, 0)], [(2, 0), (2, 6)]],
    "U": [[(0, 0), (0, 4.8), (1.2, 6), (2.8, 6), (4, 4.8), (4, 0)]],
    "X": [[(0, 0), (4, 6)], [(4, 0), (0, 6)]],
    "Y": [[(0, 0), (2, 2.8), (4, 0)], [(2, 2.8), (2, 6)]],
    "Z": [[(0, 0), (4, 0), (0, 6), (4, 6)]],
}  # fmt: skip


def write(pen: Pen, word: str, area: tuple[float, float, float, float], fill: Color) -> None:
    """Write `word` (capitals) as large as fits into `area` (x1, y1, x2, y2 in the pen's units), centred."""
    if not word:
        return
    x1, y1, x2, y2 = area
    width = len(word) * (_WIDTH + _GAP) - _GAP
    across = (x2 - x1) / (width + _STROKE)
    down = (y2 - y1) / (_HEIGHT + _STROKE)
    # Long words may be narrower than tall, which keeps their letters high enough to read.
    across = min(across, down * 1.15)
    down = min(down, across * 1.7)
    left = (x1 + x2 - width * across) / 2
    top = (y1 + y2 - _HEIGHT * down) / 2
    for position, letter in enumerate(word):
        start = left + position * (_WIDTH + _GAP) * across
        for stroke in _STROKES[letter]:
            pen.line([(start + x * across, top + y * down) for x, y in stroke], _STROKE * across, fill)
