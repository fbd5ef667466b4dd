"""Boxes as bare lists of four decimal numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import Scale, decode_box, encode_box
from chiasm.data.box_text.text import malformed
from chiasm.data.boxes import Size
from chiasm.errors import ConfigError, DataError, ParseError


class NumberListCodec:
    """``[x1, y1, x2, y2]`` as LLaVA, Shikra and many prompts write it, several as ``[..], [..]`` or ``[[..], [..]]``.

    Numbers are fractions of the picture or its pixels, as `unit` says: text alone can't tell, and nothing is guessed.
    Written with `decimals` decimals, the last of which is the step; read with any number of them. Words may stand
    around the lists, "[]" means no boxes, and there are no labels.
    """

    _number = r"\s*([0-9]{1,9}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*"
    _box = re.compile(rf"\[{_number},{_number},{_number},{_number}\]")

    def __init__(self, unit: Literal["fraction", "pixel"], decimals: int = 3) -> None:
        """Raises ConfigError for another unit or decimals outside 0..6."""
        if unit not in ("fraction", "pixel") or not 0 <= decimals <= 6:
            raise ConfigError(f"unit must be 'fraction' or 'pixel' and decimals 0 to 6, got {unit!r} and {decimals}")
        self._unit, self._decimals = unit, decimals

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. Raises DataError for a label."""
        written = []
        for label, box in items:
            if label is not None:
                raise DataError(f"a list of numbers has no labels, so {label!r} can't be written")
            numbers = [code / 10**self._decimals for code in encode_box(box, size, *self._scales(size))]
            written.append("[" + ", ".join(f"{number:.{self._decimals}f}" for number in numbers) + "]")
        return ", ".join(written) or "[]"

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        stripped = text.strip()
        if stripped == "[]":
            return []
        if stripped.startswith("[[") and stripped.endswith("]]"):
            stripped = stripped[1:-1]
        matches = list(self._box.finditer(stripped))
        between = self._box.sub(" ", stripped)
        if not matches or re.search(r"[\[\]]", between):
            raise malformed("number list", text, 0)
        items: list[Item] = []
        for match in matches:
            codes = [float(number) * 10**self._decimals for number in match.groups()]
            try:
                items.append((None, decode_box(codes, size, *self._scales(size))))
            except ParseError:
                width, height = (1, 1) if self._unit == "fraction" else size
                reason = f"box {match[0]} is empty, inverted or outside 0..{width} by 0..{height}"
                raise malformed("number list", stripped, match.start(), reason) from None
        return items

    def _scales(self, size: Size) -> tuple[Scale, Scale]:
        width, height = (1, 1) if self._unit == "fraction" else size
        return Scale.of_borders(width * 10**self._decimals), Scale.of_borders(height * 10**self._decimals)
