"""Chiasm's own dialect of `<loc_k>` tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import TOLERANCE, Scale, encode_box
from chiasm.data.box_text.text import check_label, read_box, scan
from chiasm.data.boxes import Size
from chiasm.errors import ConfigError


class LocCodec:
    """Chiasm's own dialect: ``cup<loc_12><loc_3><loc_40><loc_41>``, codes x1 y1 x2 y2 of `bins` equal bins.

    Items follow one another directly or after ";"; the label may be missing; no boxes at all is spelled "none".
    """

    _item = re.compile("(?P<label>[^<>;]*)" + r"<loc_([0-9]{1,6})>\s*" * 4)
    _separator = re.compile(r";?")

    def __init__(self, bins: int = 1000) -> None:
        """Raises ConfigError for fewer than 2 bins."""
        if bins < 2:
            raise ConfigError(f"bins must be at least 2, got {bins}")
        self.bins = bins
        self._scale = Scale.of_bins(bins)

    def token(self, code: int) -> str:
        """``<loc_k>`` for k in 0..bins-1, ValueError otherwise."""
        if not 0 <= code < self.bins:
            raise ValueError(f"location {code} is outside 0..{self.bins - 1}")
        return f"<loc_{code}>"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """The int64 bins of coordinates in [0, 1], any shape; the right border belongs to the last bin.

        Raises ValueError for coordinates outside [0, 1] or not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        if not ((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)).all():
            raise ValueError("coordinates to quantize must lie in [0, 1]")
        return self._scale.quantize(values)

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<", ">" or ";"."""
        if not items:
            return "none"
        return "".join(
            check_label(label, "<>;") + "".join(map(self.token, encode_box(box, size, self._scale, self._scale)))
            for label, box in items
        )

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if text.strip() == "none":
            return []
        return [
            (match["label"].strip() or None, read_box(match, match.groups()[1:], size, self._scale, "loc"))
            for match in scan(self._item, self._separator, text, "loc")
        ]
