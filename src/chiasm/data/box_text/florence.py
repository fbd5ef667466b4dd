"""Florence-2's dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import Scale, encode_box
from chiasm.data.box_text.text import check_label, read_box, scan
from chiasm.data.boxes import Size
from chiasm.errors import DataError


class FlorenceCodec:
    """Florence-2: ``cup<loc_x1><loc_y1><loc_x2><loc_y2>``, 1000 bins read as centres; "" for no boxes.

    A label holds for all boxes up to the next label, so a bare box can't follow a labelled one. ``<s>``, ``</s>`` and
    ``<pad>`` are ignored. Regions written as quadrilaterals or polygons look alike and are not read here.
    Source: Florence2PostProcessor in transformers.
    """

    _scale = Scale.of_bins(1000)
    _box = re.compile(r"<loc_([0-9]{1,6})>\s*" * 4)
    _item = re.compile(r"(?P<label>[^<>]*)(?P<boxes>(?:" + r"<loc_[0-9]{1,6}>\s*" * 4 + ")+)")
    _separator = re.compile("")
    _special = re.compile(r"</?s>|<pad>")

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<" or ">"; DataError for a bare box after a labelled one."""
        text = ""
        for label, box in items:
            if label is None and text and not text.startswith("<"):
                raise DataError("Florence-2's dialect can't write a bare box after a labelled one; give it a label")
            codes = encode_box(box, size, self._scale, self._scale)
            text += check_label(label, "<>") + "".join(f"<loc_{code}>" for code in codes)
        return text

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        text = self._special.sub("", text)
        if not text.strip():
            return []
        return [
            (match["label"].strip() or None, read_box(match, codes, size, self._scale, "Florence-2"))
            for match in scan(self._item, self._separator, text, "Florence-2")
            for codes in self._box.findall(match["boxes"])
        ]
