"""A judge's mean corrected by the items that people labelled too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import small_sample_level
from chiasm.score.result import Value


def calibrated_mean(judged: Mapping[str, float], labelled: Mapping[str, float]) -> Value:
    """What people would have given on average, estimated from a judge on all items and people on a random part.

    `judged` and `labelled` are scores by item, on one scale. The judge's mean over the items without a label is
    corrected by how far people lie from the judge where both spoke, so it is unbiased however biased the judge is: a
    good judge narrows the interval, a bad one cannot move the number. Prediction-powered inference, Angelopoulos et
    al. 2023, algorithm 1. Raises DataError for labels of items that were not judged, fewer than two labels or fewer
    than two items without, and for scores that are not finite.
    """
    unknown = [name for name in labelled if name not in judged]
    if unknown:
        raise DataError(f"{len(unknown)} labelled items were not judged, the first is {unknown[0]!r}")
    for name, value in [*judged.items(), *labelled.items()]:
        if not math.isfinite(value):
            raise DataError(f"the score of {name!r} is {value}, expected a number")
    rest = np.array([value for name, value in judged.items() if name not in labelled], dtype=np.float64)
    gaps = np.array([value - judged[name] for name, value in labelled.items()], dtype=np.float64)
    if min(len(rest), len(gaps)) < 2:
        raise DataError(f"needs two labelled and two unlabelled items, got {len(gaps)} and {len(rest)}")
    value = float(rest.mean() + gaps.mean())
    error = math.sqrt(rest.var() / len(rest) + gaps.var() / len(gaps))
    z = NormalDist().inv_cdf((1 + small_sample_level(min(len(rest), len(gaps)))) / 2)
    return Value("calibrated", value, len(judged), value - z * error, value + z * error, "prediction-powered")
