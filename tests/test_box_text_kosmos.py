"""Kosmos-2's boxes: by hand, against the library's own reader, and damaged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.box_text import KosmosCodec, codec
from chiasm.errors import DataError, ParseError
from chiasm.types import Box

SIZE = (320, 640)  # a cell is 10 x 20


def parse(text: str) -> list:
    return KosmosCodec().parse(text, SIZE)


def test_by_hand() -> None:
    """Cell 33 is row 1, column 1, its middle (15, 30); cell 100 is row 3, column 4, its middle (45, 70)."""
    text = "<phrase>a cup</phrase><object><patch_index_0033><patch_index_0100></object>"
    assert parse(text) == [("a cup", Box(15, 30, 45, 70))]
    assert KosmosCodec().encode([("a cup", Box(12, 21, 49, 79))], SIZE) == text
    # One column (0 and 96 are rows 0 and 3 of column 0), and one cell: whole cells.
    assert parse("<object><patch_index_0000><patch_index_0096></object>") == [(None, Box(0, 0, 10, 80))]
    assert parse("<object><patch_index_0033><patch_index_0033></object>") == [(None, Box(10, 20, 20, 40))]


def test_a_grounded_caption() -> None:
    text = (
        "<grounding> An image of<phrase> two dogs</phrase><object><patch_index_0000><patch_index_0100>"
        "</delimiter_of_multi_objects/><patch_index_0033><patch_index_0100></object> and<phrase> joy</phrase> here."
    )
    assert [label for label, _ in parse(text)] == ["two dogs", "two dogs"]


@given(*[st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)] * 2)
def test_a_round_trip_moves_no_edge_by_more_than_a_cell(x: list[float], y: list[float]) -> None:
    box = Box(x[0] * SIZE[0], y[0] * SIZE[1], x[1] * SIZE[0], y[1] * SIZE[1])
    [(label, read)] = parse(KosmosCodec().encode([("it", box)], SIZE))
    assert label == "it"
    for written, wanted, cell in zip(read.as_tuple(), box.as_tuple(), (10, 20, 10, 20), strict=True):
        assert abs(written - wanted) <= cell + 1e-9


@settings(deadline=None)  # the library is imported by the first example
@given(st.integers(0, 1023), st.integers(0, 1023))
def test_as_the_library_reads_it(first: int, last: int) -> None:
    processing = pytest.importorskip("transformers.models.kosmos2.processing_kosmos2")
    text = f"<phrase> it</phrase><object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    try:
        [(_, box)] = parse(text)
    except ParseError:
        assert first % 32 > last % 32 or first // 32 > last // 32
        return
    _, [(_, _, [theirs])] = processing.clean_text_and_extract_entities_with_bboxes(text)
    assert box.as_tuple() == pytest.approx([v * side for v, side in zip(theirs, [*SIZE, *SIZE], strict=True)])


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "<object></object>",
        "<object><patch_index_0001></object>",
        "<object><patch_index_0100><patch_index_0033></object>",
        "<object><patch_index_0000><patch_index_1024></object>",
        "<phrase> </phrase><object><patch_index_0000><patch_index_0033></object>",
        "<phrase>a<object><patch_index_0000><patch_index_0033></object>",
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ParseError, match=re.escape("Kosmos-2")):
        parse(text)


def test_nothing_found_and_what_cannot_be_written() -> None:
    assert codec("kosmos-2", SIZE).parse("</s>", SIZE) == []
    with pytest.raises(DataError, match="clip it"):
        KosmosCodec().encode([("it", Box(0, 0, 400, 10))], SIZE)
    with pytest.raises(DataError, match="label"):
        KosmosCodec().encode([("it", Box(0, 0, 30, 10)), (None, Box(0, 0, 30, 10))], SIZE)
