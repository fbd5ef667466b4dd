"""Kosmos-2's dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import TOLERANCE
from chiasm.data.box_text.text import check_label, malformed
from chiasm.data.boxes import Size, normalise
from chiasm.errors import DataError
from chiasm.types import Box

SIDE = 32
_SEVERAL = "</delimiter_of_multi_objects/>"


class KosmosCodec:
    """Kosmos-2: ``<phrase>cup</phrase><object><patch_index_0033><patch_index_0099></object>``, the cells of a 32 x 32
    grid that hold a box's corners; "" for no boxes.

    A corner is read as the middle of its cell, but a box that lies in one row or one column of cells as those cells
    whole, and so up to one cell larger than it was. Plain words may stand between phrases, as in grounded captions.
    Source: unilm ``kosmos-2/demo/decode_string.py``.
    """

    _pair = re.compile(r"<patch_index_([0-9]{4})>\s*<patch_index_([0-9]{4})>")
    _item = re.compile(
        rf"(?:<phrase>(?P<label>[^<>]*)</phrase>\s*)?<object>\s*(?P<boxes>{_pair.pattern}"
        rf"(?:\s*{re.escape(_SEVERAL)}\s*{_pair.pattern})*)\s*</object>"
    )
    _ignored = re.compile(r"<grounding>|</?s>|<pad>|</?image>")

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<" or ">"; DataError for a bare box after a labelled one."""
        text = ""
        for label, box in items:
            if label is None and text.startswith("<phrase>"):
                raise DataError("Kosmos-2's dialect can't write a bare box after a labelled one; give it a label")
            first, last = _cells(box, size)
            phrase = f"<phrase>{check_label(label, '<>')}</phrase>" if label is not None else ""
            text += f"{phrase}<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
        return text

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        text = self._ignored.sub("", text)
        if not text.strip():
            return []
        items: list[Item] = []
        position = 0
        for match in self._item.finditer(text):
            _only_words(text, position, match.start())
            position = match.end()
            label = match["label"]
            if label is not None and not label.strip():
                raise malformed("Kosmos-2", text, match.start(), "empty phrase")
            for pair in self._pair.finditer(match["boxes"]):
                box = _box(int(pair[1]), int(pair[2]), size)
                if box is None:
                    raise malformed("Kosmos-2", text, match.start(), "inverted box or cell outside the grid")
                items.append((label.strip() if label else None, box))
        _only_words(text, position, len(text))
        if not items:
            raise malformed("Kosmos-2", text, 0)
        return items


def _only_words(text: str, start: int, stop: int) -> None:
    """Between two objects there are words, and phrases that have no box."""
    words = re.sub(r"<phrase>[^<>]*</phrase>", "", text[start:stop])
    if "<" in words or ">" in words:
        raise malformed("Kosmos-2", text, start)


def _cells(box: Box, size: Size) -> tuple[int, int]:
    """Numbers of the cells that hold the upper left and the lower right corner."""
    x1, y1, x2, y2 = normalise([box], size)[0]
    if min(x1, y1) < -TOLERANCE or max(x2, y2) > 1 + TOLERANCE:
        raise DataError(f"box {box.as_tuple()} reaches outside its {size[0]}x{size[1]} picture; clip it first")
    left, top = (min(SIDE - 1, max(0, math.floor(v * SIDE))) for v in (x1, y1))
    right, bottom = (min(SIDE - 1, max(least, math.ceil(v * SIDE) - 1)) for v, least in ((x2, left), (y2, top)))
    return top * SIDE + left, bottom * SIDE + right


def _box(first: int, last: int, size: Size) -> Box | None:
    """The box of two cells; None where they are not in order."""
    (top, left), (bottom, right) = divmod(first, SIDE), divmod(last, SIDE)
    if bottom >= SIDE or top > bottom or left > right:
        return None
    inset = 0.0 if left == right or top == bottom else 0.5
    width, height = size
    return Box(
        (left + inset) / SIDE * width,
        (top + inset) / SIDE * height,
        (right + 1 - inset) / SIDE * width,
        (bottom + 1 - inset) / SIDE * height,
    )
