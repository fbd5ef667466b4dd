import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.intervals import resampled_sums, wilson_interval
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item

MEASURES = {
    "accuracy": share("right", "asked"),
    "f1": Measure(lambda sums: 2 * sums["hit"] / (sums["said"] + sums["true"]), "true"),
}


def item(image: int, statistics: dict[str, float], **slices: str) -> Item:
    return Item(f"{image}", f"{image}", "", "", "", statistics, slices=slices)


def answers(right: list[int], asked: list[int]) -> list[Item]:
    return [item(image, {"right": r, "asked": n}) for image, (r, n) in enumerate(zip(right, asked, strict=True))]


def accuracy(items: list[Item], **options: int):
    return summarise(items, {"accuracy": MEASURES["accuracy"]}, **options)


@pytest.mark.parametrize("images", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_intervals_cover_the_truth_95_times_in_100(images: int) -> None:
    # Images differ in difficulty; 1 to 6 questions each, and yes/no answers of which half are truly yes.
    # Accuracy is a ratio with a random denominator, F1 is no mean of anything an image has.
    rng = np.random.default_rng(images)
    runs, covered = 2000, np.zeros(2)
    for seed in range(runs):
        asked = rng.integers(1, 7, size=images)
        right = rng.binomial(asked, rng.beta(2, 1, size=images))
        skill = rng.beta(4, 1, size=images)
        hit, false_yes = rng.binomial(3, skill), rng.binomial(3, 1 - skill)
        columns = {"right": right, "asked": asked, "hit": hit, "said": hit + false_yes, "true": np.full(images, 3)}
        items = [item(i, {name: float(column[i]) for name, column in columns.items()}) for i in range(images)]
        values = summarise(items, MEASURES, replicates=1000, seed=seed)
        for i, (value, truth) in enumerate(zip(values, (2 / 3, 2 * 0.8 / (1 + 1)), strict=True)):
            covered[i] += value.ci_low <= truth <= value.ci_high
    assert (np.abs(covered / runs - 0.95) <= 0.015).all(), covered / runs


def test_one_trial_an_image_gets_the_wilson_interval() -> None:
    (value,) = accuracy(answers([1] * 30 + [0] * 10, [1] * 40))
    expected = stats.binomtest(30, 40).proportion_ci(method="wilson")
    assert (value.value, value.n, value.method) == (0.75, 40, "Wilson")
    assert (value.ci_low, value.ci_high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("share", [0, 1])
def test_images_that_are_all_right_or_all_wrong_still_have_a_width(share: int) -> None:
    # 12 images with 10 questions each are 12 pieces of evidence, not 120.
    (value,) = accuracy(answers([10 * share] * 12, [10] * 12))
    assert (value.value, value.n, value.method) == (share, 120, "Wilson over images")
    assert (value.ci_low, value.ci_high) == wilson_interval(share, 12)


@pytest.mark.parametrize(
    ("right", "asked", "method"),
    [
        ([], [], "none: nothing to count"),
        ([0, 0], [0, 0], "none: nothing to count"),
        ([1, 2, 3, 1], [3, 3, 3, 3], "none: too few images"),
        ([1] * 9, [2] * 9, "none: every image scores the same"),
    ],
)
def test_no_interval_is_made_up(right: list[int], asked: list[int], method: str) -> None:
    (value,) = accuracy(answers(right, asked))
    assert (value.ci_low, value.ci_high, value.method) == (None, None, method)


def test_items_of_an_image_are_resampled_together() -> None:
    # 40 images of 25 questions, all right or all wrong: the width is that of 40 trials.
    clustered = [item(image, {"right": image % 2, "asked": 1}) for image in range(40) for _ in range(25)]
    (value,) = accuracy(clustered)
    low, high = wilson_interval(0.5, 40)
    assert value.ci_high - value.ci_low == pytest.approx(high - low, rel=0.15)


def test_every_label_of_a_slice_is_summarised_by_itself() -> None:
    # Two of three right on "colour", one of one on "count", whose denominator for F1 is empty and so left out.
    items = [
        item(0, {"right": 1, "asked": 1, "hit": 1, "said": 1, "true": 1}, kind="colour"),
        item(1, {"right": 1, "asked": 1, "said": 1, "true": 1}, kind="colour"),
        item(2, {"right": 0, "asked": 1, "said": 1, "true": 0}, kind="colour"),
        item(3, {"right": 1, "asked": 1}, kind="count"),
        item(4, {"right": 0, "asked": 1}),
    ]
    values = {(value.metric, value.slice): (value.value, value.n) for value in summarise(items, MEASURES, ["kind"])}
    assert values == {
        ("accuracy", None): (3 / 5, 5),
        ("f1", None): (2 / 5, 2),
        ("accuracy", ("kind", "colour")): (2 / 3, 3),
        ("f1", ("kind", "colour")): (2 / 5, 2),
        ("accuracy", ("kind", "count")): (1.0, 1),
    }


def test_metrics_see_the_same_resamples_and_a_seed_repeats_them() -> None:
    rng = np.random.default_rng(0)
    items = [item(i, {"right": x, "asked": 1}) for i, x in enumerate(rng.random(50))]
    twice = {"accuracy": MEASURES["accuracy"], "again": MEASURES["accuracy"]}
    first, second = summarise(items, twice, seed=3)
    assert (first.ci_low, first.ci_high) == (second.ci_low, second.ci_high)
    assert accuracy(items, seed=3) == (first,)
    assert accuracy(items, seed=4) != (first,)


@given(st.permutations(range(12)))
def test_the_order_of_items_does_not_move_the_value(order: list[int]) -> None:
    items = answers([0, 1, 2] * 4, [2, 3, 4] * 4)
    assert accuracy([items[i] for i in order], replicates=50)[0].value == accuracy(items, replicates=50)[0].value


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_statistic_that_is_not_finite_names_its_item(bad: float) -> None:
    with pytest.raises(DataError, match="item '1': right is"):
        accuracy([item(0, {"right": 1, "asked": 1}), item(1, {"right": bad, "asked": 1})])


def test_drawing_kinds_of_images_is_drawing_images() -> None:
    # 400 images of two kinds are drawn as kinds, their copies with a trace of noise one by one: the same spread.
    kinds = np.repeat([[0.0, 1.0], [3.0, 4.0]], [300, 100], axis=0)
    noisy = kinds + np.random.default_rng(0).normal(0, 1e-9, size=kinds.shape)
    grouped, single = resampled_sums(kinds, 4000), resampled_sums(noisy, 4000)
    assert grouped.mean(axis=0) == pytest.approx(kinds.sum(axis=0), rel=0.01)
    assert np.cov(grouped.T) == pytest.approx(np.cov(single.T), rel=0.1)


@pytest.mark.parametrize("right", [[0] * 12, [2] * 12])
def test_only_a_share_has_an_interval_where_every_image_scores_the_same(right: list[int]) -> None:
    # A BLEU of 0 and a CIDEr of 1 say nothing of what lies above them, and F1 is a mean of nothing.
    (value,) = summarise(answers(right, [2] * 12), {"bleu": ratio("right", "asked")})
    assert (value.ci_low, value.ci_high, value.method) == (None, None, "none: every image scores the same")


def test_a_mean_whose_values_happen_to_be_0_or_1_is_no_share() -> None:
    # ROUGE-L of 30 captions that are word for word a reference and of 10 that share no word with one.
    (value,) = summarise(answers([1] * 30 + [0] * 10, [1] * 40), {"rouge_l": ratio("right", "asked")})
    assert value.method == "bootstrap by image"
