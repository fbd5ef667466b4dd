"""The dialects that score/ reads beside those of test_boxes: round trips, readings worked by hand, broken texts."""

import json

import numpy as np
import pytest
from damaged_text import damaged
from hypothesis import assume, given
from hypothesis import strategies as st

from chiasm.data import boxes
from chiasm.data.box_text import (
    DIALECTS,
    BoxCodec,
    DeepSeekVL2Codec,
    GeminiCodec,
    InternVLCodec,
    Item,
    MoondreamCodec,
    NumberListCodec,
    Qwen2VLCodec,
    Qwen3VLCodec,
    codec,
    qwen25_resized,
)
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.types import Box

NEW: list[tuple[BoxCodec, float]] = [  # with the codes that one side of the picture has; 0: decimals of a pixel
    (DeepSeekVL2Codec(), 999),
    (InternVLCodec(), 1000),
    (Qwen2VLCodec(), 1000),
    (Qwen3VLCodec(), 1000),
    (GeminiCodec(), 1000),
    (MoondreamCodec(), 10_000),
    (NumberListCodec("fraction"), 1000),
    (NumberListCodec("fraction", decimals=2), 100),
    (NumberListCodec("pixel", decimals=0), 0),
    (NumberListCodec("pixel"), 0),
]
NO_LABELS = (MoondreamCodec, NumberListCodec)


@st.composite
def cases(draw: st.DrawFn) -> tuple[BoxCodec, np.ndarray, tuple[int, int], list[Item]]:
    """A codec, its step along x and y in pixels, a picture's size, and items with sides of at least one step."""
    dialect, steps = draw(st.sampled_from(NEW))
    size = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    decimals = dialect._decimals if isinstance(dialect, NumberListCodec) else 0
    step = np.array(size) / steps if steps else np.array([10.0**-decimals] * 2)
    label = st.sampled_from(["cup", "tasse à café", "杯子", "[1, 2]", "a red cup", '"a",b'])
    items: list[Item] = []
    for _ in range(draw(st.integers(0, 3))):
        corners = []
        for side, least in zip(size, np.minimum(step * 1.001, size), strict=True):
            length = draw(st.floats(least, side))
            low = draw(st.floats(0, 1)) * (side - length)
            corners.append((low, min(low + length, side)))
        (x1, x2), (y1, y2) = corners
        items.append((None if isinstance(dialect, NO_LABELS) else draw(label), Box(x1, y1, x2, y2)))
    return dialect, step, size, items


@given(cases())
def test_round_trip_within_half_a_step(case) -> None:
    dialect, step, size, items = case
    read = dialect.parse(dialect.encode(items, size), size)
    assert [label for label, _ in read] == [label for label, _ in items]
    error = np.abs(boxes.as_array([box for _, box in read]) - boxes.as_array([box for _, box in items]))
    assert (error <= np.tile(step, 2) / 2 + 1e-6 * max(size)).all()


@given(cases(), st.data())
def test_damaged_text_is_an_error_or_a_valid_box(case, data) -> None:
    dialect, _, size, items = case
    assume(items)
    text = damaged(dialect.encode(items, size), data, [*"<>|[](){},.-0159e \n'", '"', "<|det|>"])
    try:
        read = dialect.parse(text, size)
    except ParseError:
        return
    for _, box in read:
        assert 0 <= box.x1 < box.x2 <= size[0] * (1 + 1e-9)
        assert 0 <= box.y1 < box.y2 <= size[1] * (1 + 1e-9)


@given(st.text())
def test_any_text_parses_or_raises_a_parse_error(text: str) -> None:
    for dialect in DIALECTS:
        try:
            codec(dialect, (10, 10)).parse(text, (10, 10))
        except ParseError:
            continue


HALF = Box(0, 0, 50, 100)
"""The upper left quarter of a 100 x 200 picture."""


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("deepseek-vl2", "<|ref|>cup<|/ref|><|det|>[[0, 0, 500, 500]]<|/det|>"),
        ("internvl", "<ref>cup</ref><box>[[0, 0, 500, 500]]</box>"),
        ("qwen2-vl", "<|object_ref_start|>cup<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>"),
        ("qwen3-vl", '[{"bbox_2d": [0, 0, 500, 500], "label": "cup"}]'),
        ("gemini", '[{"box_2d": [0, 0, 500, 500], "label": "cup"}]'),
        ("qwen2.5-vl", '[{"bbox_2d": [0, 0, 56, 98], "label": "cup"}]'),  # 100 x 200 becomes 112 x 196
    ],
)
def test_the_text_of_each_dialect_with_labels(dialect: str, text: str) -> None:
    assert codec(dialect, (100, 200)).encode([("cup", HALF)], (100, 200)) == text


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("moondream", '{"objects": [{"x_min": 0.0, "y_min": 0.0, "x_max": 0.5, "y_max": 0.5}]}'),
        ("fractions", "[0.000, 0.000, 0.500, 0.500]"),
        ("pixels", "[0.000, 0.000, 50.000, 100.000]"),
    ],
)
def test_the_text_of_each_dialect_without_labels(dialect: str, text: str) -> None:
    assert codec(dialect, (100, 200)).encode([(None, HALF)], (100, 200)) == text
    with pytest.raises(DataError, match="labels"):
        codec(dialect, (100, 200)).encode([("cup", HALF)], (100, 200))


