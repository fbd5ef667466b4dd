"""Sheets to be looked at: pictures with their truth on top, and every object class in every colour and size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chiasm.data.worlds.sprites import sprite
from chiasm.data.worlds.vocabulary import COLORS, OBJECT_NAMES, SIZES
from chiasm.types import Dataset, Example, Object

_TILE = 288  # pixels of a picture's side on the sheet: three times the default size
_MARGIN = 8
_LINE = 14
_LINES = 15
_CHARACTERS = 48
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)
_CHART_GREY = 200
_CHART_GAP = 4


def contact_sheet(dataset: Dataset, indices: Sequence[int], columns: int = 4) -> Image.Image:
    """Draw the examples at `indices` in rows of `columns`: boxes labelled with colour and class, and below each
    picture its scene, a caption and one question of every kind with its answer."""
    rows = -(-len(indices) // columns)
    width, height = _TILE + 2 * _MARGIN, _TILE + _LINES * _LINE + 2 * _MARGIN
    sheet = Image.new("RGB", (columns * width, rows * height), _PAPER)
    for position, index in enumerate(indices):
        row, column = divmod(position, columns)
        sheet.paste(_card(dataset[index], width, height), (column * width, row * height))
    return sheet


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


def _card(example: Example, width: int, height: int) -> Image.Image:
    card = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(card)
    font = ImageFont.load_default(size=11)
    picture = Image.fromarray(np.asarray(example.image))
    card.paste(picture.resize((_TILE, _TILE), Image.Resampling.NEAREST), (_MARGIN, _MARGIN))
    for thing in reversed(example.objects or ()):
        _outline(draw, thing, _TILE / picture.width, font)

    first_of_kind = {question.kind: question for question in reversed(example.questions)}
    lines = [f"[{example.scene}]"]
    lines += [line for caption in example.captions[:1] for line in textwrap.wrap(caption, _CHARACTERS)]
    for question in reversed(first_of_kind.values()):
        lines += textwrap.wrap(f"{question.text} {question.answers[0]}", _CHARACTERS)
    for number, line in enumerate(lines[:_LINES]):
        draw.text((_MARGIN, _TILE + _MARGIN + 3 + number * _LINE), line, fill=_INK, font=font)
    return card


def _outline(
    draw: ImageDraw.ImageDraw, thing: Object, scale: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> None:
    if thing.box is None:
        return
    x1, y1, x2, y2 = (_MARGIN + v * scale for v in thing.box.as_tuple())
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=_PAPER)
    label = f"{thing.attributes.get('color', '')} {thing.name}".strip()
    _, _, label_width, label_height = draw.textbbox((0, 0), label, font=font)
    left = min(x1, _MARGIN + _TILE - label_width - 4)
    top = max(y1 - label_height - 2, _MARGIN)
    draw.rectangle((left, top, left + label_width + 3, top + label_height + 1), fill=_PAPER)
    draw.text((left + 2, top), label, fill=_INK, font=font)
