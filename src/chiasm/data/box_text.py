"""Boxes as text: one codec a dialect, all with the same `encode` and `parse`.

A dialect writes each coordinate as an integer code. `LocCodec` and Florence-2 cut [0, 1] into equal bins and read a
code as the centre of its bin; Qwen and PaliGemma put their codes on the two borders and evenly between. Either way
`parse(encode(items))` moves no coordinate by more than half the distance between two codes. The one exception is a
side too short for two different codes: it is widened to one step, because equal codes would read as an empty box.

`parse` raises ParseError for anything that isn't its dialect: nothing is guessed, clipped, reordered or left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chiasm.data.boxes import Size, normalise
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.types import Box

Item = tuple[str | None, Box]
"""A label, or None for a bare box, and a box in absolute pixels."""

_TOLERANCE = 1e-6  # of the picture's side: rounding noise, not a box outside the picture


class BoxCodec(Protocol):
    """A text dialect of boxes. `size` is the (width, height) of the upright original that the boxes refer to."""

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """Raises DataError for a box outside the picture or a label that the dialect can't hold."""
        ...

    def parse(self, text: str, size: Size) -> list[Item]:
        """Boxes with positive area inside the picture. Raises ParseError for anything but well-formed text."""
        ...


@dataclass(frozen=True)
class _Scale:
    """Integer codes 0..top for a coordinate in [0, 1]: code k stands for (k + offset) / steps."""

    steps: int
    offset: float
    top: int

    @classmethod
    def of_bins(cls, bins: int) -> _Scale:
        """Equal bins, each read as its centre."""
        return cls(steps=bins, offset=0.5, top=bins - 1)

    @classmethod
    def of_borders(cls, top: int) -> _Scale:
        """Code 0 on one border, `top` on the other."""
        return cls(steps=top, offset=0.0, top=top)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        return np.clip(np.floor(values * self.steps - self.offset + 0.5), 0, self.top).astype(np.int64)

    def value(self, code: float) -> float:
        return (code + self.offset) / self.steps

    def encode_side(self, low: float, high: float) -> tuple[int, int]:
        """Two codes, the first smaller."""
        first, second = map(int, self.quantize(np.array([low, high])))
        if first == second:
            upper_half = (low + high) / 2 >= self.value(first)
            if first == 0 or (upper_half and first < self.top):
                second += 1
            else:
                first -= 1
        return first, second

    def decode_side(self, first: float, second: float) -> tuple[float, float]:
        """Raises ParseError for codes out of range or not in rising order."""
        if not (0 <= first <= self.top and 0 <= second <= self.top):
            raise ParseError(f"coordinate outside 0..{self.top}")
        if first >= second:
            raise ParseError("inverted or empty box")
        return self.value(first), self.value(second)


def _encode_box(box: Box, size: Size, x: _Scale, y: _Scale) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = normalise([box], size)[0]
    if min(x1, y1) < -_TOLERANCE or max(x2, y2) > 1 + _TOLERANCE:
        raise DataError(f"box {box.as_tuple()} reaches outside its {size[0]}x{size[1]} picture; clip it first")
    left, right = x.encode_side(x1, x2)
    top, bottom = y.encode_side(y1, y2)
    return left, top, right, bottom


def _decode_box(codes: Sequence[float], size: Size, x: _Scale, y: _Scale) -> Box:
    """`codes` are x1, y1, x2, y2."""
    width, height = size
    left, right = x.decode_side(codes[0], codes[2])
    top, bottom = y.decode_side(codes[1], codes[3])
    return Box(left * width, top * height, right * width, bottom * height)


def _read_box(match: re.Match[str], codes: Sequence[str], size: Size, scale: _Scale, dialect: str) -> Box:
    """`codes`, x1 y1 x2 y2, come from `match`, which an error names."""
    try:
        return _decode_box([int(code) for code in codes], size, scale, scale)
    except ParseError as error:
        raise _malformed(dialect, match.string, match.start(), error) from None


def _check_label(label: str | None, reserved: str) -> str:
    if label is None:
        return ""
    if not label.strip() or label != label.strip() or any(character in label for character in reserved):
        raise DataError(f"label {label!r} can't be written: it must not be empty, padded or hold any of {reserved!r}")
    return label