def test_scale_and_axis_order_by_hand() -> None:
    size = (300, 600)
    # 333 of 999 is a third, whichever the side.
    [(label, box)] = codec("deepseek-vl2", size).parse("<|ref|>a cat<|/ref|><|det|>[[0, 333, 666, 999]]<|/det|>", size)
    assert (label, box.as_tuple()) == ("a cat", pytest.approx((0, 200, 200, 600)))
    # The example of Qwen2-VL's report, on a picture of a thousand pixels; and without a phrase.
    said = "<|object_ref_start|>the eyes<|object_ref_end|><|box_start|>(176,106),(232,160)<|box_end|>"
    assert codec("qwen2-vl", (1000, 1000)).parse(said, (1000, 1000)) == [("the eyes", Box(176, 106, 232, 160))]
    alone = said[said.index("<|box") :]
    assert codec("qwen2-vl", (1000, 500)).parse(alone, (1000, 500)) == [(None, Box(176, 53, 232, 80))]
    # InternVL's tags may be missing, and one phrase may have several boxes.
    two = [(None, Box(1, 2, 3, 4)), (None, Box(5, 6, 7, 8))]
    assert codec("internvl", (1000, 1000)).parse("They are [[1, 2, 3, 4], [5, 6, 7, 8]].", (1000, 1000)) == two
    assert codec("internvl", (1000, 1000)).parse("It is at [1, 2, 3, 4].", (1000, 1000)) == two[:1]
    # Qwen writes a single box without a list.
    house = [("house", Box(135, 114, 910, 672))]
    said = '{"bbox_2d": [135, 114, 910, 672], "label": "house"}'
    assert codec("qwen3-vl", (1000, 1000)).parse(said, (1000, 1000)) == house
    # The same four numbers: Qwen3-VL reads x first, Gemini y first.
    [(_, box)] = codec("qwen3-vl", size).parse('[{"bbox_2d": [100, 200, 300, 400]}]', size)
    assert box.as_tuple() == pytest.approx((30, 120, 90, 240))
    [(_, box)] = codec("gemini", size).parse('[{"box_2d": [100, 200, 300, 400]}]', size)
    assert box.as_tuple() == pytest.approx((60, 60, 120, 180))
    text = '{"objects": [{"x_min": 0.25, "y_min": 0.1, "x_max": 0.75, "y_max": 1}]}'
    [(_, box)] = codec("moondream", size).parse(text, size)
    assert box.as_tuple() == pytest.approx((75, 60, 225, 600))
    [(_, box)] = codec("fractions", size).parse("The cat is at [.1, 0.2, 0.3, 0.45].", size)
    assert box.as_tuple() == pytest.approx((30, 120, 90, 270))
    assert len(codec("pixels", size).parse("[[1, 2, 3, 4], [5, 6, 7.5, 8]]", size)) == 2
    assert len(codec("pixels", size).parse("[1, 2, 3, 4], [5, 6, 7.5, 8]", size)) == 2


def test_several_boxes_of_one_phrase_and_words_between() -> None:
    text = "Here: <|ref|>Two dogs<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|> and <|ref|>a cat<|/ref|>"
    text += "<|det|>[[1, 1, 9, 9]]<|/det|>.<｜end▁of▁sentence｜>"
    assert [name for name, _ in DeepSeekVL2Codec().parse(text, (999, 999))] == ["Two dogs", "Two dogs", "a cat"]


def test_json_in_the_one_code_fence_of_a_chatty_answer() -> None:
    fence = '```json\n[{"box_2d": [1, 2, 3, 4], "label": "cup"}]\n```'
    assert len(GeminiCodec().parse(f"Here you are:\n{fence}\nAnything else?", (10, 10))) == 1
    with pytest.raises(ParseError):
        GeminiCodec().parse(f"{fence} or {fence}", (10, 10))


