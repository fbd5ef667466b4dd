"""Distances between sets of pictures, and the Inception Score, from features somebody else's network gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError

KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum (d,) and centred scatter (d, d) of a set of feature rows; sets can be taken out of one another."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @staticmethod
    def of(features: np.ndarray) -> Moments:
        """Of features (n, d), n >= 1."""
        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        return Moments(len(rows), mean, centred.T @ centred)

    def without(self, part: Moments) -> Moments:
        """The moments of the rows that are not in `part`, a part of these (Chan, Golub and LeVeque 1979)."""
        n = self.n - part.n
        mean = (self.n * self.mean - part.n * part.mean) / n
        gap = part.mean - mean
        return Moments(n, mean, self.scatter - part.scatter - np.outer(gap, gap) * (n * part.n / self.n))

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, (d, d); needs two rows."""
        return self.scatter / (self.n - 1)


def check_features(features: np.ndarray, name: str, fewest: int = 2) -> np.ndarray:
    """`features` as a float array (n, d). Raises DataError for another shape, too few rows or a value not finite."""
    try:
        rows = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: expected an array of numbers (pictures, features)") from None
    if rows.ndim != 2 or rows.shape[1] == 0 or len(rows) < fewest:
        raise DataError(f"{name}: expected (pictures, features) with at least {fewest} pictures, got {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DataError(f"{name}: {len(bad)} rows hold values that are not finite, the first is row {bad[0]}")
    return rows


def frechet_distance(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """Squared Wasserstein-2 distance of two Gaussians, ``|ma - mb|^2 + tr(A + B - 2 (AB)^1/2)``.

    Means are (d,), covariances (d, d), symmetric and positive semi-definite. With ``A = F F'`` the eigenvalues of AB
    are those of the symmetric ``F' B F``, so no square root of a general matrix is needed; singular covariances are
    fine. Dowson and Landau 1982.
    """
    factor = _factor(covariance_a)
    product = np.linalg.eigvalsh(factor.T @ covariance_b @ factor)
    root_trace = np.sqrt(np.maximum(product, 0)).sum()
    gap = mean_a - mean_b
    return float(max(0.0, gap @ gap + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root_trace))


def fid(real: np.ndarray, generated: np.ndarray) -> float:
    """Fréchet Inception Distance of two feature sets, (n, d) and (m, d) (Heusel et al. 2017, equation 6).

    It is at least 0, smaller is better, and it falls as the sets grow: compare only numbers of equal set sizes, made
    by the same network and the same resizing. Raises DataError for sets that don't fit each other.
    """
    real, generated = _two_sets(real, generated)
    a, b = Moments.of(real), Moments.of(generated)
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def fid_without(real: Moments, generated: Moments, real_part: np.ndarray, generated_part: np.ndarray) -> float:
    """FID with the rows `real_part` and `generated_part` left out of the sets whose moments are given."""
    a, b = real.without(Moments.of(real_part)), generated.without(Moments.of(generated_part))
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def mmd2(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (n, d) and (m, d) under the kernel ``(x.y / d + 1)^3``.

    It can be below 0. Gretton et al. 2012, equation 3; the kernel is that of Binkowski et al. 2018, equation 6.
    """
    n, m, d = len(a), len(b), a.shape[1]
    within_a, within_b, between = ((x @ y.T / d + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    return float(
        (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
        + (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
        - 2 * between.mean()
    )


def kid_subsets(
    real: np.ndarray,
    generated: np.ndarray,
    subset_size: int = KID_SUBSET_SIZE,
    subsets: int = KID_SUBSETS,
    seed: int = 0,
) -> np.ndarray:
    """Kernel Inception Distance as it is usually reported: `mmd2` of random subsets, (subsets,).

    Report mean and standard deviation. The subsets overlap, so the deviation is no standard error: see `kid_blocks`.
    Raises DataError for sets smaller than `subset_size`.
    """
    real, generated = _two_sets(real, generated)
    if min(len(real), len(generated)) < subset_size:
        raise DataError(f"KID subsets of {subset_size} need as many pictures, got {len(real)} and {len(generated)}")
    rng = np.random.default_rng(seed)

    def drawn(rows: np.ndarray) -> np.ndarray:
        return rows[rng.choice(len(rows), subset_size, replace=False)]

    return np.array([mmd2(drawn(real), drawn(generated)) for _ in range(subsets)])


def kid_blocks(real: np.ndarray, generated: np.ndarray, seed: int = 0) -> np.ndarray:
    """KID of disjoint random blocks, (blocks,): independent unbiased estimates, whose mean has an honest interval.

    Blocks have `KID_SUBSET_SIZE` pictures, or fewer where that would give fewer than ten blocks; being unbiased, the
    estimate does not depend on their size. Raises DataError for fewer than 20 pictures in a set.
    """
    real, generated = _two_sets(real, generated, fewest=20)
    fewest = min(len(real), len(generated))
    blocks = max(10, fewest // KID_SUBSET_SIZE)
    rng = np.random.default_rng(seed)
    parts = [np.array_split(rng.permutation(len(rows)), blocks) for rows in (real, generated)]
    return np.array([mmd2(real[i], generated[j]) for i, j in zip(*parts, strict=True)])


def inception_scores(probabilities: np.ndarray, splits: int = 10, seed: int = 0) -> np.ndarray:
    """Inception Score of each of `splits` random parts, (splits,): ``exp(mean KL(p(y|x) || p(y)))``.

    `probabilities` is (pictures, classes), rows summing to 1. Between 1 and the number of classes, larger is better;
    it grows with the size of a part. Salimans et al. 2016, section 4. Raises DataError for rows that are no
    distribution and for fewer pictures than splits.
    """
    rows = check_features(probabilities, "probabilities", fewest=splits)
    wrong = np.flatnonzero((rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > 1e-3))
    if len(wrong):
        raise DataError(f"probabilities: row {wrong[0]} is no distribution (sum {rows[wrong[0]].sum():.4g}); no logits")
    parts = np.array_split(rows[np.random.default_rng(seed).permutation(len(rows))], splits)
    return np.array([_inception_score(part) for part in parts])


def _inception_score(rows: np.ndarray) -> float:
    marginal = rows.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(rows > 0, rows * np.log(rows / marginal), 0.0)
    return float(np.exp(information.sum(axis=1).mean()))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Some F with ``F F' = covariance``."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # singular, as with fewer pictures than features
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0))


def _two_sets(real: np.ndarray, generated: np.ndarray, fewest: int = 2) -> tuple[np.ndarray, np.ndarray]:
    real = check_features(real, "real features", fewest)
    generated = check_features(generated, "generated features", fewest)
    if real.shape[1] != generated.shape[1]:
        raise DataError(f"real features have {real.shape[1]} columns, generated ones {generated.shape[1]}")
    return real, generated
