"""Dialects by name, as on a command line."""

from __future__ import annotations

from chiasm.data.box_text.codec import BoxCodec
from chiasm.data.box_text.florence import FlorenceCodec
from chiasm.data.box_text.json_lists import GeminiCodec, MoondreamCodec, Qwen3VLCodec, Qwen25VLCodec
from chiasm.data.box_text.kosmos import KosmosCodec
from chiasm.data.box_text.loc import LocCodec
from chiasm.data.box_text.number_list import NumberListCodec
from chiasm.data.box_text.paligemma import PaliGemmaCodec
from chiasm.data.box_text.phrases import DeepSeekVL2Codec, InternVLCodec, Qwen2VLCodec, QwenVLCodec
from chiasm.data.boxes import Size
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError

_SAME_FOR_ALL_SIZES: dict[str, BoxCodec] = {
    "chiasm": LocCodec(),
    "deepseek-vl2": DeepSeekVL2Codec(),
    "florence-2": FlorenceCodec(),
    "fractions": NumberListCodec("fraction"),
    "gemini": GeminiCodec(),
    "internvl": InternVLCodec(),
    "kosmos-2": KosmosCodec(),
    "moondream": MoondreamCodec(),
    "paligemma": PaliGemmaCodec(),
    "pixels": NumberListCodec("pixel"),
    "qwen-vl": QwenVLCodec(),
    "qwen2-vl": Qwen2VLCodec(),
    "qwen3-vl": Qwen3VLCodec(),
}
DIALECTS = tuple(sorted([*_SAME_FOR_ALL_SIZES, "qwen2.5-vl"]))
"""Every name that `codec` knows."""


def codec(dialect: str, size: Size) -> BoxCodec:
    """The codec of a dialect for a picture of `size` (width, height).

    Qwen2.5-VL's boxes are pixels of the resized picture: as `qwen25_resized` says. For other limits
    make a `Qwen25VLCodec`. Raises ConfigError for an unknown name.
    """
    if dialect == "qwen2.5-vl":
        return Qwen25VLCodec(qwen25_resized(size))
    if dialect not in _SAME_FOR_ALL_SIZES:
        raise ConfigError(f"no box dialect {dialect!r}{did_you_mean(dialect, DIALECTS)}")
    return _SAME_FOR_ALL_SIZES[dialect]


def qwen25_resized(size: Size) -> Size:
    """The (width, height) to which Qwen2.5-VL resizes a picture: multiples of 28, the area within its limits.

    Source: ``smart_resize`` in transformers' Qwen2-VL image processor, with the limits of the released checkpoints.
    """
    width, height = size
    multiple, least_pixels, most_pixels = 28, 4 * 28 * 28, 16384 * 28 * 28
    # Python's round, half to even, is part of the rule.
    sides = [max(multiple, round(side / multiple) * multiple) for side in (width, height)]
    if sides[0] * sides[1] > most_pixels:
        shrink = (width * height / most_pixels) ** 0.5
        sides = [max(multiple, int(side / shrink / multiple) * multiple) for side in (width, height)]
    elif sides[0] * sides[1] < least_pixels:
        grow = (least_pixels / (width * height)) ** 0.5
        sides = [-int(-side * grow // multiple) * multiple for side in (width, height)]
    return sides[0], sides[1]