def test_no_boxes() -> None:
    for dialect, text in [
        (DeepSeekVL2Codec(), ""),
        (Qwen3VLCodec(), "[]"),
        (GeminiCodec(), "[]"),
        (MoondreamCodec(), '{"objects": []}'),
        (NumberListCodec("pixel"), "[]"),
    ]:
        assert dialect.encode([], (10, 10)) == text
        assert dialect.parse(text, (10, 10)) == []


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("deepseek-vl2", "there is no cup"),
        ("deepseek-vl2", "<|ref|>cup<|/ref|>"),
        ("deepseek-vl2", "<|ref|> <|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"),
        ("deepseek-vl2", "<|det|>[[1, 2, 3, 1000]]<|/det|>"),
        ("deepseek-vl2", "<|det|>[[1, 2, 3]]<|/det|>"),
        ("deepseek-vl2", "<|det|>[[3, 2, 1, 4]]<|/det|>"),
        ("deepseek-vl2", "<|det|>[[1, 2, 3, 4]]<|/det|> and [[5, 6, 7, 8]]"),
        ("deepseek-vl2", "<|det|>[[1, 2, 3, 4]]"),
        ("internvl", "<box>[[1, 2, 3]]</box>"),
        ("internvl", "<box>[[1, 2, 3, 4]]"),
        ("internvl", "[[1, 2, 3, 1001]]"),
        ("internvl", "<ref>cup</ref>"),
        ("qwen2-vl", "<|box_start|>(1,2),(3,1001)<|box_end|>"),
        ("qwen2-vl", "<|box_start|>(1,2),(3,4)"),
        ("qwen2-vl", "(1,2),(3,4)"),  # a server that left special tokens out
        ("qwen3-vl", '[{"box_2d": [1, 2, 3, 4]}]'),
        ("qwen3-vl", '[{"bbox_2d": [1, 2, 3, 1001]}]'),
        ("gemini", '[{"bbox_2d": [1, 2, 3, 4]}]'),
        ("gemini", '[{"box_2d": [3, 2, 1, 4]}]'),
        ("gemini", '[{"box_2d": [1, 2, 3, "4"]}]'),
        ("moondream", "[]"),
        ("moondream", '{"objects": [{"x_min": 0.1, "y_min": 0.1, "x_max": 0.2}]}'),
        ("moondream", '{"objects": [{"x_min": 0.1, "y_min": 0.1, "x_max": 1.2, "y_max": 0.2}]}'),
        ("moondream", '{"objects": [{"x_min": 0.1, "y_min": 0.1, "x_max": NaN, "y_max": 0.2}]}'),
        ("moondream", '{"objects": ["cup"]}'),
        ("fractions", ""),
        ("fractions", "no box"),
        ("fractions", "[0.1, 0.2, 0.3]"),
        ("fractions", "[0.1, 0.2, 0.3, 1.2]"),
        ("fractions", "[0.1, 0.2, -0.3, 0.4]"),
        ("fractions", "[0.3, 0.2, 0.1, 0.4]"),
        ("fractions", "[0.1, 0.2, 0.3, 0.4] and [0.1, 0.2"),
        ("fractions", "[10, 20, 30, 40]"),
        ("pixels", "[0, 0, 0, 0]"),
        ("pixels", "[1, 2, 101, 4]"),
        ("pixels", "[1, 2, 1e1, 4]"),
    ],
)
def test_malformed_text_is_a_parse_error(dialect: str, text: str) -> None:
    with pytest.raises(ParseError):
        codec(dialect, (100, 100)).parse(text, (100, 100))


def test_a_parse_error_says_what_and_where() -> None:
    with pytest.raises(ParseError, match=r"\[9, 1, 5, 5\] is empty, inverted or outside 0\.\.10 by 0\.\.20"):
        codec("pixels", (10, 20)).parse("[1, 1, 5, 5] [9, 1, 5, 5]", (10, 20))
    with pytest.raises(ParseError, match="Gemini: inverted or empty box in item 1"):
        GeminiCodec().parse(json.dumps([{"box_2d": [1, 1, 2, 2]}, {"box_2d": [1, 1, 1, 2]}]), (10, 10))


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'qwen3-vl'"):
        codec("qwen3vl", (10, 10))
    with pytest.raises(ConfigError):
        NumberListCodec("pixel", decimals=7)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((640, 480), (644, 476)),  # 22.86 and 17.14 multiples of 28: to the nearest
        ((42, 70), (56, 56)),  # 1.5 and 2.5 multiples: halves both go to the even 2
        ((10, 10), (56, 56)),  # too few pixels: enlarged by 5.6, to 56
        ((8000, 4000), (5068, 2520)),  # too many: shrunk by 1.578 to 181.02 x 90.5 multiples, and down
    ],
)
def test_qwen_resizes_to_multiples_of_28(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert qwen25_resized(size) == resized


@pytest.mark.slow  # imports transformers
def test_qwen_resizing_as_transformers_does_it() -> None:
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    for width, height in [(28, 28), (42, 70), (640, 480), (31, 1000), (8000, 4000), (5000, 4999), (1999, 333)]:
        official = module.smart_resize(height, width, 28, 4 * 28 * 28, 16384 * 28 * 28)
        assert qwen25_resized((width, height)) == official[::-1]
