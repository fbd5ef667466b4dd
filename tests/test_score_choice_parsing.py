"""Which answer a text gives, rule by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.score.choice.multiple_choice import first_character, named_option
from chiasm.score.choice.yes_no import (
    POPE_DIALECTS,
    YES_BY_DEFAULT,
    exact,
    mme_lmms,
    mme_official,
    one_of_both,
    pope_official,
)

ANIMALS = {"A": "a cat", "B": "a dog", "C": "a hot dog", "D": "Vitamin C"}


@pytest.mark.parametrize(
    ("text", "official", "lmms", "vlmevalkit"),
    [
        ("Yes", True, True, True),
        ("no", False, False, False),
        ("No, there is not.", False, None, False),
        ("Yes.", True, None, True),
        ("NO", True, False, False),  # POPE knows the spellings No, no and not
        ("none", True, None, None),
        ("I cannot tell.", True, None, None),
        ("It is not there", False, None, None),
        ("Yes. No car is there.", True, None, None),  # POPE reads the first sentence only
        ("No\nbecause", True, None, False),  # POPE parts words at spaces only
        ("yes/no", True, None, None),
        ("no.yes", False, None, None),  # VLMEvalKit deletes the full stop and reads the word "noyes"
        ("", True, None, None),
    ],
)
def test_pope_dialects_disagree_where_their_rules_do(text, official, lmms, vlmevalkit):
    assert pope_official(text)[0] is official
    assert exact(text)[0] is lmms
    assert one_of_both(text)[0] is vlmevalkit


def test_vlmevalkit_deletes_a_mark_that_touches_a_space_anywhere():
    # "yes,no ,ok": one comma touches a space, so all commas are deleted: "yesno ok" has neither word.
    assert one_of_both("yes,no ,ok") == (None, "neither yes nor no")
    # Without the space the commas part words, and both words are there.
    assert one_of_both("yes,sir")[0] is True


def test_an_answer_that_is_yes_only_by_default_says_so():
    assert pope_official("maybe")[1] == YES_BY_DEFAULT
    assert pope_official("YES!")[1] != YES_BY_DEFAULT


@given(st.text())
def test_official_pope_always_answers_and_the_others_never_contradict_an_exact_answer(text):
    assert pope_official(text)[0] is not None
    if exact(text)[0] is not None:
        assert one_of_both(text)[0] is exact(text)[0]
    assert set(POPE_DIALECTS) == {"official", "lmms", "vlmevalkit"}


@pytest.mark.parametrize(
    ("text", "official", "lmms"),
    [
        ("Yes", True, True), ("no.", False, False), (" Yes, it is", True, True), ("No it isn't", False, False),
        ("not at all", False, False), ("None", False, False), ("know", False, False),
        ("The answer is yes", None, None), ("", None, None), ("No\n", False, False),
        ("  yes", None, True),  # "  ye": the official script does not strip
        ("...no", None, False), ("n.o", None, False),  # nor does it drop full stops
        ("y", None, True), ("N", None, False), ("maybe", None, None),
    ],
)  # fmt: skip
def test_mme_looks_at_four_characters(text, official, lmms):
    assert mme_official(text)[0] is official
    assert mme_lmms(text)[0] is lmms


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("b", "B"), (" (b). ", "B"), ("**C**", "C"), ("B) a dog", "B"), ("The answer is B.", "B"),
        ("Answer:D", "D"), ("A is right", "A"), ("B, I think", "B"),
        ("A cat", "A"),  # the text, not the letter
        ("a DOG.", "B"), ("A dog sits there", "B"), ("It is a cat", "A"),
        ("Vitamin C", "D"),  # exactly an option's text, though it has a lone letter
        ("A bird", None),  # an article is no letter
        ("It is a hot dog", "C"),
        ("B, not A.", None), ("A or B", None), ("a cat or a dog", None),
        ("E", None), ("", None), ("...", None), ("I cannot tell", None), ("catalogue", None), ("AB", None),
    ],
)  # fmt: skip
def test_named_option(text, letter):
    assert named_option(text, ANIMALS)[0] == letter


def test_an_unnamed_option_says_why():
    assert named_option("B, not A.", ANIMALS)[1] == "names several letters: A, B"
    assert named_option("a cat or a dog", ANIMALS)[1] == "names several options: A, B"
    assert named_option("no idea", ANIMALS)[1] == "names no option"


def test_two_options_with_the_same_text_are_told_apart_by_letter_only():
    assert named_option("yes", {"A": "yes", "B": "yes"})[0] is None
    assert named_option("B", {"A": "yes", "B": "yes"})[0] == "B"


@given(st.text(), st.dictionaries(st.sampled_from("ABCD"), st.text(), min_size=1))
def test_any_text_names_an_option_or_none_and_always_the_same(text, options):
    letter, reason = named_option(text, options)
    assert letter is None or letter in options
    assert reason
    assert named_option(text, options) == (letter, reason)


def test_first_character_reads_nothing_but_the_first_character():
    assert first_character("B. a dog", ANIMALS)[0] == "B"
    assert first_character("The answer is B", ANIMALS)[0] is None
    assert first_character("Apple", ANIMALS)[0] == "A"
    assert first_character(" b", ANIMALS)[0] == "B"  # lmms-eval compares in lower case
    assert first_character("a dog", ANIMALS)[0] == "A"
    assert first_character("", ANIMALS)[0] is None
