"""Slices by the length of a question, of the truth, and by the number of objects."""

from __future__ import annotations

from typing import Any

import pytest

from chiasm.score.derived_slices import with_derived_slices
from chiasm.score.result import Item, Score


def item(name: str, truth: Any, prompt: str = "", **other: Any) -> Item:
    return Item(name, other.pop("image", name), "", "", truth, other.pop("statistics", {"questions": 1.0}),
                prompt=prompt, **other)  # fmt: skip


def slices(*items: Item) -> list[dict[str, str]]:
    return [dict(found.slices) for found in with_derived_slices(Score("vqa", "official", (), items)).items]


def test_questions_and_their_true_answers() -> None:
    first = item("1", ["red", "dark red", "red"], "What color is it?")
    second = item("2", "on the table", "Where is the cup that the man left?", slices={"answer_type": "other"})
    assert slices(first, second) == [
        {"question_length": "1 to 4 words", "question_start": "what color", "truth_length": "1 word"},
        {
            "question_length": "8 to 11 words",
            "question_start": "where is",
            "truth_length": "2 to 3 words",
            "answer_type": "other",
        },
    ]


def test_objects_are_counted_by_picture_over_all_its_items() -> None:
    def of(name: str, image: str, objects: int) -> Item:
        return item(name, None, image=image, statistics={"detections": 1.0} | ({"objects": 1.0} if objects else {}))

    found = slices(of("1", "a", 1), of("2", "a", 1), of("3", "a", 0), of("4", "b", 0))
    assert [one["n_objects"] for one in found] == ["2 to 4 objects"] * 3 + ["0 objects"]


def test_what_does_not_tell_items_apart_or_is_there_already_is_left_out() -> None:
    alike = item("1", "yes", "Is there a dog?"), item("2", "no", "Is there a cat?")
    assert slices(*alike) == [{}, {}]
    own = item("1", "yes", "Is it?", slices={"question_length": "short"}), item("2", "yes", "Is it one of the two?")
    assert [one["question_length"] for one in slices(*own)] == ["short", "5 to 7 words"]
    assert slices(item("1", None), item("2", [0, 1], "")) == [{}, {}]


LENGTHS = (
    (1, "1 to 4 words"),
    (4, "1 to 4 words"),
    (5, "5 to 7 words"),
    (11, "8 to 11 words"),
    (12, "12 words or more"),
)


@pytest.mark.parametrize(("words", "label"), LENGTHS)
def test_bins(words: int, label: str) -> None:
    other = "w " * (30 if words < 12 else 1)
    assert slices(item("1", "a", "w " * words), item("2", "a", other))[0]["question_length"] == label
