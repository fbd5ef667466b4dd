"""Geometry by hand-worked cases, codecs by round trips at any picture size and by breaking their texts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from damaged_text import damaged
from hypothesis import assume, given
from hypothesis import strategies as st

from chiasm.data import boxes
from chiasm.data.box_text import (
    BoxCodec,
    FlorenceCodec,
    Item,
    LocCodec,
    PaliGemmaCodec,
    Qwen25VLCodec,
    QwenVLCodec,
)
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.types import Box

# ---- geometry


def test_iou_and_giou_by_hand() -> None:
    a = [Box(0, 0, 2, 2)]
    b = [Box(1, 1, 3, 3), Box(0, 0, 2, 2), Box(4, 0, 6, 2), Box(0, 0, 1, 2)]
    # overlap 1 of union 7; the same; apart; half.
    assert boxes.iou_matrix(a, b) == pytest.approx(np.array([[1 / 7, 1, 0, 0.5]]))
    # enclosing boxes 9, 4, 12, 4.
    assert boxes.giou_matrix(a, b) == pytest.approx(np.array([[1 / 7 - 2 / 9, 1, -4 / 12, 0.5]]))


def test_empty_boxes_and_empty_lists() -> None:
    point = [Box(1, 1, 1, 1)]
    assert boxes.iou_matrix(point, point) == 0
    assert boxes.giou_matrix(point, point) == 0
    assert boxes.iou_matrix([], point).shape == (0, 1)
    assert boxes.giou_matrix(np.zeros((3, 4)), []).shape == (3, 0)
    assert boxes.as_array([]).shape == (0, 4)


def test_conversions_by_hand() -> None:
    assert boxes.xywh_to_xyxy(np.array([[10, 20, 30, 40]])).tolist() == [[10, 20, 40, 60]]
    assert boxes.normalise([Box(10, 20, 40, 60)], (100, 200)).tolist() == [[0.1, 0.1, 0.4, 0.3]]
    assert boxes.clip([Box(-5, 3, 120, 240)], (100, 200)).tolist() == [[0, 3, 100, 200]]
    assert boxes.as_boxes(np.array([[1, 2, 3, 4]])) == [Box(1, 2, 3, 4)]


def test_geometry_does_not_change_its_input() -> None:
    rows = np.array([[-1.0, 0, 5, 5]])
    boxes.clip(rows, (4, 4))
    boxes.normalise(rows, (4, 4))
    assert rows.tolist() == [[-1, 0, 5, 5]]


@pytest.mark.parametrize("rows", [np.zeros(4), np.zeros((2, 5)), np.zeros((1, 2, 4))])
def test_wrong_shapes_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 4\)"):
        boxes.iou_matrix(rows, rows)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be positive"):
        boxes.normalise([Box(0, 0, 1, 1)], (0, 10))
    with pytest.raises(ValueError, match="x1 <= x2"):
        boxes.as_boxes(np.array([[5.0, 0, 1, 1]]))


# ---- codecs

sizes = st.tuples(st.integers(1, 20000), st.integers(1, 20000))
fractions = st.floats(0, 1)
WORST_LABELS = ["cup", "none", "tasse à café", "杯子", "🍵 green", "naïve\u200bword", "(1,2)", '"a",b', "loc_5"]


@st.composite
def inside_boxes(draw: st.DrawFn, size: tuple[int, int], smallest: tuple[float, float]) -> Box:
    """A box inside the picture, no side shorter than `smallest` (fractions of the picture)."""
    corners = []
    for side, least in zip(size, smallest, strict=True):
        length = draw(st.floats(least, 1))
        low = draw(fractions) * (1 - length)
        corners.append((low * side, min((low + length), 1) * side))
    (x1, x2), (y1, y2) = corners
    return Box(x1, y1, x2, y2)


def written_labels(reserved: str) -> st.SearchStrategy[str]:
    alphabet = st.characters(codec="utf-8", exclude_characters=reserved)
    return st.sampled_from(WORST_LABELS) | st.text(alphabet, min_size=1).map(str.strip).filter(bool)


@st.composite
def codec_cases(
    draw: st.DrawFn, shortest: float = 1.0
) -> tuple[BoxCodec, tuple[float, float], tuple[int, int], list[Item]]:
    """A codec, its step along x and y in fractions of the picture, a size, and items with sides of >= `shortest` steps.

    1.001 steps rather than 1 keeps rounding noise from making two equal codes of a side of exactly one step.
    """
    kind = draw(st.sampled_from([LocCodec, FlorenceCodec, PaliGemmaCodec, QwenVLCodec, Qwen25VLCodec]))
    size = draw(sizes)
    codec: BoxCodec
    if kind is LocCodec:
        bins = draw(st.sampled_from([2, 3, 64, 100, 1000, 1024]))
        codec, steps = LocCodec(bins), (bins, bins)
    elif kind is Qwen25VLCodec:
        resized = (draw(st.integers(1, 40)) * 28, draw(st.integers(1, 40)) * 28)
        codec, steps = Qwen25VLCodec(resized), resized
    else:
        codec, count = {
            FlorenceCodec: (FlorenceCodec(), 1000),
            PaliGemmaCodec: (PaliGemmaCodec(), 1023),
            QwenVLCodec: (QwenVLCodec(), 999),
        }[kind]
        steps = (count, count)
    step = (1 / steps[0], 1 / steps[1])
    box = inside_boxes(size, (min(shortest * 1.001 * step[0], 1), min(shortest * 1.001 * step[1], 1)))
    label = written_labels("<>;")
    labels = st.none() | label if kind in (LocCodec, PaliGemmaCodec, Qwen25VLCodec) else label
    return codec, step, size, draw(st.lists(st.tuples(labels, box), max_size=4))


@given(codec_cases())
def test_round_trip_within_half_a_step(case) -> None:
    codec, step, size, items = case
    read = codec.parse(codec.encode(items, size), size)
    assert [label for label, _ in read] == [label for label, _ in items]
    allowed = np.array([step[0] * size[0], step[1] * size[1]] * 2) / 2 + 1e-6 * max(size)
    error = np.abs(boxes.as_array([b for _, b in read]) - boxes.as_array([b for _, b in items]))
    assert (error <= allowed).all()


@given(codec_cases(shortest=0))
def test_a_box_thinner_than_a_step_is_widened_never_inverted(case) -> None:
    codec, step, size, items = case
    read = codec.parse(codec.encode(items, size), size)
    assert len(read) == len(items)
    for (_, box), (_, true) in zip(read, items, strict=True):
        assert box.width > 0
        assert box.height > 0
        # One side may move by a step and a half at a border: from inside the first bin to the centre of the second.
        assert np.abs(np.subtract(box.as_tuple(), true.as_tuple())) == pytest.approx(
            0, abs=1.5 * max(step[0] * size[0], step[1] * size[1]) + 1e-6 * max(size)
        )


@given(codec_cases(), st.data())
def test_damaged_text_is_an_error_or_a_valid_box(case, data) -> None:
    codec, _, size, items = case
    assume(items)
    text = damaged(codec.encode(items, size), data, [*"<>_;:,()[]{}\"'0159 \n-./loc", "<loc_1>", "</box>", "none"])
    try:
        read = codec.parse(text, size)
    except ParseError:
        return
    for _, box in read:
        assert box.area > 0
        assert 0 <= box.x1 < box.x2 <= size[0]
        assert 0 <= box.y1 < box.y2 <= size[1]


@given(st.text())
def test_any_text_parses_or_raises_a_parse_error(text: str) -> None:
    for codec in (LocCodec(), FlorenceCodec(), PaliGemmaCodec(), QwenVLCodec(), Qwen25VLCodec((28, 28))):
        try:
            assert codec.parse(text, (10, 10)) == [] or "loc" in text or "box" in text
        except ParseError:
            continue


HALF = Box(0, 0, 50, 100)
"""The left half of a 100 x 200 picture's upper half."""


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        (LocCodec(), "cup<loc_0><loc_0><loc_500><loc_500>"),
        (LocCodec(bins=10), "cup<loc_0><loc_0><loc_5><loc_5>"),
        (FlorenceCodec(), "cup<loc_0><loc_0><loc_500><loc_500>"),
        (PaliGemmaCodec(), "<loc0000><loc0000><loc0512><loc0512> cup"),
        (QwenVLCodec(), "<ref>cup</ref><box>(0,0),(500,500)</box>"),
        (Qwen25VLCodec((56, 112)), '[{"bbox_2d": [0, 0, 28, 56], "label": "cup"}]'),
    ],
)
def test_the_text_of_each_dialect(codec: BoxCodec, text: str) -> None:
    assert codec.encode([("cup", HALF)], (100, 200)) == text


