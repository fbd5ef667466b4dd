"""From annotations to prompts and answers."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.instructions import Instructions, fold
from chiasm.data.worlds.scenes import Scenes
from chiasm.errors import DataError
from chiasm.types import Box, Example, Object, Question, Reference

PROMPTS = {"scene": "Name the scene.", "caption": "Describe!", "detect": "Find all", "ground": "Find {phrase}"}
SIZE = (100, 100)
EXAMPLE = Example(
    "photo/1",
    b"",
    scene="beach",
    objects=(
        Object("cup", Box(40, 0, 90, 40)),
        Object("sun", Box(0, 50, 25, 100)),
        Object("ant", Box(0, 0, 25, 25)),
        Object("people", Box(0, 0, 100, 100), crowd=True),
        Object("wind"),
    ),
    captions=("A cup.", "A cup and the sun."),
    questions=(Question("q1", "How many cups?", ("1", "one")), Question("q2", "Is it day?", ("yes",))),
    references=(Reference("r1", "the cup", (Box(40, 0, 90, 40),)), Reference("r2", "the moon", ())),
)
EVERYTHING = 10**6


def test_every_task_in_its_words() -> None:
    pairs = Instructions(PROMPTS, 4, EVERYTHING)(EXAMPLE, SIZE)
    asked = dict(pairs)
    assert len(pairs) == len(asked) == 7
    assert asked["name the scene"] == "beach"
    assert asked["describe"] in EXAMPLE.captions
    assert asked["how many cups"] in ("1", "one")
    assert asked["is it day"] == "yes"
    assert asked["find the cup"] == "<loc_1><loc_0><loc_3><loc_1>"
    assert asked["find the moon"] == "none"


def test_objects_go_from_left_to_right_then_down_without_crowds() -> None:
    prompt, answer = Instructions(PROMPTS, 4, 1)(EXAMPLE, SIZE)[0]
    assert prompt == "find all"
    assert re.findall(r"[a-z]+(?=<)", answer) == ["ant", "sun", "cup"]


def test_objects_that_share_name_and_corner_have_an_order() -> None:
    twins = [Object("cup", Box(0, 0, 50, 50)), Object("cup", Box(0, 0, 25, 50))]
    write = Instructions(PROMPTS, 4).boxes
    assert write(twins, SIZE) == write(twins[::-1], SIZE)


def test_a_task_without_a_prompt_is_left_out() -> None:
    pairs = Instructions({}, 0, EVERYTHING)(EXAMPLE, SIZE)
    assert sorted(prompt for prompt, _ in pairs) == ["how many cups", "is it day"]


def test_nothing_to_ask_is_an_error() -> None:
    with pytest.raises(DataError, match=r"photo/2: nothing to ask"):
        Instructions(PROMPTS, 4)(Example("photo/2", b""), SIZE)


def test_boxes_need_location_tokens() -> None:
    with pytest.raises(DataError, match="loc"):
        Instructions(PROMPTS, 0)(EXAMPLE, SIZE)


def test_annotated_as_empty_is_not_the_same_as_not_annotated() -> None:
    ask = Instructions(PROMPTS, 4)
    assert ask(Example("photo/3", b"", objects=()), SIZE) == [("find all", "none")]
    assert ask(Example("photo/3", b"", scene="beach"), SIZE) == [("name the scene", "beach")]


def test_the_choice_is_a_function_of_seed_example_and_draw() -> None:
    scenes = Scenes("train", size=32)
    first, again, other_seed = (Instructions(PROMPTS, 16, 4, seed) for seed in (0, 0, 1))
    for i in range(6):
        assert first(scenes[i], (32, 32), 3) == again(scenes[i], (32, 32), 3)
        assert len(first(scenes[i], (32, 32))) == 4
    draws = [first(scenes[0], (32, 32), draw) for draw in range(4)]
    assert len({tuple(pairs) for pairs in draws}) == 4
    assert len({pairs[0] for pairs in draws}) == 1, "all objects are asked for every time"
    assert other_seed(scenes[0], (32, 32)) != draws[0]


def test_a_draw_repeats_nothing() -> None:
    scenes = Scenes("train", size=32)
    ask = Instructions(PROMPTS, 16, EVERYTHING)
    for i in range(6):
        example = scenes[i]
        wanted = Counter(fold(q.text) for q in example.questions)
        wanted += Counter(fold(PROMPTS[task]) for task in ("scene", "caption", "detect"))
        wanted += Counter(fold(PROMPTS["ground"].format(phrase=r.text)) for r in example.references)
        assert Counter(prompt for prompt, _ in ask(example, (32, 32))) == wanted


def test_fold_by_hand() -> None:
    assert fold("  What   Colour is\nthe cup ?! ") == "what colour is the cup"
    assert fold("Find the no. 3 bus.") == "find the no. 3 bus"


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.integers(0, 30), st.integers(0, 1000))
def test_one_pair_of_each_kind_goes_before_all_others(index: int, seed: int) -> None:
    example = Scenes()[index]
    kind_of = {fold(q.text): q.kind for q in example.questions}
    kind_of |= {fold(PROMPTS["ground"].format(phrase=r.text)): "ground" for r in example.references}
    kind_of |= {fold(PROMPTS["scene"]): "scene", fold(PROMPTS["caption"]): "caption"}
    kinds = set(kind_of.values())
    pairs = Instructions(PROMPTS, 64, EVERYTHING, seed, each_kind=True)(example, (96, 96))
    first, rest = pairs[1 : 1 + len(kinds)], pairs[1 + len(kinds) :]
    assert {kind_of[prompt] for prompt, _ in first} == kinds
    assert sorted(pairs) == sorted(Instructions(PROMPTS, 64, EVERYTHING, seed)(example, (96, 96)))
    assert rest
