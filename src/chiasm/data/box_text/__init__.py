"""Boxes as text: one codec a dialect, all with the same `encode` and `parse`.

A dialect writes each coordinate as an integer code, or as a decimal number whose last digit counts as one. `LocCodec`
and Florence-2 cut [0, 1] into equal bins and read a code as the centre of its bin; the others put their codes on the
two borders and evenly between. Either way `parse(encode(items))` moves no coordinate by more than half the distance
between two codes. The one exception is a side too short for two different codes: it is widened to one step, because
equal codes would read as an empty box. Kosmos-2 reads a box of one row or column of its grid as those cells whole.

`parse` raises ParseError for anything that isn't its dialect: nothing is guessed, clipped, reordered or left out.
"""

from chiasm.data.box_text.codec import BoxCodec, Item
from chiasm.data.box_text.dialects import DIALECTS, codec, qwen25_resized
from chiasm.data.box_text.florence import FlorenceCodec
from chiasm.data.box_text.json_lists import GeminiCodec, MoondreamCodec, Qwen3VLCodec, Qwen25VLCodec
from chiasm.data.box_text.kosmos import KosmosCodec
from chiasm.data.box_text.loc import LocCodec
from chiasm.data.box_text.number_list import NumberListCodec
from chiasm.data.box_text.paligemma import PaliGemmaCodec
from chiasm.data.box_text.phrases import DeepSeekVL2Codec, InternVLCodec, Qwen2VLCodec, QwenVLCodec

__all__ = [
    "DIALECTS",
    "BoxCodec",
    "DeepSeekVL2Codec",
    "FlorenceCodec",
    "GeminiCodec",
    "InternVLCodec",
    "Item",
    "KosmosCodec",
    "LocCodec",
    "MoondreamCodec",
    "NumberListCodec",
    "PaliGemmaCodec",
    "Qwen2VLCodec",
    "Qwen3VLCodec",
    "Qwen25VLCodec",
    "QwenVLCodec",
    "codec",
    "qwen25_resized",
]