def _scan(item: re.Pattern[str], separator: re.Pattern[str], text: str, dialect: str) -> Iterator[re.Match[str]]:
    """Items with separators between them, covering all of `text`."""
    position, end = 0, len(text)
    while True:
        match = item.match(text, position)
        if not match:
            raise _malformed(dialect, text, position)
        yield match
        position = match.end()
        if position == end:
            return
        gap = separator.match(text, position)
        if not gap:
            raise _malformed(dialect, text, position)
        position = gap.end()


def _malformed(dialect: str, text: str, position: int, reason: object = "no box can be read") -> ParseError:
    return ParseError(f"{dialect}: {reason} at character {position}: {text[position : position + 80]!r}")


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
        self._scale = _Scale.of_bins(bins)

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
        if not ((values >= -_TOLERANCE) & (values <= 1 + _TOLERANCE)).all():
            raise ValueError("coordinates to quantize must lie in [0, 1]")
        return self._scale.quantize(values)

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """The centres, in (0, 1), of bins 0..bins-1, any shape. ValueError for other bins."""
        codes = np.asarray(codes)
        if not ((codes >= 0) & (codes < self.bins)).all():
            raise ValueError(f"bins must lie in 0..{self.bins - 1}")
        return (codes + self._scale.offset) / self._scale.steps

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<", ">" or ";"."""
        if not items:
            return "none"
        return "".join(
            _check_label(label, "<>;") + "".join(map(self.token, _encode_box(box, size, self._scale, self._scale)))
            for label, box in items
        )

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if text.strip() == "none":
            return []
        return [
            (match["label"].strip() or None, _read_box(match, match.groups()[1:], size, self._scale, "loc"))
            for match in _scan(self._item, self._separator, text, "loc")
        ]


class FlorenceCodec:
    """Florence-2: ``cup<loc_x1><loc_y1><loc_x2><loc_y2>``, 1000 bins read as centres; "" for no boxes.

    A label holds for all boxes up to the next label, so a bare box can't follow a labelled one. ``<s>``, ``</s>`` and
    ``<pad>`` are ignored. Regions written as quadrilaterals or polygons look alike and are not read here.
    Source: Florence2PostProcessor in transformers.
    """

    _scale = _Scale.of_bins(1000)
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
            codes = _encode_box(box, size, self._scale, self._scale)
            text += _check_label(label, "<>") + "".join(f"<loc_{code}>" for code in codes)
        return text

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        text = self._special.sub("", text)
        if not text.strip():
            return []
        return [
            (match["label"].strip() or None, _read_box(match, codes, size, self._scale, "Florence-2"))
            for match in _scan(self._item, self._separator, text, "Florence-2")
            for codes in self._box.findall(match["boxes"])
        ]


class PaliGemmaCodec:
    """PaliGemma: ``<loc0010><loc0005><loc0900><loc1000> cup ; <loc...``, y1 x1 y2 x2 in 0..1023; "" for no boxes.

    Source: big_vision ``pp/proj/paligemma/segmentation.py`` (rounds v * 1023) and
    ``evaluators/proj/paligemma/transfers/segmentation.py`` (reads k / 1023).
    """

    _scale = _Scale.of_borders(1023)
    _item = re.compile(r"\s*" + r"<loc([0-9]{4})>\s*" * 4 + r"(?P<label>[^<>;]*)")
    _separator = re.compile(";")

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<", ">" or ";"."""
        parts = []
        for label, box in items:
            x1, y1, x2, y2 = _encode_box(box, size, self._scale, self._scale)
            tokens = "".join(f"<loc{code:04d}>" for code in (y1, x1, y2, x2))
            parts.append(f"{tokens} {_check_label(label, '<>;')}".rstrip())
        return " ; ".join(parts)

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if not text.strip():
            return []
        items: list[Item] = []
        for match in _scan(self._item, self._separator, text, "PaliGemma"):
            y1, x1, y2, x2, label = match.groups()
            items.append((label.strip() or None, _read_box(match, (x1, y1, x2, y2), size, self._scale, "PaliGemma")))
        return items


