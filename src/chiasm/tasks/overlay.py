"""A picture with what was seen drawn on it."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chiasm.tasks.see import Seen
from chiasm.types import Object

COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#e119b9")
MASK_OPACITY = 110
"""Of 255."""


def draw(image: Image.Image, seen: Seen) -> Image.Image:
    """A copy of the picture with the box and, where there is one, the mask of every detected object or, where something
    was asked for, of that alone. Pictures smaller than 480 pixels are enlarged so that labels can be read."""
    grounded = [o for d in seen.grounded.values() for o in d.objects]
    objects = grounded if seen.grounded else list(seen.detection.objects if seen.detection else ())
    scale = max(1, round(480 / max(image.size)))
    canvas = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    for thing in objects:
        if thing.mask is not None:
            shade = Image.fromarray(thing.mask.astype(np.uint8) * MASK_OPACITY).resize(canvas.size)
            canvas.paste(_color(thing), mask=shade)
    pen = ImageDraw.Draw(canvas)
    thickness = max(2, max(canvas.size) // 250)
    font = ImageFont.load_default(size=max(12, max(canvas.size) // 40))
    for thing in objects:
        _draw_object(pen, thing, scale, thickness, font, canvas.size)
    return canvas


def _draw_object(
    pen: ImageDraw.ImageDraw,
    thing: Object,
    scale: int,
    thickness: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    if thing.box is None:
        return
    color = _color(thing)
    x1, y1, x2, y2 = (v * scale for v in thing.box.as_tuple())
    pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=thickness)
    label = thing.name if thing.score is None else f"{thing.name} {thing.score:.2f}"
    left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
    width, height = right - left + 6, bottom - top + 6
    # Above the box where there is room, else inside; never past the picture's edge.
    x = min(max(0, x1), max(0, size[0] - width))
    y = y1 - height if y1 >= height else y1
    pen.rectangle((x, y, x + width, y + height), fill=color)
    pen.text((x + 3 - left, y + 3 - top), label, fill="white", font=font)


def _color(thing: Object) -> str:
    return COLORS[zlib.crc32(thing.name.encode()) % len(COLORS)]


def overlay_path(target: Path, photo: Path, photos: int) -> Path:
    """Where a photo's overlay goes: `target` itself for one photo, a PNG of the photo's name in it for several."""
    if photos == 1 and target.suffix:
        return target
    return target / f"{photo.stem}.png"


def save_overlay(image: Image.Image, seen: Seen, path: Path) -> None:
    """Write `draw(image, seen)` to `path`, whose folder is made; the format follows its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(image, seen).save(path)
