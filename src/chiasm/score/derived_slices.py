"""Slices that any item has by what was asked of it, beside those that its benchmark names."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from chiasm.score.result import Item, Score

QUESTION_LENGTH, QUESTION_START, TRUTH_LENGTH, N_OBJECTS = (
    "question_length",
    "question_start",
    "truth_length",
    "n_objects",
)
_BINS: Mapping[str, Sequence[int]] = {
    QUESTION_LENGTH: (1, 5, 8, 12),
    TRUTH_LENGTH: (1, 2, 4, 8, 12),
    N_OBJECTS: (0, 1, 2, 5, 10),
}
"""The least count of every bin, in words or objects."""
_WORD = re.compile(r"[\w'’-]+")


def with_derived_slices(score: Score) -> Score:
    """`score` with these slices of its items, each where it is known of an item and tells the items apart:

    * question_length: the words of the question; question_start: its first two words;
    * truth_length: the median words of the true answers, or of the references of a caption;
    * n_objects: the true objects in the picture, of detections and of CHAIR.

    A slice of that name that an item has already stays as it is.
    """
    objects: Counter[str] = Counter()
    for item in score.items:
        objects[item.image] += int(item.statistics.get("objects", 0))
    counted = any("objects" in item.statistics for item in score.items)
    derived = [dict(_slices(item, objects[item.image] if counted else None)) for item in score.items]
    telling = {key for key in (*_BINS, QUESTION_START) if len({slices.get(key) for slices in derived} - {None}) > 1}
    items = tuple(
        replace(item, slices={key: label for key, label in slices.items() if key in telling} | dict(item.slices))
        for item, slices in zip(score.items, derived, strict=True)
    )
    return replace(score, items=items)


def _slices(item: Item, objects: int | None) -> Iterator[tuple[str, str]]:
    asked = _WORD.findall(item.prompt)
    if asked:
        yield QUESTION_LENGTH, _binned(QUESTION_LENGTH, len(asked), "word")
        yield QUESTION_START, " ".join(asked[:2]).lower()
    truths = [item.truth] if isinstance(item.truth, str) else item.truth
    if objects is not None:
        yield N_OBJECTS, _binned(N_OBJECTS, objects, "object")
    elif isinstance(truths, list) and truths and all(isinstance(truth, str) for truth in truths):
        words = round(median(len(truth.split()) for truth in truths))
        if words:
            yield TRUTH_LENGTH, _binned(TRUTH_LENGTH, words, "word")


def _binned(key: str, count: int, unit: str) -> str:
    """Such as "5 to 7 words"; bins of one number are called by it, the last one is open."""
    starts = _BINS[key]
    place = bisect_right(starts, count) - 1
    low = starts[place]
    if place + 1 == len(starts):
        return f"{low} {unit}s or more"
    high = starts[place + 1] - 1
    return f"{low} {unit}{'' if low == 1 else 's'}" if low == high else f"{low} to {high} {unit}s"
