import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chiasm.errors import DataError
from chiasm.score.compare import compare
from chiasm.score.measure import ratio
from chiasm.score.paired_tests import holm, mcnemar, swap_test
from chiasm.score.result import Item, Score

ACCURACY = {"accuracy": ratio("right", "asked")}


def score(right, image=None, kind=None, dialect: str = "exact", truth: str = "t", ids=None) -> Score:
    """A score of one item for each entry of `right`, each on its own image unless told."""
    images = range(len(right)) if image is None else image
    kinds = [""] * len(right) if kind is None else kind
    names = range(len(right)) if ids is None else ids
    rows = zip(names, right, images, kinds, strict=True)
    items = [
        Item(f"{name}", f"{image}", "", "", truth, {"right": float(r), "asked": 1.0}, slices={"kind": kind})
        for name, r, image, kind in rows
    ]
    return Score("vqa", dialect, (), tuple(items))


def difference_of_means(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[:, 0] / first[:, 1] - second[:, 0] / second[:, 1]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 0), (7, 3), (12, 12), (60, 90), (3000, 3200)])
def test_mcnemar_is_the_binomial_test_on_the_discordant_items(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar(wins, losses) == pytest.approx(expected)


def test_swapping_gives_the_p_of_all_arrangements() -> None:
    # Six images with gaps 1..6, all in favour of one model: of the 64 sign patterns 2 are as extreme.
    second = np.stack([np.zeros(6), np.ones(6)], axis=1)
    first = second + np.stack([np.arange(1.0, 7.0), np.zeros(6)], axis=1)
    assert swap_test(first, second, difference_of_means, 20_000) == pytest.approx(2 / 64, abs=0.004)
    assert swap_test(second, second, difference_of_means, 100) == 1


def test_swapping_agrees_with_scipy_on_a_metric_that_is_no_mean() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.binomial(1, 0.8, (40, 3)).astype(float), rng.binomial(1, 0.6, (40, 3)).astype(float)

    def f1(sums: np.ndarray) -> np.ndarray:
        return 2 * sums[:, 0] / (sums[:, 1] + sums[:, 2])

    ours = swap_test(first, second, lambda a, b: f1(a) - f1(b), 20_000)

    def statistic(one: np.ndarray, other: np.ndarray) -> float:
        # scipy permutes whole rows here, given as indices into both.
        rows = np.stack([np.concatenate([first, second])[index.astype(int)].sum(axis=0) for index in (one, other)])
        return float(f1(rows[:1])[0] - f1(rows[1:])[0])

    theirs = stats.permutation_test(
        (np.arange(40), np.arange(40, 80)), statistic, permutation_type="samples", n_resamples=4000, rng=1
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize("graded", [False, True])
def test_p_is_uniform_when_the_models_are_equal(graded: bool) -> None:
    # 40 images whose three questions hang together; two equally good models. Drawn as kinds and one by one.
    rng = np.random.default_rng(7)
    found = []
    for seed in range(1500):
        skill = rng.beta(2, 1, size=(40, 1))
        right = rng.binomial(3, np.repeat(skill, 2, axis=1)).astype(float)
        if graded:
            right += rng.normal(0, 0.3, size=right.shape)
        tables = [np.stack([column, np.full(40, 3.0)], axis=1) for column in right.T]
        found.append(swap_test(tables[0], tables[1], difference_of_means, 399, seed))
    shares = [np.mean(np.array(found) <= level) for level in (0.05, 0.25, 0.5)]
    if graded:
        assert stats.kstest(found, "uniform").pvalue > 0.01
    # Ties make the p of counts too large now and then, never too small.
    assert all(share <= level + 0.02 for share, level in zip(shares, (0.05, 0.25, 0.5), strict=True))
    assert shares == pytest.approx([0.05, 0.25, 0.5], abs=0.02 if graded else 0.1)


def test_mcnemar_keeps_its_level_when_the_models_are_equal() -> None:
    # p is discrete, so it may only be too large: P(p <= level) never exceeds the level, for any number of items.
    for n in (1, 5, 20, 101):
        chances = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        p = np.array([mcnemar(wins, n - wins) for wins in range(n + 1)])
        for level in (0.01, 0.05, 0.2, 0.5):
            assert chances[p <= level].sum() <= level + 1e-9
    assert chances[p <= 0.5].sum() > 0.35


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04; no p may fall below the one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(one <= other <= min(1, one * len(p)) + 1e-12 for one, other in zip(p, adjusted, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])


def test_the_counts_of_a_hand_made_pair() -> None:
    # Items: both right, only A (2), only B, both wrong (2).
    (found,) = compare({"A": score([1, 1, 1, 0, 0, 0]), "B": score([1, 0, 0, 1, 0, 0])}, ACCURACY).differences
    gap = found.gap
    assert (gap.wins, gap.losses, gap.both_wrong, gap.items) == (2, 1, 2, 6)
    assert gap.difference == pytest.approx(1 / 6)
    assert (gap.test, gap.p) == ("McNemar, exact", 1.0)  # 2 against 1: every outcome of three coins is as extreme
    assert found.verdict == "not told apart"


def test_items_of_an_image_are_not_independent_evidence() -> None:
    # A wins 10 questions, all on one image: McNemar would say p = .002, one image says nothing.
    image = [0] * 10 + list(range(1, 31))
    a, b = score([1] * 40, image), score([0] * 10 + [1] * 30, image)
    (found,) = compare({"A": a, "B": b}, ACCURACY).differences
    assert found.gap.test == "sign-flip permutation by image"
    assert found.gap.p == 1.0
    assert found.verdict == "not told apart"


def test_a_clear_difference_is_named_with_its_winner_first() -> None:
    better, worse = score([1] * 90 + [0] * 10), score([1] * 60 + [0] * 40)
    (found,) = compare({"worse": worse, "better": better}, ACCURACY).differences
    assert found.verdict == "second better"
    assert found.sentence.startswith("better is better than worse in accuracy: 0.9 against 0.6 on 100 items, ")
    assert "difference 0.3 (95 % CI 0.2" in found.sentence
    (found,) = compare({"a": worse, "b": better}, {"accuracy": ratio("right", "asked", "lower")}).differences
    assert (found.verdict, found.gap.wins, found.gap.both_wrong) == ("first better", 30, 60)


def test_no_ranking_inside_noise_and_none_after_a_search() -> None:
    # 14 wins to 4 is p = .031 alone, and chance once three more metrics were tried.
    a, b = score([1] * 14 + [0] * 4 + [1] * 40), score([0] * 14 + [1] * 4 + [1] * 40)
    (alone,) = compare({"A": a, "B": b}, ACCURACY).differences
    assert alone.gap.p == pytest.approx(stats.binomtest(4, 18).pvalue)
    assert alone.verdict == "first better"
    four = {f"accuracy {i}": ACCURACY["accuracy"] for i in range(4)}
    searched = compare({"A": a, "B": b}, four).differences
    assert {found.verdict for found in searched} == {"not told apart"}
    assert "can't be told apart" in searched[0].sentence
    assert "after correction for 4 comparisons" in searched[0].sentence


def test_models_that_differ_little_on_many_items_are_equivalent_within_a_margin() -> None:
    scores = {"A": score([1] * 20 + [0] * 20 + [1] * 1960), "B": score([0] * 20 + [1] * 20 + [1] * 1960)}
    (wide,) = compare(scores, ACCURACY, margin=0.03).differences
    (narrow,) = compare(scores, ACCURACY, margin=0.001).differences
    assert (wide.verdict, narrow.verdict) == ("equivalent", "not told apart")
    assert wide.sentence.startswith("A and B differ by less than 0.03 in accuracy")


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    # 400 images with one item, 20 % of them discordant: 2.8 standard errors are .0627 by hand.
    a, b = score([1, 0] * 40 + [1] * 320), score([0, 1] * 40 + [1] * 320)
    (found,) = compare({"A": a, "B": b}, ACCURACY).differences
    assert found.gap.detectable == pytest.approx((1.96 + 0.8416) * np.sqrt(0.2 / 400), rel=0.05)
    # Samples in which that is the true difference; McNemar's exact test is a little careful, hence a little below .8.
    wins, losses, _ = np.random.default_rng(0).multinomial(400, [0.1 + 0.0627 / 2, 0.1 - 0.0627 / 2, 0.8], 1000).T
    power = np.mean([mcnemar(*pair) < 0.05 for pair in zip(wins.tolist(), losses.tolist(), strict=True)])
    assert 0.74 <= power <= 0.82


def test_slices_count_in_the_correction_and_small_ones_are_left_out() -> None:
    kind = ["colour"] * 40 + ["count"] * 40 + ["rare"] * 5
    a, b = score([1] * 80 + [0] * 5, kind=kind), score([1] * 30 + [0] * 10 + [1] * 35 + [0] * 5 + [1] * 5, kind=kind)
    found = compare({"A": a, "B": b}, ACCURACY, ["kind"])
    assert [one.slice for one in found.differences] == [None, ("kind", "colour"), ("kind", "count")]
    assert found.differences[0].agreeing_slices == (2, 2)
    assert found.notes == ("kind rare has 5 common items, fewer than 30: left out",)
    assert found.differences[1].p_adjusted == pytest.approx(3 * found.differences[1].gap.p)


def test_three_models_are_three_pairs() -> None:
    scores = {name: score([1, 0] * 20) for name in "ABC"}
    found = compare(scores, ACCURACY).differences
    assert [(one.first, one.second) for one in found] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert {one.gap.p for one in found} == {1.0}


def test_only_common_items_are_compared_and_the_rest_is_said() -> None:
    a, b = score([1, 0, 1], ids=["1", "2", "3"], image="123"), score([1, 1], ids=["2", "3"], image="23")
    found = compare({"A": a, "B": b}, ACCURACY)
    assert (found.differences[0].gap.items, found.differences[0].gap.first_value) == (2, 0.5)
    assert found.notes == ("1 items of A are not in B: A and B are compared on 2",)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (score([1, 1], dialect="substring"), "different dialects, 'exact' and 'substring'"),
        (score([1, 1], ids=["8", "9"]), "no item in common"),
        (score([1, 1], ids=["0", "0"]), "B has item '0' twice"),
        (score([1, 1], truth="u"), "item '0' has another truth or image in B than in A"),
        (score([1, 1], image=[7, 8]), "item '0' has another truth or image in B than in A"),
    ],
)
def test_scores_that_do_not_belong_together_are_refused(other: Score, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare({"A": score([1, 0]), "B": other}, ACCURACY)


def test_one_score_is_no_comparison() -> None:
    with pytest.raises(DataError, match="two scores or more, got 1"):
        compare({"A": score([1])}, ACCURACY)
