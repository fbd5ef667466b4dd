import numpy as np
import pytest

from chiasm.score.jackknife import jackknife_interval
from chiasm.score.robustness.rank_correlation import spearman


def test_of_a_mean_it_is_students_interval() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).normal(size=12)
    found = jackknife_interval(values.mean(), lambda part: np.delete(values, part).mean(), 12)
    assert found == pytest.approx(stats.t.interval(0.95, 11, values.mean(), stats.sem(values)), abs=2e-3)


def test_groups_of_unequal_size_give_the_same_width_on_average() -> None:
    rng = np.random.default_rng(0)
    widths = {}
    for n in (60, 59):  # 20 groups of 3, and 19 of 3 with one of 2
        found = []
        for seed in range(200):
            values = rng.normal(size=n)
            low, high = jackknife_interval(  # type: ignore[misc]
                values.mean(), lambda part, values=values: np.delete(values, part).mean(), n, seed=seed
            )
            found.append(high - low)
        widths[n] = np.mean(found) * n**0.5
    assert widths[59] == pytest.approx(widths[60], rel=0.05)


def test_it_covers_a_rank_correlation() -> None:
    # Independent ranks with ties: the correlation is 0 in truth.
    rng = np.random.default_rng(5)
    ties = np.arange(120) % 4
    covered = 0
    for seed in range(400):
        scores = rng.random(120)
        low, high = jackknife_interval(  # type: ignore[misc]
            spearman(ties, scores),
            lambda part, scores=scores: spearman(np.delete(ties, part), np.delete(scores, part)),
            120,
            seed=seed,
        )
        covered += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_there_is_no_interval_from_too_little() -> None:
    assert jackknife_interval(0.0, lambda part: 0.0, 4) is None
    assert jackknife_interval(0.0, lambda part: float("nan"), 50) is None
