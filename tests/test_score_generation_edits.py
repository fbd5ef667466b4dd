"""Edits as masks and as embeddings, and LPIPS by the user's own package."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError, ImageError
from chiasm.score.generation.edits import changed_pixels, mask_agreement, region_ssim, score_edits
from chiasm.score.generation.similarity import cosine, direction_similarity, score_similarity


def mask(rows: slice, columns: slice) -> np.ndarray:
    where = np.zeros((40, 40), dtype=bool)
    where[rows, columns] = True
    return where


def test_masks_by_hand() -> None:
    # Changed 10 x 10, asked 10 x 20 over the same rows: 100 in both, 200 in either.
    found = mask_agreement(mask(slice(0, 10), slice(0, 10)), mask(slice(0, 10), slice(0, 20)))
    assert (found.iou, found.dice, found.inside, found.covered) == (0.5, 200 / 300, 1.0, 0.5)


def test_empty_masks() -> None:
    none, some = mask(slice(0, 0), slice(0, 0)), mask(slice(0, 5), slice(0, 5))
    both = mask_agreement(none, none)
    assert (both.iou, both.dice) == (1, 1)
    assert np.isnan(both.inside)
    assert mask_agreement(none, some).iou == 0
    assert mask_agreement(some, none).dice == 0
    with pytest.raises(ImageError, match="bool"):
        mask_agreement(none, some.astype(int))


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_dice_follows_from_iou(a: int, b: int) -> None:
    first, second = (np.array([int(bit) for bit in f"{value:016b}"], dtype=bool).reshape(4, 4) for value in (a, b))
    found = mask_agreement(first, second)
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou))


def test_a_small_shift_of_all_pixels_is_no_change() -> None:
    before = np.full((5, 5, 3), 100, dtype=np.uint8)
    after = before + np.uint8(10)
    after[2, 2, 1] = 0  # one channel is enough, and uint8 must not wrap around
    assert np.argwhere(changed_pixels(before, after)).tolist() == [[2, 2]]


def test_an_edit_in_its_place_keeps_the_rest() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, size=(40, 40, 3)).astype(np.uint8)
    after, asked = before.copy(), mask(slice(0, 10), slice(0, 10))
    after[:10, :10] = 255 - after[:10, :10]
    stray = before.copy()
    stray[30:, 30:] = 0
    score = score_edits([("good", before, after, asked), ("stray", before, stray, asked)])
    values = {v.metric: v for v in score.values}
    assert score.items[0].statistics["iou_sum"] > 0.9
    assert score.items[1].statistics["iou_sum"] == 0
    assert values["psnr_outside"].n == 1
    assert any("psnr_outside is undefined or infinite for 1 of 2" in note for note in score.notes)
    assert region_ssim(before, after, mask(slice(20, 40), slice(20, 40))) == pytest.approx(1)
    with pytest.raises(ImageError, match="'x'"):
        score_edits([("x", before, after[:20], asked)])
    with pytest.raises(DataError, match="second"):
        score_edits([("x", before, after, asked)] * 2)


def test_cosines_by_hand() -> None:
    assert cosine(np.array([[3.0, 4.0], [1, 0]]), np.array([[4.0, 3.0], [-2, 0]])) == pytest.approx([0.96, -1])


def test_direction_ignores_where_the_change_started() -> None:
    # The picture turns from x to y and so does the text, in another plane of the same space.
    x, y, z = np.eye(3)[:, None, :]
    assert direction_similarity(x, 5 * y, 2 * x, y) == pytest.approx([1])
    assert direction_similarity(x, y, y, x) == pytest.approx([-1])
    # (y - x) . (z - x) / 2 = 1/2.
    assert direction_similarity(x, y, x, z) == pytest.approx([0.5])
    assert direction_similarity(x, 3 * x, x, y) == pytest.approx([0])


def test_a_similarity_score_has_what_its_embeddings_allow() -> None:
    rng = np.random.default_rng(0)
    a, b, c, d = rng.normal(size=(4, 12, 8))
    ids = [f"p{i}" for i in range(12)]
    assert [v.metric for v in score_similarity(ids, a, texts=b).values] == ["clip_t"]
    full = score_similarity(ids, a, texts=b, references=c, sources=c, source_texts=d)
    assert [v.metric for v in full.values] == ["clip_t", "clip_i", "clip_i_source", "direction"]
    assert full.values[0].value == pytest.approx(cosine(a, b).mean())
    for bad in (ids[:3], ["p"] * 12):
        with pytest.raises(DataError, match="ids"):
            score_similarity(bad, a, texts=b)
    with pytest.raises(DataError, match="one shape"):
        score_similarity(ids, a, texts=b[:, :5])
    a[3] = 0
    with pytest.raises(DataError, match="row 3"):
        score_similarity(ids, a, texts=b)
    a[3] = np.inf
    with pytest.raises(DataError, match="row 3"):
        score_similarity(ids, a, texts=b)
