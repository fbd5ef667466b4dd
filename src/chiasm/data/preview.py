"""A sheet to be looked at: pictures of any dataset with their truth on top."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from chiasm.data.images import open_image
from chiasm.types import Dataset, Example, Object

_TILE = 288  # pixels of a picture's longer side on the sheet: three times that of a drawn one
_MARGIN = 8
_LINE = 14
_LINES = 15
_CHARACTERS = 48
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)


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


def _card(example: Example, width: int, height: int) -> Image.Image:
    card = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(card)
    font = ImageFont.load_default(size=11)
    picture = open_image(example.image, name=example.id)
    scale = _TILE / max(picture.size)
    # A drawn picture keeps its pixels, as a model sees them; a photo is made smaller smoothly.
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    card.paste(picture.resize(size, how), (_MARGIN, _MARGIN))
    for thing in reversed(example.objects or ()):
        _outline(draw, thing, scale, font)

    first_of_kind = {question.kind: question for question in reversed(example.questions)}
    lines = [f"[{example.scene}]"] if example.scene else []
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
