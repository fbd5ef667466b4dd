"""The delete-a-group jackknife: an interval for a number that is no function of sums over items."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from chiasm.score.bootstrap import small_sample_level

GROUPS = 20


def jackknife_interval(
    value: float, without: Callable[[np.ndarray], float], n: int, groups: int = GROUPS, seed: int = 0
) -> tuple[float, float] | None:
    """Central 95 % around `value`, which was computed from `n` independent units (images, not answers).

    The units are shuffled and cut into `groups` equal parts; ``without(part)`` recomputes the number with the units of
    `part`, an array of indices, left out. It costs as many evaluations as there are groups, where the bootstrap takes
    thousands, and unlike the bootstrap it never shows a statistic the same unit twice, which inflates distances between
    samples. Student's t with ``groups - 1`` degrees of freedom. None where there are fewer than five units or a
    recomputed number is not finite. Shao and Tu 1995, "The Jackknife and Bootstrap", section 2.3.
    """
    groups = min(groups, n)
    if groups < 5:
        return None
    parts = np.array_split(np.random.default_rng(seed).permutation(n), groups)
    left_out = np.array([without(part) for part in parts])
    if not np.isfinite(left_out).all():
        return None
    times = n / np.array([len(part) for part in parts])
    pseudo_values = times * value - (times - 1) * left_out
    # Groups whose sizes differ by one have pseudo-values of different variance (Busing et al. 1999, equation 10).
    variance = np.mean((pseudo_values - pseudo_values.mean()) ** 2 * (groups - 1) / (times - 1)) / groups
    z = NormalDist().inv_cdf((1 + small_sample_level(groups)) / 2)
    return float(value - z * variance**0.5), float(value + z * variance**0.5)
