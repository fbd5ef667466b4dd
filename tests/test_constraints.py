"""Grammars: whatever they let through is well-formed, and nothing well-formed is kept out."""

import math
import random

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LOC_BINS, hidden, tokenizer, vlm

from chiasm.data.box_text import LocCodec
from chiasm.data.sequence import Text, compose, pack, targets
from chiasm.errors import ConfigError
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.constraints import Boxes, Choices, Constraint
from chiasm.models.generation.engine import Engine
from chiasm.models.generation.sampling import Sampling

one_thread = tiny.one_thread
END = tokenizer().end
CHOICES = ["cat", "cat house", "cup", "c", "yes"]  # one is the start of another, in letters and in tokens


def walk(constraint: Constraint, rng: random.Random, closing: float = 0.2, longest: int = 400) -> list[int]:
    """A random text that the constraint lets through."""
    ids: list[int] = []
    state = constraint.start
    while len(ids) < longest:
        allowed = constraint.allowed(state)
        assert len(allowed) == len(set(allowed)) > 0
        token = END if END in allowed and rng.random() < closing else rng.choice(allowed)
        if token == END:
            return ids
        ids.append(token)
        state = constraint.advance(state, token)
    raise AssertionError(f"no end after {longest} tokens")


def accepts(constraint: Constraint, ids: list[int]) -> bool:
    state = constraint.start
    for token in ids:
        if token not in constraint.allowed(state):
            return False
        state = constraint.advance(state, token)
    return END in constraint.allowed(state)


# ---- choices


@settings(deadline=None)
@given(st.lists(st.text("abc ", min_size=1, max_size=4), min_size=1, max_size=6), st.integers(0, 99))
def test_choices_yield_every_choice_and_nothing_else(choices: list[str], seed: int) -> None:
    constraint = Choices(tokenizer(), choices)
    rng = random.Random(seed)
    assert {tokenizer().decode(walk(constraint, rng)) for _ in range(10)} <= set(choices)
    assert all(accepts(constraint, tokenizer().encode(choice)) for choice in choices)


def test_choices_that_begin_alike() -> None:
    rng = random.Random(0)
    drawn = {tokenizer().decode(walk(Choices(tokenizer(), CHOICES), rng)) for _ in range(200)}
    assert drawn == set(CHOICES)


@pytest.mark.parametrize("wrong", [[], ["yes", ""]])
def test_no_choices(wrong: list[str]) -> None:
    with pytest.raises(ConfigError, match="choices must be non-empty"):
        Choices(tokenizer(), wrong)


def test_probabilities_of_all_choices_sum_to_one() -> None:
    """What the engine reports for each choice is its share in a tree of renormalised next-token probabilities."""
    model = vlm().decoder
    engine = Engine(model, PrefixFusion(), END)
    constraint = Choices(tokenizer(), CHOICES)
    prompt = compose([Text(tokenizer().encode("find the"))])
    reported: dict[str, float] = {}
    rows = [prompt] * 200
    for row in engine.generate(rows, None, 10, Sampling(8.0), constraint):
        assert row.complete
        reported[tokenizer().decode(row.ids)] = math.exp(sum(row.logprobs))
    assert set(reported) == set(CHOICES)
    assert sum(reported.values()) == pytest.approx(1, abs=1e-5)

    for choice, probability in reported.items():
        expected, state = 1.0, constraint.start
        for token in [*tokenizer().encode(choice), END]:
            logits = model.head(hidden(model, [compose([Text(tokenizer().encode("find the")), Text(state)])], None)[-1])
            allowed = constraint.allowed(state)
            expected *= logits[allowed].softmax(0)[allowed.index(token)].item()
            state = (*state, token)
        assert probability == pytest.approx(expected, abs=1e-5)


def test_each_row_has_its_own_constraint() -> None:
    model = vlm().decoder
    engine = Engine(model, PrefixFusion(), END)
    rows = [compose([Text(tokenizer().encode(text))]) for text in ("is it", "what is on the table", "find the")]
    free = engine.generate(rows, None, 5)
    mixed = engine.generate(rows, None, 5, constraints=[Choices(tokenizer(), ["yes", "no"]), None, Boxes(tokenizer())])
    assert tokenizer().decode(mixed[0].ids) in ("yes", "no")
    assert mixed[1].ids == free[1].ids
    assert mixed[1].logprobs == pytest.approx(free[1].logprobs, abs=1e-5)
    assert tokenizer().decode(mixed[2].ids).startswith(("<loc_", "none"))


