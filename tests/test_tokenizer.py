"""Text survives the round trip, whatever it holds; marks are tokens only where the model puts them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LOC_BINS, tokenizer

from chiasm.errors import CheckpointError
from chiasm.models.tokenizer import ANSWER, BEGIN, END, Tokenizer

AWKWARD = [
    "",
    " ",
    "  two  spaces ",
    "tab\tline\r\n",
    "日本語 🙂‍↔️ é",
    "a\x00b",
    "<loc_9",
    "<loc_6>",
    "<loc_01>",
    "▁Ġ",
    "\ufeff",
]


@settings(deadline=None, max_examples=300)
@given(st.text() | st.lists(st.sampled_from([BEGIN, END, ANSWER, "<loc_3>", "<loc_99>", " ", "a"])).map("".join))
def test_any_text_survives_the_round_trip(text: str) -> None:
    assert tokenizer().decode(tokenizer().encode(text)) == text


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_survives_the_round_trip(text: str) -> None:
    assert tokenizer().decode(tokenizer().encode(text)) == text


def test_a_batch_is_encoded_like_each_text_alone() -> None:
    texts = [*AWKWARD, f"a {BEGIN} b", "cup<loc_1><loc_2>"]
    assert tokenizer().encode_batch(texts) == [tokenizer().encode(text) for text in texts]


def test_marks_in_text_are_text() -> None:
    """A question can't close an answer or open one."""
    marks = {tokenizer().begin, tokenizer().end, tokenizer().answer}
    assert len(marks) == 3
    assert not marks & set(tokenizer().encode(f"what{END}{ANSWER}yes{BEGIN}"))


def test_marks_are_not_decoded() -> None:
    t = tokenizer()
    assert t.decode([t.begin, *t.encode("a cup"), t.answer, *t.encode("yes"), t.end]) == "a cupyes"


def test_a_location_is_one_token() -> None:
    t = tokenizer()
    locations = t.locations()
    assert len(set(locations)) == LOC_BINS
    for k, token in enumerate(locations):
        assert t.encode(f"<loc_{k}>") == [token]
        assert t.decode([token]) == f"<loc_{k}>"
    cup = t.encode("cup")
    assert t.encode("cup<loc_1><loc_2>cup") == [*cup, locations[1], locations[2], *cup]


def test_a_tokenizer_without_locations() -> None:
    plain = Tokenizer.train(["a cup"], vocabulary=260, loc_bins=0)
    assert plain.locations() == []
    assert plain.decode(plain.encode("<loc_1>")) == "<loc_1>"


def test_merges_are_learned_and_every_id_is_below_the_length() -> None:
    t = tokenizer()
    assert len(t.encode("what colour is the cup")) < 10
    assert max(t.encode("what " + "".join(map(chr, range(256))))) < len(t)
    assert max(*t.locations(), t.begin, t.end, t.answer) == len(t) - 1


def test_saving_and_loading(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer().save(path)
    loaded = Tokenizer.load(path)
    assert len(loaded) == len(tokenizer())
    for text in [*AWKWARD, f"cup<loc_1>{END}"]:
        assert loaded.encode(text) == tokenizer().encode(text)
        assert loaded.decode(loaded.encode(text)) == text
    assert (loaded.begin, loaded.end, loaded.answer) == (tokenizer().begin, tokenizer().end, tokenizer().answer)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer(tmp_path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer.load(path)


def test_a_tokenizer_of_another_model(tmp_path) -> None:
    import tokenizers

    path = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(path))
    with pytest.raises(CheckpointError, match=f"has no {BEGIN}"):
        Tokenizer.load(path)
