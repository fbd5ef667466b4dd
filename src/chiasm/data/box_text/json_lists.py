"""Dialects written as a JSON list of boxes with labels: Qwen2.5-VL, Qwen3-VL, Gemini; and Moondream's JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import Scale, decode_box, encode_box
from chiasm.data.boxes import Size
from chiasm.errors import ConfigError, DataError, ParseError

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)


class _JsonListCodec:
    """``[{key: [four numbers], "label": "cup"}]``, "[]" for no boxes; a single box may stand without the list.

    The list may stand in a Markdown code fence with words around it; in two fences it would be ambiguous.
    """

    def __init__(self, dialect: str, key: str, x: Scale, y: Scale, y_first: bool = False) -> None:
        self._dialect, self._key, self._x, self._y = dialect, key, x, y
        # Where x1, y1, x2, y2 stand in the text; swapping axes twice gives back the order, so it serves both ways.
        self._order = (1, 0, 3, 2) if y_first else (0, 1, 2, 3)

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label may be any text."""
        entries: list[dict[str, Any]] = []
        for label, box in items:
            codes = encode_box(box, size, self._x, self._y)
            entry: dict[str, Any] = {self._key: [codes[place] for place in self._order]}
            entries.append(entry if label is None else entry | {"label": label})
        return json.dumps(entries, ensure_ascii=False)

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        entries = _read(self._dialect, text)
        if isinstance(entries, dict):
            entries = [entries]
        if not isinstance(entries, list):
            raise ParseError(f"{self._dialect}: expected a JSON list of boxes: {text[:80]!r}")
        return [self._item(entry, index, size) for index, entry in enumerate(entries)]

    def _item(self, entry: Any, index: int, size: Size) -> Item:
        codes = entry.get(self._key) if isinstance(entry, dict) else None
        if not isinstance(codes, list) or len(codes) != 4 or not all(map(_is_number, codes)):
            raise ParseError(f"{self._dialect}: item {index} has no {self._key!r} of four numbers: {str(entry)[:80]}")
        label = entry.get("label")
        if not isinstance(label, str | None):
            raise ParseError(f"{self._dialect}: the label of item {index} is not text: {str(label)[:80]}")
        try:
            return label, decode_box([codes[place] for place in self._order], size, self._x, self._y)
        except ParseError as error:
            raise ParseError(f"{self._dialect}: {error} in item {index}: {codes}") from None


class Qwen25VLCodec(_JsonListCodec):
    """Qwen2.5-VL: a JSON list of ``{"bbox_2d": [x1, y1, x2, y2], "label": "cup"}``, "[]" for no boxes.

    Coordinates are pixels of the picture as resized for the model, so there is one codec a picture. A step is one
    resized pixel. The list may stand in a Markdown code fence.
    """

    def __init__(self, resized_size: Size) -> None:
        """`resized_size`: (width, height) that the model saw. Raises ConfigError unless both are at least 1."""
        width, height = resized_size
        if width < 1 or height < 1:
            raise ConfigError(f"the resized picture must be at least 1x1, got {width}x{height}")
        super().__init__("Qwen2.5-VL", "bbox_2d", Scale.of_borders(width), Scale.of_borders(height))


class Qwen3VLCodec(_JsonListCodec):
    """Qwen3-VL: as Qwen2.5-VL, but in thousandths of the picture's width and height, 0..1000.

    Source: QwenLM/Qwen3-VL ``cookbooks/2d_grounding.ipynb``; single boxes, of both models, stand without a list in its
    ``qwen-vl-finetune/README.md``.
    """

    def __init__(self) -> None:
        super().__init__("Qwen3-VL", "bbox_2d", Scale.of_borders(1000), Scale.of_borders(1000))


class GeminiCodec(_JsonListCodec):
    """Gemini 2 and later: a JSON list of ``{"box_2d": [y1, x1, y2, x2], "label": "cup"}``, thousandths, 0..1000."""

    def __init__(self) -> None:
        super().__init__("Gemini", "box_2d", Scale.of_borders(1000), Scale.of_borders(1000), y_first=True)


class MoondreamCodec:
    """Moondream: ``{"objects": [{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}]}``, fractions; no labels.

    Written with 4 decimals, so a step is 0.0001 of the picture; read with any number of them.
    """

    _keys = ("x_min", "y_min", "x_max", "y_max")
    _scale = Scale.of_borders(10_000)

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. Raises DataError for a label."""
        objects = []
        for label, box in items:
            if label is not None:
                raise DataError(f"Moondream's dialect has no labels, so {label!r} can't be written")
            codes = encode_box(box, size, self._scale, self._scale)
            objects.append({key: self._scale.value(code) for key, code in zip(self._keys, codes, strict=True)})
        return json.dumps({"objects": objects})

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        content = _read("Moondream", text)
        objects = content.get("objects") if isinstance(content, dict) else None
        if not isinstance(objects, list):
            raise ParseError(f"Moondream: expected a JSON object with a list 'objects': {text[:80]!r}")
        items: list[Item] = []
        for index, entry in enumerate(objects):
            values: list[Any] = [entry.get(key) for key in self._keys] if isinstance(entry, dict) else [None]
            if not all(map(_is_number, values)):
                raise ParseError(f"Moondream: item {index} does not have the numbers {self._keys}: {str(entry)[:80]}")
            try:
                codes = [value * self._scale.steps for value in values]
                items.append((None, decode_box(codes, size, self._scale, self._scale)))
            except ParseError as error:
                raise ParseError(f"Moondream: {error} in ten-thousandths, in item {index}: {values}") from None
        return items


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _read(dialect: str, text: str) -> Any:
    fenced = _FENCE.findall(text)
    try:
        return json.loads(fenced[0] if len(fenced) == 1 else text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{dialect}: not JSON ({error}): {text[:80]!r}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated key would silently drop a box."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return dict(pairs)
