"""Perturbed pictures and option orders: deterministic, so that two runs see the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from chiasm.data.images import open_image
from chiasm.errors import ConfigError
from chiasm.types import ImageSource

GREY = (127, 127, 127)


def occlude(image: ImageSource, item: str, share: float = 0.25) -> Image.Image:
    """The picture with a grey rectangle of its own proportions over `share` of its area, in (0, 1].

    `item`, the id of the example, decides where it lies. Raises ImageError for a picture that can't be opened.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"the occluded share of a picture must lie in (0, 1], got {share}")
    picture = open_image(image, name=item)
    width, height = (max(1, round(side * share**0.5)) for side in picture.size)
    rng = _random(item)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    picture.paste(GREY, (left, top, left + width, top + height))
    return picture


def blur(image: ImageSource, item: str, share: float = 0.02) -> Image.Image:
    """The picture under a Gaussian whose sigma is `share` of its shorter side, so that size does not matter."""
    if share <= 0:
        raise ConfigError(f"the blur must be above 0, got {share}")
    picture = open_image(image, name=item)
    return picture.filter(ImageFilter.GaussianBlur(share * min(picture.size)))


def blank(image: ImageSource, item: str) -> Image.Image:
    """An even grey picture of the same size: what is still right was not seen."""
    return Image.new("RGB", open_image(image, name=item).size, GREY)


def shuffled_options(options: Sequence[str], item: str) -> tuple[int, ...]:
    """Another order of the options of `item`: position i shows option ``order[i]``; never the order as it was.

    Raises ConfigError for fewer than two options.
    """
    if len(options) < 2:
        raise ConfigError(f"{item!r} has {len(options)} options: there is no other order")
    rng, as_was = _random(item), tuple(range(len(options)))
    order = as_was
    while order == as_was:
        order = tuple(rng.permutation(len(options)).tolist())
    return order


def _random(item: str) -> np.random.Generator:
    digest = hashlib.sha256(item.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
