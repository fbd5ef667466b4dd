"""Boxes that can't be boxes: inverted, empty, outside their picture, of another scale or order of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chiasm.data.json_text import shortened
from chiasm.score.doctor.findings import Tally
from chiasm.score.doctor.truth import Truth

SHARE = 0.2
"""If more boxes than this reach outside their pictures, their form is in doubt rather than each of them."""


class Boxes:
    """Looks at one box after the other, each [left, top, width, height] in pixels as COCO's results have them."""

    def __init__(self, tally: Tally, truth: Truth | None) -> None:
        self._tally, self._truth = tally, truth or Truth()
        self._count = self._outside = self._as_corners = 0
        self._largest = 0.0

    def add(self, number: int, name: str | None, row: Mapping[str, Any]) -> None:
        category = row.get("category_id")
        if category is not None and self._truth.categories and str(category) not in self._truth.categories:
            self._tally.add("unknown category", number, name, f"category_id {category!r}")
        if category is not None and type(row.get("score")) not in (int, float):
            self._tally.add("no score", number, name, f"score {row['score']!r}" if "score" in row else "")
        box = row.get("bbox")
        if box is None:
            return
        if not isinstance(box, list) or len(box) != 4 or not all(type(side) in (int, float) for side in box):
            self._tally.add("wrong type", number, name, f"bbox {shortened(box)}")
            return
        if not all(map(math.isfinite, box)):
            return  # said of every number
        left, top, width, height = box
        self._count += 1
        self._largest = max(self._largest, *map(abs, box))
        if width < 0 or height < 0:
            self._tally.add("inverted box", number, name, f"bbox {box}")
        elif width == 0 or height == 0:
            self._tally.add("empty box", number, name, f"bbox {box}")
        size = self._truth.sizes.get(name or "")
        if size is None:
            return
        if left < -1 or top < -1 or left + width > size[0] + 1 or top + height > size[1] + 1:
            self._outside += 1
            self._tally.add("outside the picture", number, name, f"bbox {box} of {size[0]} x {size[1]} pixels")
        self._as_corners += 0 <= left < width <= size[0] + 1 and 0 <= top < height <= size[1] + 1

    def finish(self) -> None:
        if self._count and 0 < self._largest <= 1:
            self._tally.add("normalised boxes", found=f"the largest number of {self._count} boxes is {self._largest}")
        if self._outside > SHARE * self._count and self._as_corners == self._count:
            self._tally.forget("outside the picture")
            self._tally.add("corners", found=f"{self._outside} of {self._count} boxes reach outside their pictures")
