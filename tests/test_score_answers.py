import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.score.answers import DIALECTS, match, normalise, yes_or_no


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The T-Shirt.", "t shirt"),
        ("Two", "2"),
        ("1,000", "1000"),
        ("1, 2", "1 2"),
        ("3.5", "3.5"),
        ("-5", "-5"),
        ("U.S.A.", "usa"),
        ("A", "a"),
        ("an apple", "apple"),
        ("it's  a\u2028cat!", "its cat"),
        ("ＣＡＴ", "cat"),
        ("...", ""),
    ],
)
def test_normalise_by_hand(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
def test_normalise_changes_nothing_the_second_time(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("said", "accepted", "exact", "substring"),
    [
        ("Two cats", ["2 cats"], 1, 1),
        ("1", ["10"], 0, 1),  # the lenient dialect's flaw, kept under its name
        ("", ["cat"], 0, 0),  # but the empty answer is never right
        ("", [""], 0, 0),
        ("it is red", ["red"], 0, 1),
        ("dog", ["cat", "a dog"], 1, 1),
    ],
)
def test_exact_and_substring(said: str, accepted: list[str], exact: float, substring: float) -> None:
    assert match(said, accepted) == exact
    assert match(said, accepted, "substring") == substring


@pytest.mark.parametrize(("agreeing", "expected"), [(0, 0), (1, 1 / 3), (2, 2 / 3), (3, 1), (10, 1)])
def test_soft_is_a_third_of_the_people_who_agree(agreeing: int, expected: float) -> None:
    accepted = ["Red"] * agreeing + ["blue"] * (10 - agreeing)
    assert match("red.", accepted, "soft") == pytest.approx(expected)


@given(st.text(), st.lists(st.text(), max_size=10))
def test_every_dialect_is_at_least_0_and_at_most_1_and_exact_implies_substring(said: str, accepted: list[str]) -> None:
    scores = {dialect: match(said, accepted, dialect) for dialect in DIALECTS}
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["exact"] <= scores["substring"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", True), ("no", False), ("No, there is none.", False), ("yes, it is", True), ("", None),
        ("I cannot tell", None), ("Yes and no", None), ("nothing", None), ("yesterday", None),
        ("There is no cat", None),
    ],
)  # fmt: skip
def test_yes_or_no(text: str, expected: bool | None) -> None:
    assert yes_or_no(text) is expected
