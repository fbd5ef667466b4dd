"""Perturbed pictures and option orders: deterministic, so that two runs see the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFilter

from chiasm.data.images import list_images, open_image
from chiasm.errors import ConfigError, ImageError
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


Kind = Literal["occlude", "blur", "blank"]
_SAVED_WITH: Mapping[str, Mapping[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}


def perturb_folder(folder: Path, out: Path, kind: Kind, strength: float | None = None) -> int:
    """Perturb every picture below `folder` into `out`, under the same names and formats; returns how many there are.

    `strength` is the `share` of `occlude` (.25 unless given) or `blur` (.02); `blank` has none. A picture's path below
    `folder` is its item. Raises ConfigError for a strength that the kind does not take, for what is no folder, and for
    one folder inside the other, and ImageError for a picture that can't be opened or written.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of pictures")
    if out.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{out} and {folder} lie in one another; name a folder of its own for the perturbed pictures")
    if kind == "blank" and strength is not None:
        raise ConfigError("blank pictures have no strength: there is nothing left of them")
    how = {} if strength is None else {"share": strength}
    paths = list_images([folder])
    for path in paths:
        item = path.relative_to(folder).as_posix()
        if kind == "blank":
            picture = blank(path, item)
        else:
            picture = {"occlude": occlude, "blur": blur}[kind](path, item, **how)
        target = out / item
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            picture.save(target, **_SAVED_WITH.get(path.suffix.lower(), {}))
        except OSError as error:
            raise ImageError(f"{target}: {error.strerror or error}") from None
    return len(paths)


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
