"""Measures over all pairs of items against dense double-centred matrices, closed forms and all permutations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from chiasm.probe.procrustes import Principal, principal_components, procrustes, procrustes_null, procrustes_similarity
from chiasm.probe.result import Measurement
from chiasm.probe.similarity import debiased_cka, distance_measures, pair_sums
from chiasm.probe.space import Points, Space


def points(vectors: np.ndarray, site: str = "encoder") -> Points:
    return Points(Space(site, [str(i) for i in range(len(vectors))], vectors))


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def u_centred(matrix: np.ndarray) -> np.ndarray:
    """Szekely and Rizzo 2014, definition 2, entry by entry."""
    n = len(matrix)
    matrix = matrix * (1 - np.eye(n))
    rows = matrix.sum(axis=1)
    out = matrix - rows[:, None] / (n - 2) - rows[None] / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    return out * (1 - np.eye(n))


def dense(a: np.ndarray, b: np.ndarray) -> float:
    a, b = u_centred(a), u_centred(b)
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def related(n: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6)) + 3
    return x, np.tanh(x @ rng.standard_normal((6, 4))) + noise * rng.standard_normal((n, 4))


def all_three(x: np.ndarray, y: np.ndarray, cluster: np.ndarray | None = None) -> list[Measurement]:
    cluster = alone(len(x)) if cluster is None else cluster
    return [debiased_cka(points(x), points(y), cluster), *distance_measures(points(x), points(y), cluster)]


@pytest.mark.parametrize("n", [8, 50, 3000])
def test_equal_to_dense_matrices(n: int) -> None:
    x, y = related(n, n)
    cka, correlation, pearson = all_three(x, y)
    assert cka.value == pytest.approx(dense(x @ x.T, y @ y.T), abs=2e-5)
    assert correlation.value == pytest.approx(dense(cdist(x, x), cdist(y, y)), abs=2e-5)
    assert pearson.value == pytest.approx(np.corrcoef(pdist(x), pdist(y))[0, 1], abs=2e-5)


def test_columns_without_a_group_are_the_values_of_the_others() -> None:
    x, y = related(40, 0)
    cluster = alone(40) // 4  # ten clusters, hence ten groups of one
    sums = pair_sums(points(x), points(y), cluster, "products")
    values = sums.u_centred_correlation()
    without = [dense(x[cluster != c] @ x[cluster != c].T, y[cluster != c] @ y[cluster != c].T) for c in range(10)]
    np.testing.assert_allclose(np.sort(values[1:]), np.sort(without), atol=1e-5)


def test_nulls_are_those_of_all_permutations() -> None:
    x, y = related(7, 1)
    cka, correlation, pearson = all_three(x, y)
    a, b, c, d = x @ x.T, y @ y.T, cdist(x, x), cdist(y, y)
    drawn = []
    for order in itertools.permutations(range(7)):
        p = np.ix_(order, order)
        pair = np.triu_indices(7, 1)
        drawn.append([dense(a, b[p]), dense(c, d[p]), np.corrcoef(c[pair], d[p][pair])[0, 1]])
    np.testing.assert_allclose(np.mean(drawn, axis=0), 0, atol=1e-9)
    for measurement, deviation in zip((cka, correlation, pearson), np.std(drawn, axis=0), strict=True):
        assert measurement.null is not None
        assert measurement.null.value == 0
        assert measurement.null.high == pytest.approx(1.96 * deviation, rel=1e-4)


def test_unrelated_spaces_score_zero_however_wide() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(20):
        x, y = rng.standard_normal((2, 60, 500))
        cka, correlation, _ = all_three(x, y)
        for measurement in (cka, correlation):
            inside += measurement.null.low <= measurement.value <= measurement.null.high
    assert inside >= 34, "19 of 20 on average; the biased CKA of these would be .9"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 50.0]))
def test_rotation_shift_scale_and_order_change_nothing(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = related(30, seed)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    order = rng.permutation(30)
    moved = (scale * x @ rotation + 7)[order]
    for before, after in zip(all_three(x, y), all_three(moved, y[order]), strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-4)
    assert procrustes_similarity(moved, y[order]) == pytest.approx(procrustes_similarity(x, y))
    for measurement in all_three(x[order], moved):
        assert measurement.value == pytest.approx(1, abs=1e-5)


def test_intervals_follow_clusters_and_hold_the_value() -> None:
    x, y = related(60, 3)
    for narrow, wide in zip(all_three(x, y), all_three(*related(60, 3), alone(60) // 10), strict=True):
        assert narrow.ci_low < narrow.value < narrow.ci_high
        assert (wide.clusters, wide.n) == (6, 60)
        assert wide.value == pytest.approx(narrow.value, abs=1e-6)
    copied = [np.repeat(space, 10, axis=0) + 1e-3 for space in related(30, 4)]
    as_items = all_three(*copied)[0]
    as_clusters = all_three(*copied, np.repeat(np.arange(30), 10))[0]
    assert as_clusters.ci_high - as_clusters.ci_low > 1.5 * (as_items.ci_high - as_items.ci_low)


def test_fewer_than_five_clusters_give_no_interval() -> None:
    cka = all_three(*related(40, 5), alone(40) % 4)[0]
    assert (cka.ci_low, cka.ci_high, cka.clusters) == (None, None, 4)


def test_procrustes_worked_by_hand() -> None:
    # A square and the square turned by 45 degrees: a rotation lays one onto the other.
    square = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]], dtype=float)
    turned = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]], dtype=float)
    assert procrustes_similarity(square, turned) == pytest.approx(1)
    # A circle's points against their first coordinate alone: cross product diag(2, 0), norms 2 and sqrt(2).
    assert procrustes_similarity(turned, turned[:, :1]) == pytest.approx(1 / np.sqrt(2))


def components(vectors: np.ndarray) -> Principal:
    return principal_components(points(vectors))


@pytest.mark.parametrize(("n", "width"), [(60, 20), (20, 60)])
def test_principal_components_are_those_of_the_svd(n: int, width: int) -> None:
    x = np.random.default_rng(8).standard_normal((n, width)) * np.arange(1, width + 1) + 5
    left, singular, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    count = min(n - 1, width)
    found = components(x)
    np.testing.assert_allclose(abs(found.coordinates), abs(left * singular)[:, :count], atol=1e-8 * singular[0])
    np.testing.assert_allclose(found.shares, (np.cumsum(singular**2) / (singular**2).sum())[:count])


def test_procrustes_of_unrelated_spaces_lies_in_its_null() -> None:
    x, y = np.random.default_rng(6).standard_normal((2, 200, 30))
    unrelated = procrustes(components(x), components(y), alone(200))
    null = procrustes_null(components(x), components(y))
    assert null.low - 0.01 < unrelated.value < null.high + 0.01
    assert null.value > 0.2, "a rotation always fits something"
    turned = x @ np.linalg.qr(np.random.default_rng(7).standard_normal((30, 30)))[0]
    same = procrustes(components(x), components(turned), alone(200))
    assert same.value == pytest.approx(1)
    assert same.settings["components"] == 30


@pytest.mark.parametrize("items", [12, 40])
def test_intervals_of_correlations_stay_in_their_range_and_hold_the_truth(items: int) -> None:
    """Of few items the plain jackknife's go up to 1.2 and more; the truth is that of many items."""
    rng = np.random.default_rng(0)
    turn = rng.standard_normal((6, 6))

    def drawn(n: int) -> list[Measurement]:
        x = rng.standard_normal((n, 6))
        first, second = (
            Points(Space(name, [str(i) for i in range(n)], each.astype(np.float32)), "l2", "centred")
            for name, each in (("a", x), ("b", np.tanh(x @ turn) + 0.1 * rng.standard_normal((n, 6))))
        )
        return [debiased_cka(first, second, np.arange(n)), *distance_measures(first, second, np.arange(n))]

    truths = [m.value for m in drawn(2000)]
    held = np.zeros(3)
    for _ in range(60):
        for i, (found, truth) in enumerate(zip(drawn(items), truths, strict=True)):
            assert -1 <= found.ci_low <= found.value <= found.ci_high <= 1
            held[i] += found.ci_low <= truth <= found.ci_high
    assert (held >= 53).all()
