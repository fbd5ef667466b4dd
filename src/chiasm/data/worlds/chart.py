"""Every object class in every colour and size, on one sheet."""

from __future__ import annotations

import numpy as np
from PIL import Image

from chiasm.data.worlds.sprites import sprite
from chiasm.data.worlds.vocabulary import COLORS, OBJECT_NAMES, SIZES

_CHART_GREY = 200
_CHART_GAP = 4


def class_chart(size: int = 96, enlarged: int = 2) -> Image.Image:
    """Every object class (a row) in every colour (a column), small, medium and large, as in pictures of `size` pixels
    shown `enlarged` times."""
    extents = [round(sum(bounds) / 2 * size) for bounds in SIZES.values()]
    cell_width, cell_height = sum(extents) + _CHART_GAP * len(extents), max(extents) + _CHART_GAP
    shape = (cell_height * len(OBJECT_NAMES), cell_width * len(COLORS), 3)
    chart = np.full(shape, _CHART_GREY, np.float32)
    for row, name in enumerate(OBJECT_NAMES):
        for column, color in enumerate(COLORS):
            left, floor = column * cell_width + _CHART_GAP // 2, (row + 1) * cell_height - _CHART_GAP // 2
            for extent in extents:
                drawing = sprite(name, extent)
                height, width = drawing.mask.shape
                area = chart[floor - height : floor, left : left + width]
                area[:] = drawing.over(area, color)
                left += extent + _CHART_GAP
    picture = Image.fromarray(np.rint(chart).astype(np.uint8))
    return picture.resize((picture.width * enlarged, picture.height * enlarged), Image.Resampling.NEAREST)
