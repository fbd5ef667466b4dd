import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.score.measure import ratio
from chiasm.score.result import Item
from chiasm.score.slices import SliceSearch, worst_slices

ACCURACY = ratio("right", "asked")


def search(right, image, kind, measure=ACCURACY, **options) -> SliceSearch:
    items = [
        Item(str(i), str(image[i]), "", "", "", {"right": float(right[i]), "asked": 1.0}, slices={"kind": str(kind[i])})
        for i in range(len(right))
    ]
    return worst_slices(items, "accuracy", measure, ["kind"], replicates=50, **options)


def test_a_bad_slice_is_first_and_stands_out() -> None:
    # 5 kinds of 40; "left of" has 16 right, the others 32 of 40 each: .4 against 128 / 160.
    kind = np.repeat(["colour", "count", "left of", "name", "scene"], 40)
    right = np.concatenate([np.arange(40) < (16 if one == "left of" else 32) for one in dict.fromkeys(kind)])
    found = search(right, range(200), kind)
    first, *others = found.slices
    assert first.value.slice == ("kind", "left of")
    assert (first.value.value, first.rest) == pytest.approx((0.4, 0.8))
    assert first.gap == pytest.approx(-0.4)
    assert first.value.ci_low < 0.4 < first.value.ci_high
    assert first.p <= 0.005
    assert all(other.p > 0.5 for other in others)
    assert found.overall.value == pytest.approx(144 / 200)


def test_for_a_metric_that_should_be_low_the_highest_slice_is_the_worst() -> None:
    kind = np.repeat(["a", "b"], 40)
    right = np.concatenate([np.arange(40) < 30, np.arange(40) < 10])
    assert search(right, range(80), kind).slices[0].value.slice == ("kind", "b")
    errors = ratio("right", "asked", "lower")
    assert search(right, range(80), kind, errors).slices[0].value.slice == ("kind", "a")


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_a_search_where_labels_mean_nothing_finds_something_5_times_in_100(clustered: bool) -> None:
    # 12 labels; clustered: images with 5 questions of the same label, all right or all wrong together.
    rng = np.random.default_rng(int(clustered))
    runs, found = 400, 0
    for seed in range(runs):
        right = rng.random(120) < 0.8
        kind = rng.integers(0, 12, size=120)
        repeat = 5 if clustered else 1
        result = search(
            np.repeat(right, repeat), np.repeat(np.arange(120), repeat), np.repeat(kind, repeat),
            min_n=5, permutations=99, seed=seed,
        )  # fmt: skip
        found += result.slices[0].p <= 0.05
    assert 0.02 <= found / runs <= 0.08


def test_small_slices_are_not_searched_and_that_is_said() -> None:
    found = search([1, 0] * 20 + [0], range(41), ["large"] * 40 + ["small"])
    assert [one.value.slice for one in found.slices] == [("kind", "large")]
    assert found.notes == ("kind small: n is 1, fewer than 30: not searched",)


def test_a_key_with_one_label_has_nothing_to_stand_out_from() -> None:
    assert search([1, 0] * 20, range(40), ["only"] * 40).slices == ()


def test_an_unknown_key_names_the_known_ones() -> None:
    items = [Item("1", "1", "", "", "", {"right": 1.0}, slices={"kind": "colour"})]
    with pytest.raises(DataError, match="no item has the slice key 'sort'; known: kind"):
        worst_slices(items, "accuracy", ACCURACY, ["sort"])
