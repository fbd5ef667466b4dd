import numpy as np
import pytest
from scipy import stats

from chiasm.score.intervals import bootstrap_ratios, percentile_interval, wilson_interval


def test_the_bootstrap_has_the_spread_of_the_clusters_not_of_the_items() -> None:
    # 50 images with 10 equal answers each: 500 items, but only 50 pieces of evidence.
    right = np.repeat([[0.0], [10.0]], 25, axis=0)
    spread = bootstrap_ratios(right, np.full((50, 1), 10.0))[:, 0]
    assert spread.mean() == pytest.approx(0.5, abs=0.01)
    assert spread.std() == pytest.approx(np.sqrt(0.25 / 50), rel=0.1)


def test_replicates_are_seeded_and_shared_by_all_metrics() -> None:
    rng = np.random.default_rng(0)
    top = rng.random((30, 1))
    spread = bootstrap_ratios(np.repeat(top, 2, axis=1), np.ones((30, 2)), 100)
    assert (spread[:, 0] == spread[:, 1]).all()
    assert (spread == bootstrap_ratios(np.repeat(top, 2, axis=1), np.ones((30, 2)), 100)).all()
    assert (spread != bootstrap_ratios(np.repeat(top, 2, axis=1), np.ones((30, 2)), 100, seed=1)).any()


def test_a_metric_without_items_has_no_interval() -> None:
    spread = bootstrap_ratios(np.zeros((5, 1)), np.zeros((5, 1)), 50)
    assert np.isnan(spread).all()
    assert percentile_interval(spread[:, 0]) is None


def test_clustered_intervals_cover_the_truth() -> None:
    # Images differ in difficulty, with 1 to 8 items each; the ratio of sums is the metric, as in a real run.
    rng = np.random.default_rng(1)
    covered, runs = 0, 400
    for seed in range(runs):
        items = rng.integers(1, 9, size=150)
        right = rng.binomial(items, rng.beta(2, 1, size=150))
        interval = percentile_interval(bootstrap_ratios(right[:, None], items[:, None], 400, seed)[:, 0])
        assert interval is not None
        covered += interval[0] <= 2 / 3 <= interval[1]
    assert 0.92 <= covered / runs <= 0.975


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (3, 17)])
def test_wilson_equals_scipy(right: int, n: int) -> None:
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((expected.low, expected.high))
