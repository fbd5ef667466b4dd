"""Drawings of objects, ready to be pasted in any colour.

The picture of an object is an affine function of its body colour, pixel by pixel: ``fixed + weight * colour``. So each
shape is drawn twice, with a black and with a white body, and every other colour follows without drawing again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from chiasm.data.worlds.pen import INK, Color, Pen, Point
from chiasm.data.worlds.shapes_nature import NATURE
from chiasm.data.worlds.shapes_things import THINGS, draw_sign
from chiasm.data.worlds.vocabulary import COLORS

SHAPES = NATURE | THINGS
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_MEASURING_SCALE = 4.0
_OUTLINE = 0.028  # of the longer side
_THINNEST_OUTLINE = 0.75  # pixels; thinner ones vanish against the background


@dataclass(frozen=True, slots=True)
class Sprite:
    """One object at one pixel size, alpha premultiplied.

    `alpha` and `weight` are float32 (height, width, 1) in [0, 1], `fixed` float32 (height, width, 3) in [0, 255].
    `mask` and `body` are bool (height, width): where the object is, and where it shows its own colour.
    """

    alpha: np.ndarray
    weight: np.ndarray
    fixed: np.ndarray
    mask: np.ndarray
    body: np.ndarray

    def over(self, background: np.ndarray, color: str) -> np.ndarray:
        """The sprite in `color` on top of `background`, float32 (height, width, 3)."""
        return background * (1 - self.alpha) + self.fixed + self.weight * np.array(COLORS[color], np.float32)


def _draw(name: str, word: str, canvas: tuple[int, int], scale: float, shift: Point, body: Color) -> Image.Image:
    image = Image.new("RGBA", canvas)
    pen = Pen(ImageDraw.Draw(image), scale, shift, body)
    if name == "sign":
        draw_sign(pen, word)
    else:
        SHAPES[name](pen)
    return image


@cache
def _extent(name: str) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of a drawing in its own units, measured, so that a shape need not fill a fixed frame."""
    side = int(160 * _MEASURING_SCALE)
    image = _draw(name, "", (side, side), _MEASURING_SCALE, (30 * _MEASURING_SCALE,) * 2, _WHITE)
    box = image.getchannel("A").getbbox()
    assert box is not None, f"the drawing of {name!r} is empty"
    x1, y1, x2, y2 = (v / _MEASURING_SCALE - 30 for v in box)
    return x1, y1, x2, y2


def shape_of(name: str, longer_side: float) -> tuple[float, float]:
    """Width and height of a drawing, without its outline, whose longer side is `longer_side`, in the same unit."""
    x1, y1, x2, y2 = _extent(name)
    width, height = x2 - x1, y2 - y1
    scale = longer_side / max(width, height)
    return width * scale, height * scale


@lru_cache(maxsize=1024)
def _upright(name: str, longer_side: int, word: str) -> Sprite:
    oversampling = 4 if longer_side <= 64 else 2
    x1, y1, x2, y2 = _extent(name)
    outline = max(_OUTLINE * longer_side, _THINNEST_OUTLINE)
    width, height = (round(v + 2 * outline) for v in shape_of(name, longer_side - 2 * outline))
    scale = (longer_side - 2 * outline) / max(x2 - x1, y2 - y1) * oversampling
    canvas = (width * oversampling, height * oversampling)
    shift = ((canvas[0] - (x2 + x1) * scale) / 2, (canvas[1] - (y2 + y1) * scale) / 2)

    drawn = [_draw(name, word, canvas, scale, shift, body) for body in (_BLACK, _WHITE)]
    inside = drawn[0].getchannel("A")
    halo = inside
    for _ in range(round(outline * oversampling)):
        halo = halo.filter(ImageFilter.MaxFilter(3))
    layers = []
    for image in drawn:
        layer = Image.new("RGB", canvas)
        layer.paste(INK, mask=halo)
        layer.paste(image, mask=inside)
        layers.append(_reduce(np.asarray(layer, np.float32), oversampling))
    alpha = _reduce(np.asarray(halo, np.float32)[..., None], oversampling) / 255
    weight = (layers[1] - layers[0]).mean(axis=2, keepdims=True) / 255
    return Sprite(alpha, weight, layers[0], alpha[..., 0] >= 0.5, weight[..., 0] >= 0.35)


def _reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Means over `factor` x `factor` blocks of (height, width, channels)."""
    height, width, channels = pixels.shape
    return pixels.reshape(height // factor, factor, width // factor, factor, channels).mean(axis=(1, 3))


@lru_cache(maxsize=1024)
def sprite(name: str, longer_side: int, *, flipped: bool = False, word: str = "") -> Sprite:
    """The drawing of `name` with its longer side at `longer_side` pixels; `word` is what a sign says."""
    upright = _upright(name, longer_side, word)
    if not flipped:
        return upright
    layers = (upright.alpha, upright.weight, upright.fixed, upright.mask, upright.body)
    return Sprite(*(np.ascontiguousarray(layer[:, ::-1]) for layer in layers))