def test_y_comes_first_in_paligemma() -> None:
    [(label, box)] = PaliGemmaCodec().parse("<loc0000><loc0341><loc1023><loc0682> cat", (300, 50))
    assert label == "cat"
    assert box.as_tuple() == pytest.approx((100, 0, 200, 50))


def test_readings_by_hand() -> None:
    [(_, box)] = LocCodec(10).parse("<loc_0><loc_1><loc_2><loc_9>", (100, 200))
    assert box.as_tuple() == pytest.approx((5, 30, 25, 190))
    [(_, box)] = QwenVLCodec().parse("<box>(0,333),(666,999)</box>", (300, 600))
    assert box.as_tuple() == pytest.approx((0, 200, 200, 600))
    [(_, box)] = Qwen25VLCodec((56, 28)).parse('[{"bbox_2d": [7, 7, 56, 14.0]}]', (112, 56))
    assert box.as_tuple() == pytest.approx((14, 14, 112, 28))


@pytest.mark.slow  # imports transformers
def test_official_florence_reads_our_text() -> None:
    """The post-processor of transformers is the reference for both bins and centres."""
    processing = pytest.importorskip("transformers.models.florence2.processing_florence2")
    import torch

    official = processing.Florence2PostProcessor(config={}, tokenizer=SimpleNamespace(all_special_tokens=[]))
    items: list[Item] = [("cup", Box(3, 5, 250, 399)), ("green car", Box(100.5, 0, 640, 480))]
    text = FlorenceCodec().encode(items, (640, 480))
    numbers = official.quantize(torch.tensor([box.as_tuple() for _, box in items]), size=(640, 480))
    assert text == "".join(
        label + "".join(f"<loc_{n}>" for n in row) for (label, _), row in zip(items, numbers.tolist(), strict=True)
    )
    expected = official.parse_description_with_bboxes_from_text_and_spans(text, image_size=(640, 480))
    read = FlorenceCodec().parse("<s>" + text + "</s><pad>", (640, 480))
    assert [label for label, _ in read] == [entry["cat_name"] for entry in expected]
    # It cuts the centres to whole pixels; we keep the fraction.
    assert np.floor(boxes.as_array([box for _, box in read])).tolist() == [entry["bbox"] for entry in expected]