# ---- boxes

SIZE = (120, 60)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["cup", "cat", "cat house", "none", "nonesuch", "a b", "c"]), max_size=4),
    st.integers(0, 4),
    st.integers(0, 10**6),
)
def test_any_walk_through_the_box_grammar_parses(names: list[str], most: int, seed: int) -> None:
    constraint = Boxes(tokenizer(), names, most)
    text = tokenizer().decode(walk(constraint, random.Random(seed)))
    items = LocCodec(LOC_BINS).parse(text, SIZE)
    assert len(items) <= most
    assert all(box.area > 0 and box.x2 <= 120 and box.y2 <= 60 for _, box in items)
    assert {label for label, _ in items} <= (set(names) or {None})


@settings(deadline=None)
@given(st.data())
def test_the_box_grammar_lets_every_right_answer_through(data: st.DataObject) -> None:
    names = ["cup", "cat", "cat house", "nonesuch"]
    edges = st.lists(st.integers(0, LOC_BINS - 1), min_size=2, max_size=2, unique=True).map(sorted)
    text = ""
    for _ in range(data.draw(st.integers(0, 3))):
        (x1, x2), (y1, y2) = data.draw(edges), data.draw(edges)
        text += data.draw(st.sampled_from(names)) + f"<loc_{x1}><loc_{y1}><loc_{x2}><loc_{y2}>"
    assert accepts(Boxes(tokenizer(), names), tokenizer().encode(text or "none"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cup",
        "dog<loc_0><loc_0><loc_1><loc_1>",
        "cup<loc_0><loc_0><loc_1>",
        "cup<loc_1><loc_0><loc_1><loc_1>",
        "cup<loc_0><loc_3><loc_1><loc_2>",
        "cup<loc_0><loc_0><loc_1><loc_1>none",
        "nonecup<loc_0><loc_0><loc_1><loc_1>",
        "<loc_0><loc_0><loc_1><loc_1>",
        "cup<loc_0><loc_0><loc_1><loc_1>" * 3,
    ],
)
def test_the_box_grammar_keeps_the_rest_out(text: str) -> None:
    assert not accepts(Boxes(tokenizer(), ["cup"], most=2), tokenizer().encode(text))


def test_boxes_need_location_tokens_and_names_that_can_be_read_back() -> None:
    plain = type(tokenizer()).train(["a cup"], vocabulary=260, loc_bins=0)
    with pytest.raises(ConfigError, match="no <loc_k> tokens"):
        Boxes(plain)
    for name in ("a<b", "a;b", " cup", ""):
        with pytest.raises(ConfigError, match="name"):
            Boxes(tokenizer(), ["cup", name])


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=3.0)])
def test_a_random_model_writes_well_formed_boxes(sampling: Sampling) -> None:
    engine = Engine(vlm().decoder, PrefixFusion(), END)
    rows = [compose([Text(tokenizer().encode("find the"))])] * 20
    answers = engine.generate(rows, None, 200, sampling, Boxes(tokenizer(), ["cup", "cat"], most=5))
    for row in answers:
        assert row.complete
        LocCodec(LOC_BINS).parse(tokenizer().decode(row.ids), SIZE)


def test_constrained_logprobs_are_among_what_was_allowed() -> None:
    """Only one way to go has probability one, however unlikely the model finds it."""
    engine = Engine(vlm().decoder, PrefixFusion(), END)
    row = compose([Text(tokenizer().encode("find the"))])
    (forced,) = engine.generate([row], None, 10, constraints=Choices(tokenizer(), ["yes"]))
    assert forced.logprobs == [0.0] * (len(tokenizer().encode("yes")) + 1)
    supervised = compose([Text(tokenizer().encode("find the")), Text([*tokenizer().encode("yes"), END], True)])
    free = engine.logprob([supervised], None)
    assert len(targets(pack([supervised]))[0]) == len(free)
    assert (free < -0.01).any()
    assert torch.isfinite(free).all()
