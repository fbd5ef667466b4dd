from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.score.generation.distances import read_features, score_features
from chiasm.score.generation.features import (
    Moments,
    fid,
    frechet_distance,
    inception_scores,
    kid_blocks,
    kid_subsets,
    mmd2,
)


def features(seed: int, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ np.random.default_rng(99).normal(size=(d, d)) + shift


@pytest.mark.parametrize(("n", "d"), [(300, 24), (20, 48)])  # the second has singular covariances
def test_fid_equals_the_form_with_a_general_matrix_root(n: int, d: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    real, generated = features(0, n, d), features(1, n, d, shift=0.3)
    a, b = np.cov(real.T), np.cov(generated.T)
    gap = real.mean(axis=0) - generated.mean(axis=0)
    # A singular product has no exact root; the usual tools add this offset.
    offset = 1e-9 * np.eye(d) if n <= d else 0
    root = linalg.sqrtm((a + offset) @ (b + offset)).real
    expected = gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    assert fid(real, generated) == pytest.approx(expected, abs=1e-6 if n > d else 0.05)


def test_fid_of_one_dimension_by_hand() -> None:
    # N(0, 4) against N(3, 1): 3^2 + (2 - 1)^2.
    assert frechet_distance(np.zeros(1), np.array([[4.0]]), np.array([3.0]), np.eye(1)) == pytest.approx(10)


def test_fid_is_zero_for_equal_sets_and_symmetric() -> None:
    a, b = features(0, 100, 8), features(1, 80, 8)
    assert fid(a, a) == pytest.approx(0, abs=1e-9)
    assert fid(a, b) == pytest.approx(fid(b, a))


def test_moments_without_a_part_are_the_moments_of_the_rest() -> None:
    rows = features(2, 50, 5, shift=7)
    rest = Moments.of(rows).without(Moments.of(rows[10:17]))
    direct = Moments.of(np.delete(rows, slice(10, 17), axis=0))
    assert rest.n == 43
    assert rest.mean == pytest.approx(direct.mean)
    assert rest.covariance == pytest.approx(direct.covariance)


def test_mmd_by_hand() -> None:
    # d = 1, kernel (xy + 1)^3: within {0, 1} it is 1, within {1, 1} it is 8, between 1, 1, 8, 8.
    assert mmd2(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])) == pytest.approx(1 + 8 - 2 * 4.5)


def test_kid_is_unbiased_and_finds_a_shift() -> None:
    same = [kid_blocks(features(2 * s, 200, 6), features(2 * s + 1, 200, 6)).mean() for s in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 40**0.5
    shifted = kid_blocks(features(0, 200, 6), features(1, 200, 6, shift=2))
    assert shifted.mean() > 5 * np.std(same)
    assert len(shifted) == 10


def test_kid_subsets_of_the_whole_set_are_the_plain_mmd() -> None:
    a, b = features(0, 40, 4), features(1, 40, 4)
    assert kid_subsets(a, b, subset_size=40, subsets=3) == pytest.approx(mmd2(a, b))
    with pytest.raises(DataError, match="KID subsets of 1000"):
        kid_subsets(a, b)


def test_inception_score_has_its_two_extremes() -> None:
    certain_and_varied = np.tile(np.eye(4), (5, 1))
    assert inception_scores(certain_and_varied, splits=1) == pytest.approx([4])
    assert inception_scores(np.full((20, 4), 0.25), splits=2) == pytest.approx([1, 1])
    with pytest.raises(DataError, match="no distribution"):
        inception_scores(np.full((20, 4), 2.0))


def test_the_fid_interval_covers_what_fid_is_at_this_size() -> None:
    # The expectation at n = 150 by simulation, then how often the interval of one draw covers it.
    draws = [(features(2 * s, 150, 4), features(2 * s + 1, 150, 4, shift=0.5)) for s in range(300)]
    expectation = np.mean([fid(a, b) for a, b in draws])
    scores = [score_features(a, b).values[0] for a, b in draws[:150]]
    covered = [v.ci_low <= expectation <= v.ci_high for v in scores]  # type: ignore[operator]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_files_are_read_and_strange_ones_explained(tmp_path: Path) -> None:
    np.save(tmp_path / "real.npy", features(0, 30, 3))
    np.save(tmp_path / "made.npy", features(1, 25, 3))
    score = score_features(tmp_path / "real.npy", tmp_path / "made.npy")
    assert [v.metric for v in score.values] == ["fid", "kid"]
    assert all(v.ci_low < v.value < v.ci_high for v in score.values)  # type: ignore[operator]

    np.savez(tmp_path / "many.npz", mu=np.zeros(3), sigma=np.eye(3))
    (tmp_path / "text.npy").write_text("no")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object))
    for name, message in [
        ("many.npz", "several arrays"), ("text.npy", "plain numbers"), ("empty.npy", "plain numbers"),
        ("objects.npy", "plain numbers"), ("absent.npy", "No such file"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            read_features(tmp_path / name)


def test_bad_features_are_named() -> None:
    rows = features(0, 10, 3)
    rows[4, 1] = np.nan
    with pytest.raises(DataError, match="row 4"):
        fid(rows, features(1, 10, 3))
    with pytest.raises(DataError, match="3 columns"):
        fid(features(0, 10, 3), features(0, 10, 4))
    with pytest.raises(DataError, match="at least 2"):
        fid(features(0, 1, 3), features(0, 10, 3))
