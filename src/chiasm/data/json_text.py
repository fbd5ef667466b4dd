"""JSON as other tools write it: a trailing comma is read over, and an error says what to look for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

# A text that the end of the input cuts off is matched as well, so that no comma within it is taken for a trailing one.
_STRING_OR_TRAILING_COMMA = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))|,(?=\s*[\]}])', re.DOTALL)


def parse(content: bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value of one JSON text; `hook` makes an object of its pairs, as in `json.loads`.

    Raises JSONDecodeError, UnicodeDecodeError, RecursionError, and what `hook` raises.
    """
    try:
        return json.loads(content, object_pairs_hook=hook)
    except json.JSONDecodeError as error:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        repaired = without_trailing_commas(text)
        if repaired == text:
            raise error
        return json.loads(repaired, object_pairs_hook=hook)


def without_trailing_commas(text: str) -> str:
    """`text`, which must not begin within a string, with a space for every comma that ends an object or a list."""
    return _STRING_OR_TRAILING_COMMA.sub(lambda found: found[1] or " ", text)


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A `hook` for objects whose keys are ids: a key that comes twice is a ValueError."""
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return content


def reason(error: Exception, columns_before: int = 0) -> str:
    """Why something can't be read. `columns_before` is what stands on the line before the text that was parsed."""
    if isinstance(error, json.JSONDecodeError):
        if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
            return f"the JSON ends in the middle, as after a write that was cut off ({error.msg})"
        column = error.colno + (columns_before if error.lineno == 1 else 0)
        return f"not JSON at column {column} ({error.msg}), near {shortened(error.doc[error.pos : error.pos + 60])}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text; save the file as UTF-8"
    if isinstance(error, IsADirectoryError):
        return "a folder, where a file is expected"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, RecursionError):
        return "objects are nested too deeply"
    return str(error)


def keys_of(row: Mapping[str, Any]) -> str:
    """What a message says is in a row where the right key is not."""
    return ", ".join(map(repr, row)) or "an empty object"


def shortened(value: Any) -> str:
    """At most 60 characters of how Python writes `value`."""
    shown = repr(value[:60] if isinstance(value, str) else value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
