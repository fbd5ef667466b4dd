"""The tokeniser against outputs of Stanford's Java one, frozen, and what must hold for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.score.captioning.ptb import tokenise

# Our own lines, with what PTBTokenizer 3.4.1 and coco-caption's filter made of them.
FROZEN = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("caption", "java"), FROZEN, ids=[caption[:30] for caption, _ in FROZEN])
def test_same_line_as_java(caption: str, java: str) -> None:
    assert tokenise(caption) == java


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n", "\v", "\f", "\u2028", "\u2029", "\x1c"])
def test_a_line_break_inside_a_caption_is_a_space(line_break: str) -> None:
    assert tokenise(f"a dog{line_break}runs") == "a dog runs"


@pytest.mark.parametrize("caption", ["", " ", ".", "... ?", "\n\r", "''"])
def test_nothing_but_punctuation_leaves_nothing(caption: str) -> None:
    assert tokenise(caption) == ""


@given(st.text(max_size=80))
def test_any_text_becomes_one_line_of_words(caption: str) -> None:
    line = tokenise(caption)
    assert len(line.splitlines()) <= 1
    assert line == " ".join(word for word in line.split(" ") if word)
    assert not set(line.split(" ")) & {".", ",", "?", "!", "'", "`", "''", "``", ":", ";", "-", "--", "..."}


@pytest.mark.parametrize("unit", ["a", "A1", "٣a", "Awww.", "٣٣.1", "1-", "a.b", "é'"])
def test_long_words_end(unit: str) -> None:
    """A rule that fails only after every way to split a word would run for ages."""
    for ending in ("", "é", " ", "!"):
        assert len(tokenise(unit * 40 + ending).splitlines()) == 1


@given(st.lists(st.from_regex("[bcdfghjk]{5,8}", fullmatch=True), max_size=8))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert tokenise(" ".join(words)) == " ".join(words)
    assert tokenise(", ".join(words).upper() + " .") == " ".join(words)
