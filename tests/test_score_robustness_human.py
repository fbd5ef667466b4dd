import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.robustness.human import leave_one_out, pairwise_agreement, score_human_consistency
from chiasm.score.robustness.rank_correlation import kendall, spearman


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=60))
def test_correlations_equal_scipy_with_many_ties(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array(pairs, dtype=float).T
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(kendall(a, b))
        assert np.isnan(spearman(a, b))
    else:
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_kendall_by_hand() -> None:
    # Of 6 pairs, (3, 4) is out of order and (1, 2) is tied in b: (4 - 1) / sqrt(6 * 5).
    assert kendall(np.array([1, 2, 3, 4]), np.array([1, 1, 5, 2])) == pytest.approx(3 / 30**0.5)


def test_correlations_of_nothing() -> None:
    for values in (np.array([]), np.array([1.0])):
        assert np.isnan(kendall(values, values))
        assert np.isnan(spearman(values, values))


def test_agreement_by_hand() -> None:
    # Three say red (one in capitals), one says blue: 3 of 6 pairs agree.
    answers = ["red", "Red.", "the red", "blue"]
    assert pairwise_agreement(answers) == 0.5
    # Each red has two others of its kind, min(2 / 3, 1); blue has none.
    assert leave_one_out(answers) == pytest.approx(3 * (2 / 3) / 4)
    assert leave_one_out(answers, "exact") == pytest.approx(3 / 4)
    for function in (pairwise_agreement, leave_one_out):
        with pytest.raises(DataError, match="at least two"):
            function(["red"])


def test_a_model_that_errs_where_people_disagree_is_consistent() -> None:
    rng = np.random.default_rng(0)
    answers = {f"q{i}": ["yes"] * (5 + i % 6) + ["no"] * (5 - i % 6) for i in range(120)}
    scores = {name: float(rng.random() < said.count("yes") / 10) for name, said in answers.items()}
    found = {v.metric: v for v in score_human_consistency(answers, scores).values}
    assert [*found] == ["spearman", "kendall", "agreement", "human", "model"]
    for name in ("spearman", "kendall"):
        assert found[name].ci_low is not None
        assert 0 < found[name].ci_low < found[name].value < found[name].ci_high <= 1  # type: ignore[operator]


def test_what_cannot_be_correlated_is_said() -> None:
    answers = {"a": ["x", "x"], "b": ["x", "y"], "c": ["x"]}
    score = score_human_consistency(answers, {"a": 1.0, "b": 1.0, "c": 0.0})
    assert [v.value for v in score.values[:2]] == [None, None]
    assert "1 items with fewer than two" in score.notes[0]
    assert "no rank correlation" in score.notes[1]
    with pytest.raises(DataError, match="'c'"):
        score_human_consistency(answers, {"a": 1.0, "b": 1.0})
    with pytest.raises(DataError, match="no item has two"):
        score_human_consistency({"c": ["x"]}, {"c": 1.0})
    with pytest.raises(DataError, match="'b'"):
        score_human_consistency(answers, {"a": 1.0, "b": float("nan"), "c": 0.0})