def test_no_boxes() -> None:
    for codec, text in [
        (LocCodec(), "none"),
        (FlorenceCodec(), ""),
        (PaliGemmaCodec(), ""),
        (QwenVLCodec(), ""),
        (Qwen25VLCodec((28, 28)), "[]"),
    ]:
        assert codec.encode([], (10, 10)) == text
        assert codec.parse(text, (10, 10)) == []


def test_several_items_of_a_model() -> None:
    size = (1000, 1000)
    one = "<loc_1><loc_1><loc_5><loc_5>"
    assert [name for name, _ in LocCodec().parse(f"cup{one};red book {one}{one} ; {one}", size)] == [
        "cup", "red book", None, None,
    ]  # fmt: skip
    assert [name for name, _ in FlorenceCodec().parse(f"cup{one}{one}cat{one}", size)] == ["cup", "cup", "cat"]
    caption = (
        "<ref>Two apples</ref><box>(1,2),(3,4)</box><box>(5,6),(7,8)</box> and<ref> a bowl</ref><box>(1,1),(9,9)</box>."
    )
    assert [name for name, _ in QwenVLCodec().parse(caption, size)] == ["Two apples", "Two apples", "a bowl"]
    four = "<loc0001><loc0001><loc0005><loc0005>"
    assert [name for name, _ in PaliGemmaCodec().parse(f"{four} cup ; {four} cat;{four}", size)] == ["cup", "cat", None]
    fenced = '```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "label": "cup"}\n]\n```'
    assert Qwen25VLCodec((28, 28)).parse(fenced, (28, 28)) == [("cup", Box(1, 2, 3, 4))]


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        (LocCodec(), ""),
        (LocCodec(), "cup"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3>"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3><loc_4><loc_5>"),
        (LocCodec(), "cup<loc_1><loc_2><loc_1><loc_4>"),
        (LocCodec(), "cup<loc_5><loc_2><loc_1><loc_4>"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3><loc_1000>"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3><loc_-4>"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3><loc_4>;"),
        (LocCodec(), "cup<loc_1><loc_2><loc_3><loc_4> and more"),
        (LocCodec(), "none<loc_1>"),
        (LocCodec(), "<loc_" + "9" * 5000 + "><loc_2><loc_3><loc_4>"),
        (FlorenceCodec(), "cup"),
        (FlorenceCodec(), "cup<loc_1><loc_2><loc_3><loc_4><loc_5>"),
        (FlorenceCodec(), "cup<loc_1><loc_2><loc_3><loc_4><poly>"),
        (PaliGemmaCodec(), "<loc0001><loc0002><loc0003> cup"),
        (PaliGemmaCodec(), "<loc0001><loc0002><loc0003><loc1024> cup"),
        (PaliGemmaCodec(), "<loc001><loc0002><loc0003><loc0004> cup"),
        (PaliGemmaCodec(), "<loc0001><loc0002><loc0003><loc0004> cup ;"),
        (PaliGemmaCodec(), "<loc0001><loc0002><loc0003><loc0004><seg001> cup"),
        (QwenVLCodec(), "there is no cup"),
        (QwenVLCodec(), "<ref>cup</ref>"),
        (QwenVLCodec(), "<ref></ref><box>(1,2),(3,4)</box>"),
        (QwenVLCodec(), "<box>(1,2),(3,1000)</box>"),
        (QwenVLCodec(), "<box>(1,2),(3)</box>"),
        (QwenVLCodec(), "<box>(1,2),(3,4)</box> and (5,6),(7,8)"),
        (QwenVLCodec(), "<box>(1,2),(3,4)</box><quad>(1,2),(3,4),(5,6),(7,8)</quad>"),
        (Qwen25VLCodec((28, 28)), ""),
        (Qwen25VLCodec((28, 28)), '{"boxes": [{"bbox_2d": [1, 2, 3, 4]}]}'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, 4]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3]}]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, true]}]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, NaN]}]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, 29]}]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [1, 2, 3, 5]}]'),
        (Qwen25VLCodec((28, 28)), '[{"bbox_2d": [1, 2, 3, 4], "label": 7}]'),
        (Qwen25VLCodec((28, 28)), '[{"point_2d": [1, 2], "label": "cup"}]'),
        (Qwen25VLCodec((28, 28)), "[[1, 2, 3, 4]]"),
        (Qwen25VLCodec((28, 28)), "[" * 100_000),
    ],
)
def test_malformed_text_is_a_parse_error(codec: BoxCodec, text: str) -> None:
    with pytest.raises(ParseError):
        codec.parse(text, (100, 100))


