"""PaliGemma's dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import Scale, encode_box
from chiasm.data.box_text.text import check_label, read_box, scan
from chiasm.data.boxes import Size


class PaliGemmaCodec:
    """PaliGemma: ``<loc0010><loc0005><loc0900><loc1000> cup ; <loc...``, y1 x1 y2 x2 in 0..1023; "" for no boxes.

    Source: big_vision ``pp/proj/paligemma/segmentation.py`` (rounds v * 1023) and
    ``evaluators/proj/paligemma/transfers/segmentation.py`` (reads k / 1023).
    """

    _scale = Scale.of_borders(1023)
    _item = re.compile(r"\s*" + r"<loc([0-9]{4})>\s*" * 4 + r"(?P<label>[^<>;]*)")
    _separator = re.compile(";")

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<", ">" or ";"."""
        parts = []
        for label, box in items:
            x1, y1, x2, y2 = encode_box(box, size, self._scale, self._scale)
            tokens = "".join(f"<loc{code:04d}>" for code in (y1, x1, y2, x2))
            parts.append(f"{tokens} {check_label(label, '<>;')}".rstrip())
        return " ; ".join(parts)

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if not text.strip():
            return []
        items: list[Item] = []
        for match in scan(self._item, self._separator, text, "PaliGemma"):
            y1, x1, y2, x2, label = match.groups()
            items.append((label.strip() or None, read_box(match, (x1, y1, x2, y2), size, self._scale, "PaliGemma")))
        return items
