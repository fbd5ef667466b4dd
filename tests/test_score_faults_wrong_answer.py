"""Why a short answer is wrong: one case or more for each cause, and what may not be mistaken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.score.faults import wrong_answer
from chiasm.score.faults.wrong_answer import wrong_answer_cause
from chiasm.score.vqa.wordnet import WordNet

NEEDS_WORDNET = pytest.mark.skipif(wrong_answer.find_wordnet() is None, reason="WordNet is not installed")


@pytest.mark.parametrize(
    ("said", "accepted", "cause", "detail"),
    [
        ("", ["red"], "empty", ""),
        ("the answer is red", ["red"], "format only", ""),
        ("Answer: **Red**.", ["red"], "format only", ""),
        ('{"answer": "red"}', ["red"], "format only", ""),
        (r"So it is \boxed{7}", ["7"], "format only", ""),
        ("Yes, there is.", ["yes"], "format only", ""),
        ("$1,000", ["1000"], "format only", ""),
        ("red and blue", ["red"], "longer than the answer", ""),
        ("I can't tell", ["red"], "refusal", ""),
        ("unanswerable", ["blue", "navy"], "refusal", ""),
        ("blue", ["unanswerable"] * 6 + ["navy"] * 4, "answers the unanswerable", ""),
        ("unknown", ["unanswerable"], "near synonym", "refuses in other words"),
        ("yes", ["no"], "yes/no flip", ""),
        ("four", ["3"], "number off", "4 instead of 3: +1 (+33 %)"),
        ("10", ["1"], "number off", "10 instead of 1: +9 (+900 %)"),
        ("2", ["0"], "number off", "2 instead of 0: +2"),
        ("12%", ["10%", "30%"], "number off", "12 instead of 10: +2 (+20 %)"),
        ("left of the cup", ["right of the cup"], "opposite side", ""),
        ("tv", ["television"], "near synonym", "of television"),
        ("coca", ["coca cola"], "part of the answer", ""),
        ("coca co", ["coca cola"], "truncated", ""),
        ("The man in the picture is holding a", ["bat"], "truncated", ""),
        ("EXTI", ["EXIT"], "spelling within 2 edits", "2 edits"),
        ("nikon", ["nikno d90"], "another answer", ""),
        ("cap", ["hat"], "another answer", ""),
        ("cup", ["fish"], "another answer", ""),
        ("5", ["red"], "another answer", ""),
        ("yes", ["red"], "another answer", ""),
    ],
)
def test_causes_by_hand(said: str, accepted: list[str], cause: str, detail: str) -> None:
    assert wrong_answer_cause(said, accepted) == (cause, detail)


@NEEDS_WORDNET
@pytest.mark.parametrize(
    ("said", "true", "near"),
    [
        ("sofa", "couch", True),  # one sense
        ("puppy", "dog", True),  # right below
        ("desk", "table", True),
        ("woman", "man", False),
        ("black", "white", False),  # Wu-Palmer similarity .9, and yet no synonym
        ("car", "truck", False),  # .92
    ],
)
def test_near_synonyms_are_of_one_sense_or_right_above(said: str, true: str, near: bool) -> None:
    assert (wrong_answer_cause(said, [true])[0] == "near synonym") is near


def test_without_wordnet_a_short_list_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_wordnet() -> WordNet | None:
        return None

    monkeypatch.setattr(wrong_answer, "_wordnet", no_wordnet)
    assert wrong_answer_cause("sofa", ["couch"])[0] == "near synonym"
    assert wrong_answer_cause("puppy", ["dog"])[0] == "another answer"


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=4))
def test_every_answer_has_a_cause(said: str, accepted: list[str]) -> None:
    cause, _ = wrong_answer_cause(said, accepted)
    assert cause
