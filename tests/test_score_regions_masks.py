"""Mask overlap, outlines and run lengths by hand, against slow definitions, and on broken input."""

import contextlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chiasm.errors import DataError
from chiasm.score.regions import masks, rle

pytest.importorskip("faster_coco_eval")


def drawn(text: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in text.split()])


LEFT = drawn("##.. ##.. .... ....")
SHIFTED = drawn(".##. .##. .... ....")
NOTHING = np.zeros((4, 4), dtype=bool)

small_masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays.arrays(bool, shape))
pairs = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)


def test_overlap_by_hand() -> None:
    assert masks.overlap(LEFT, SHIFTED) == (2, 6)
    assert masks.iou(LEFT, SHIFTED) == pytest.approx(1 / 3)
    assert masks.iou(LEFT, NOTHING) == masks.iou(NOTHING, LEFT) == 0


@pytest.mark.parametrize("measure", [masks.iou, masks.boundary_iou, masks.boundary_f])
def test_two_empty_masks(measure: Callable[..., float]) -> None:
    assert measure(NOTHING, NOTHING) == 1


@pytest.mark.parametrize("measure", [masks.iou, masks.boundary_iou, masks.boundary_f])
@given(pair=pairs)
def test_bounds_and_symmetry(measure: Callable[..., float], pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    assert 0 <= measure(a, b) <= 1
    assert measure(a, b) == pytest.approx(measure(b, a))
    assert measure(a, a) == 1


def test_outline_by_hand() -> None:
    # A pixel is on the outline if its right, lower or lower-right neighbour is on the other side.
    assert masks.outline(drawn("..... .##.. .##.. .....")).tolist() == drawn("###.. #.#.. ###.. .....").tolist()
    assert not masks.outline(np.ones((3, 3), dtype=bool)).any()


@given(small_masks, st.integers(0, 12))
def test_widening_is_all_pixels_within_reach(mask: np.ndarray, radius: int) -> None:
    y, x = np.nonzero(mask)
    rows, columns = np.indices(mask.shape)
    near = np.zeros_like(mask)
    for top, left in zip(y, x, strict=True):
        near |= (rows - top) ** 2 + (columns - left) ** 2 <= radius**2
    assert (masks._widened(mask, radius) == near).all()


def test_boundaries_by_hand() -> None:
    square = np.zeros((100, 100), dtype=bool)
    square[20:80, 20:80] = True
    moved = np.roll(square, 2, axis=1)
    # The diagonal is 141.4: .008 of it, rounded up, is 2 pixels, which reaches every outline pixel; .005 is 1, and then
    # only the horizontal sides and the ends of the vertical ones are within reach.
    assert masks.boundary_f(square, moved) == 1
    assert 0.4 < masks.boundary_f(square, moved, share=0.005) < 0.6
    assert masks.boundary_f(square, np.zeros_like(square)) == 0
    # Rims of 3 pixels (.02 of the diagonal): 60² - 54² = 684 pixels each. Moved by 2, the horizontal rims share 58
    # columns of 3 rows twice; each vertical rim shares 1 of its 3 columns in the 54 rows between: 348 + 108 = 456.
    assert masks.boundary_iou(square, moved) == pytest.approx(456 / (2 * 684 - 456))
    assert masks.iou(square, moved) == pytest.approx(58 / 62)


def test_wrong_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="bool arrays"):
        masks.iou(LEFT.astype(float), LEFT.astype(float))
    with pytest.raises(ValueError, match="of one size"):
        masks.iou(LEFT, LEFT[:2])


@given(small_masks)
def test_run_lengths_round_trip(mask: np.ndarray) -> None:
    written = rle.encode(mask)
    size = mask.shape[::-1]
    assert (rle.decode(written, size) == mask).all()
    assert (rle.decode({"size": written["size"], "counts": written["counts"].decode()}, size) == mask).all()
    # Uncompressed: runs down the columns, beginning with zeros.
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(np.r_[False, flat, not flat[-1]]))
    runs = np.diff(np.r_[0, changes]).tolist()
    assert (rle.decode({"size": list(mask.shape), "counts": runs}, size) == mask).all()


def test_polygons_by_hand() -> None:
    mask = rle.decode([[1, 1, 4, 1, 4, 3, 1, 3], [0, 3, 1, 3, 1, 4, 0, 4]], (5, 4))
    assert mask.tolist() == drawn("..... .###. .###. #....").tolist()


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        [[]],
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3]],
        [[1, 1, 2, 2, 3, math.nan]],
        [[1, 1, 2, 2, 3, "3"]],
        ["abcdef"],
        {},
        {"size": [4, 5]},
        {"size": [5, 4], "counts": [20]},
        {"size": 20, "counts": [20]},
        {"size": [4, 5], "counts": [19]},
        {"size": [4, 5], "counts": [21]},
        {"size": [4, 5], "counts": [-1, 21]},
        {"size": [4, 5], "counts": [10.5, 9.5]},
        {"size": [4, 5], "counts": "51"},
        {"size": [4, 5], "counts": "zzz~~~"},
        {"size": [4, 5], "counts": "é"},
        {"size": [4, 5], "counts": None},
    ],
)
def test_broken_segmentations_are_data_errors(broken: object) -> None:
    with pytest.raises(DataError, match="segmentation can't be read"):
        rle.decode(broken, (5, 4))


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_any_compressed_text_is_a_mask_or_a_data_error(text: str) -> None:
    with contextlib.suppress(DataError):
        assert rle.decode({"size": [6, 7], "counts": text}, (7, 6)).shape == (6, 7)
