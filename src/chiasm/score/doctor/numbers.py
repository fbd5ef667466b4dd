"""Records whose answers are numbers under several names: how well captions fit pictures, or log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chiasm.data.json_text import shortened

NUMBER_KEYS = (
    ("c0_i0", "c0_i1", "c1_i0", "c1_i1"),  # Winoground
    ("positive", "negative"),  # SugarCrepe
    ("yes", "no"),  # VQAScore
    ("before_yes", "before_no", "after_yes", "after_no"),  # compliance of edits
)


def number_keys(row: Mapping[str, Any]) -> Sequence[str]:
    """Those of `NUMBER_KEYS` that a record has all of; none for a record with another kind of answer."""
    return next((keys for keys in NUMBER_KEYS if row.keys() >= set(keys)), ())


def number_problems(row: Mapping[str, Any], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and place of what is no number. NaN and infinite numbers of JSON are told for every column elsewhere, those
    of a table, whose cells are text, here."""
    for key in keys:
        value = row.get(key)
        if key not in row or value == "":
            yield "no answer", f"{key!r} is missing"
        elif isinstance(value, bool) or not isinstance(value, int | float | str):
            yield "wrong type", f"{key!r} is {shortened(value)}"
        elif isinstance(value, str):
            try:
                finite = math.isfinite(float(value))
            except ValueError:
                yield "wrong type", f"{key!r} is {shortened(value)}"
            else:
                if not finite:
                    yield "not finite", f"{key!r} is {value}"
