"""What the tagged dialects share: items read one after another, labels checked, errors that show the place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from chiasm.data.box_text.scale import Scale, decode_box
from chiasm.data.boxes import Size
from chiasm.errors import DataError, ParseError
from chiasm.types import Box


def read_box(match: re.Match[str], codes: Sequence[str], size: Size, scale: Scale, dialect: str) -> Box:
    """`codes`, x1 y1 x2 y2, come from `match`, which an error names."""
    try:
        return decode_box([int(code) for code in codes], size, scale, scale)
    except ParseError as error:
        raise malformed(dialect, match.string, match.start(), error) from None


def check_label(label: str | None, reserved: str) -> str:
    if label is None:
        return ""
    if not label.strip() or label != label.strip() or any(character in label for character in reserved):
        raise DataError(f"label {label!r} can't be written: it must not be empty, padded or hold any of {reserved!r}")
    return label


def scan(item: re.Pattern[str], separator: re.Pattern[str], text: str, dialect: str) -> Iterator[re.Match[str]]:
    """Items with separators between them, covering all of `text`."""
    position, end = 0, len(text)
    while True:
        match = item.match(text, position)
        if not match:
            raise malformed(dialect, text, position)
        yield match
        position = match.end()
        if position == end:
            return
        gap = separator.match(text, position)
        if not gap:
            raise malformed(dialect, text, position)
        position = gap.end()


def malformed(dialect: str, text: str, position: int, reason: object = "no box can be read") -> ParseError:
    return ParseError(f"{dialect}: {reason} at character {position}: {text[position : position + 80]!r}")