def test_a_parse_error_says_what_and_where() -> None:
    with pytest.raises(ParseError, match=r"inverted or empty box at character 28: 'cat<loc_9>"):
        LocCodec().parse("<loc_1><loc_1><loc_5><loc_5>cat<loc_9><loc_1><loc_5><loc_5>", (10, 10))
    with pytest.raises(ParseError, match="item 1"):
        Qwen25VLCodec((9, 9)).parse(json.dumps([{"bbox_2d": [1, 1, 2, 2]}, {"bbox_2d": [1, 1, 1, 2]}]), (10, 10))


@pytest.mark.parametrize(
    ("codec", "label"),
    [
        (LocCodec(), "a<b"),
        (LocCodec(), "a;b"),
        (LocCodec(), ""),
        (LocCodec(), " cup"),
        (FlorenceCodec(), "</s>"),
        (PaliGemmaCodec(), "a;b"),
        (QwenVLCodec(), "a</ref>"),
        (QwenVLCodec(), ""),
    ],
)
def test_labels_that_would_break_the_text_are_refused(codec: BoxCodec, label: str) -> None:
    with pytest.raises(DataError, match="label"):
        codec.encode([(label, HALF)], (100, 200))


def test_other_refusals_of_encode() -> None:
    with pytest.raises(DataError, match="outside its 40x40 picture"):
        LocCodec().encode([("cup", Box(0, 0, 41, 10))], (40, 40))
    for codec in (FlorenceCodec(), QwenVLCodec()):
        with pytest.raises(DataError, match="bare box"):
            codec.encode([("cup", HALF), (None, HALF)], (100, 200))
        assert len(codec.parse(codec.encode([(None, HALF), (None, HALF)], (100, 200)), (100, 200))) == 2
    with pytest.raises(ConfigError):
        LocCodec(bins=1)
    with pytest.raises(ConfigError):
        Qwen25VLCodec((0, 28))


def test_loc_bins_of_arrays() -> None:
    codec = LocCodec(bins=4)
    assert codec.quantize(np.array([[0, 0.24, 0.25], [0.5, 0.99, 1]])).tolist() == [[0, 0, 1], [2, 3, 3]]
    assert codec.token(3) == "<loc_3>"
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            codec.quantize(np.array([wrong]))
    for bad in (-1, 4):
        with pytest.raises(ValueError, match=r"0\.\.3"):
            codec.token(bad)