class QwenVLCodec:
    """Qwen-VL: ``<ref>cup</ref><box>(x1,y1),(x2,y2)</box>``, codes 0..999 from border to border; "" for no boxes.

    One phrase may have several boxes, and plain words may stand between the phrases, as in grounded captions.
    Source: Qwen-VL ``eval_mm/evaluate_grounding.py`` (reads k / 999).
    """

    _scale = _Scale.of_borders(999)
    _point = r"\(\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*\)"
    _box = re.compile(rf"<box>\s*{_point}\s*,\s*{_point}\s*</box>")
    _item = re.compile(rf"(?:<ref>(?P<label>[^<>]*)</ref>\s*)?(?P<boxes>(?:{_box.pattern}\s*)+)")
    _stray = re.compile(rf"[<>]|{_point}")

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<" or ">"; DataError for a bare box after a labelled one."""
        text = ""
        for label, box in items:
            if label is None and text.startswith("<ref>"):
                raise DataError("Qwen-VL's dialect can't write a bare box after a labelled one; give it a label")
            x1, y1, x2, y2 = _encode_box(box, size, self._scale, self._scale)
            text += f"<ref>{_check_label(label, '<>')}</ref>" if label is not None else ""
            text += f"<box>({x1},{y1}),({x2},{y2})</box>"
        return text

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if not text.strip():
            return []
        matches = list(self._item.finditer(text))
        if not matches:
            raise _malformed("Qwen-VL", text, 0)
        starts = [0, *(match.end() for match in matches)]
        ends = [*(match.start() for match in matches), len(text)]
        for start, end in zip(starts, ends, strict=True):
            if stray := self._stray.search(text, start, end):
                raise _malformed("Qwen-VL", text, stray.start())
        items: list[Item] = []
        for match in matches:
            label = match["label"]
            if label is not None and not label.strip():
                raise _malformed("Qwen-VL", text, match.start(), "empty <ref>")
            for codes in self._box.findall(match["boxes"]):
                items.append((label.strip() if label else None, _read_box(match, codes, size, self._scale, "Qwen-VL")))
        return items


class Qwen25VLCodec:
    """Qwen2.5-VL: a JSON list of ``{"bbox_2d": [x1, y1, x2, y2], "label": "cup"}``, "[]" for no boxes.

    Coordinates are pixels of the picture as resized for the model, so there is one codec a picture. A step is one
    resized pixel. The list may stand in a Markdown code fence.
    """

    _fence = re.compile(r"\s*```(?:json)?\s*\n(?P<body>.*?)\n?\s*```\s*", re.DOTALL)

    def __init__(self, resized_size: Size) -> None:
        """`resized_size`: (width, height) that the model saw. Raises ConfigError unless both are at least 1."""
        width, height = resized_size
        if width < 1 or height < 1:
            raise ConfigError(f"the resized picture must be at least 1x1, got {width}x{height}")
        self._x, self._y = _Scale.of_borders(width), _Scale.of_borders(height)

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label may be any text."""
        entries: list[dict[str, Any]] = []
        for label, box in items:
            entry: dict[str, Any] = {"bbox_2d": list(_encode_box(box, size, self._x, self._y))}
            entries.append(entry if label is None else entry | {"label": label})
        return json.dumps(entries, ensure_ascii=False)

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        fenced = self._fence.fullmatch(text)
        try:
            entries = json.loads(fenced["body"] if fenced else text, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"Qwen2.5-VL: not JSON ({error}): {text[:80]!r}") from None
        if not isinstance(entries, list):
            raise ParseError(f"Qwen2.5-VL: expected a JSON list of boxes: {text[:80]!r}")
        return [self._item(entry, index, size) for index, entry in enumerate(entries)]

    def _item(self, entry: Any, index: int, size: Size) -> Item:
        codes = entry.get("bbox_2d") if isinstance(entry, dict) else None
        if not isinstance(codes, list) or len(codes) != 4 or any(type(code) not in (int, float) for code in codes):
            raise ParseError(f"Qwen2.5-VL: item {index} has no 'bbox_2d' of four numbers: {str(entry)[:80]}")
        label = entry.get("label")
        if not isinstance(label, str | None):
            raise ParseError(f"Qwen2.5-VL: the label of item {index} is not text: {str(label)[:80]}")
        try:
            return label, _decode_box(codes, size, self._x, self._y)
        except ParseError as error:
            raise ParseError(f"Qwen2.5-VL: {error} in item {index}: {codes}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated key would silently drop a box."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return dict(pairs)
