"""What every dialect offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chiasm.data.boxes import Size
from chiasm.types import Box

Item = tuple[str | None, Box]
"""A label, or None for a bare box, and a box in absolute pixels."""


class BoxCodec(Protocol):
    """A text dialect of boxes. `size` is the (width, height) of the upright original that the boxes refer to."""

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """Raises DataError for a box outside the picture or a label that the dialect can't hold."""
        ...

    def parse(self, text: str, size: Size) -> list[Item]:
        """Boxes with positive area inside the picture. Raises ParseError for anything but well-formed text."""
        ...
