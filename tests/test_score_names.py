import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.score.caption_mentions import match_caption
from chiasm.score.names import Names, singular

VOCABULARY = ("dog", "hot dog", "television", "glasses", "person", "bus", "knife", "sofa")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cats", "cat"), ("buses", "bus"), ("bus", "bus"), ("glass", "glass"), ("berries", "berry"), ("ties", "tie"),
        ("dishes", "dish"), ("boxes", "box"), ("knives", "knife"), ("people", "person"), ("scissors", "scissors"),
        ("tvs", "tv"), ("us", "us"), ("tomatoes", "tomato"), ("horses", "horse"), ("vases", "vase"),
    ],
)  # fmt: skip
def test_singular(word: str, expected: str) -> None:
    assert singular(word) == expected


def test_a_synonym_becomes_the_word_of_the_vocabulary() -> None:
    names = Names(VOCABULARY)
    assert names.canonical("The TVs") == "television"
    assert names.canonical("couches") == "sofa"
    assert names.canonical("two women") != "person"
    assert names.canonical("women") == "person"
    assert names.canonical("glasses") == "glasses"


def test_a_vocabulary_with_both_words_keeps_them_apart() -> None:
    names = Names(["person", "man", "cup", "mug"])
    assert names.canonical("men") == "man"
    assert names.canonical("woman") == "person"
    assert names.canonical("mug") == "mug"


def test_without_vocabulary_only_synonyms_merge() -> None:
    names = Names()
    assert names.canonical("Television") == names.canonical("a TV") == "tv"
    assert names.canonical("man") == "man"


def test_synonyms_of_the_user() -> None:
    names = Names(["automobile"], synonyms=[("automobile", "car", "motor car")])
    assert names.canonical("Motor Cars") == "automobile"
    assert names.mentions("a car and a motor car") == ["automobile", "automobile"]


@given(st.sampled_from([*VOCABULARY, "tv", "couches", "women", "hot dogs", "a knife"]))
def test_canonical_changes_nothing_the_second_time(name: str) -> None:
    names = Names(VOCABULARY)
    assert names.canonical(names.canonical(name)) == names.canonical(name)


def test_mentions_take_the_longest_name_and_every_occurrence() -> None:
    text = "Two dogs eat a hot dog; people watch TVs. The busy man has 3 Hot Dogs."
    assert Names(VOCABULARY).mentions(text) == ["dog", "hot dog", "person", "television", "person", "hot dog"]


def test_caption_by_hand() -> None:
    names = Names(VOCABULARY)
    found = match_caption("A dog, a dog and a TV.", ["dog", "bus", "bus"], ["a man with his dog"], names)
    assert found.mentioned == ("dog", "dog", "television")
    assert found.hallucinated == ("television",)
    assert found.covered == ("dog",)
    assert found.omitted == ("bus",)  # the person is in a reference only: no hallucination to say, no duty to say
    assert match_caption("a man", ["dog"], ["a man with his dog"], names).hallucinated == ()


def test_caption_without_annotated_objects_is_held_against_its_references() -> None:
    found = match_caption("a bus", None, ["a dog on a sofa", "the dog"], Names(VOCABULARY))
    assert (found.hallucinated, found.omitted) == (("bus",), ("dog", "sofa"))
