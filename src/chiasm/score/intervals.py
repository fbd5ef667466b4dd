"""The bootstrap over whole images, and confidence intervals made from it or in its place."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

BOOTSTRAP = "bootstrap by image"
WILSON = "Wilson over images"


def resampled_sums(statistics: np.ndarray, replicates: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw as many images as there are, with replacement, and add up their statistics: (replicates, statistics).

    `statistics` is (images, statistics): each image's sufficient statistics, summed over its items. All columns see the
    same resamples, so that metrics computed from them are paired. Efron and Tibshirani 1993, chapter 6.
    """
    images = len(statistics)
    rng = np.random.default_rng(seed)
    rows, counts = np.unique(statistics.astype(np.float64), axis=0, return_counts=True)
    if len(rows) * 20 < images:
        # Images with equal statistics are interchangeable: draw how often each kind comes, not which image it is.
        return rng.multinomial(images, counts / images, size=replicates).astype(np.float64) @ rows
    sums = np.empty((replicates, statistics.shape[1]))
    chunk = max(1, 2_000_000 // max(images, 1))
    for start in range(0, replicates, chunk):
        count = min(chunk, replicates - start)
        # Drawing indices and counting them is the multinomial, several times faster than numpy's own sampler.
        drawn = rng.integers(0, images, size=(count, images)) + np.arange(count)[:, None] * images
        weights = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        sums[start : start + count] = weights.astype(np.float64) @ statistics
    return sums


def bootstrap_ratios(
    numerators: np.ndarray, denominators: np.ndarray, replicates: int = 2000, seed: int = 0
) -> np.ndarray:
    """Every metric on the same resamples of whole images: (replicates, metrics), NaN where a replicate has no items.

    `numerators` and `denominators` are (images, metrics): each image's sufficient statistics, summed over its items.
    """
    metrics = numerators.shape[1]
    sums = resampled_sums(np.concatenate([numerators, denominators], axis=1), replicates, seed)
    top, bottom = sums[:, :metrics], sums[:, metrics:]
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """The central `level` of one metric's replicates; None where fewer than half of them are defined."""
    defined = replicates[np.isfinite(replicates)]
    if defined.size * 2 < replicates.size or defined.size == 0:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson_interval(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share in [0, 1] of `n` independent trials (Wilson 1927).

    With images as trials it stands in where every image scores all or nothing alike: the bootstrap then has no
    variation to resample and would claim an interval of width 0.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(center - half)), min(1.0, float(center + half))
