"""FID, KID and Inception Score of feature files, with intervals."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np

from chiasm.data.json_text import reason
from chiasm.errors import DataError
from chiasm.score.bootstrap import small_sample_level
from chiasm.score.generation.features import (
    KID_SUBSET_SIZE,
    Moments,
    check_features,
    fid,
    fid_without,
    inception_scores,
    kid_blocks,
    kid_subsets,
)
from chiasm.score.jackknife import jackknife_interval
from chiasm.score.result import Score, Value


def score_features(
    real: Path | str | np.ndarray,
    generated: Path | str | np.ndarray,
    probabilities: Path | str | np.ndarray | None = None,
    seed: int = 0,
) -> Score:
    """FID and KID of generated pictures, and their Inception Score if `probabilities` are given.

    Each argument is an array or an .npy file: features (pictures, d), class probabilities (pictures, classes). The
    interval of FID is that of FID at these set sizes and costs 20 more evaluations. Raises DataError for files that
    hold something else.
    """
    real_rows, generated_rows = read_features(real), read_features(generated)
    values = [_fid(real_rows, generated_rows, seed)]
    if min(len(real_rows), len(generated_rows)) >= 20:
        values.append(_mean_of_parts("kid", kid_blocks(real_rows, generated_rows, seed=seed), len(generated_rows)))
    if min(len(real_rows), len(generated_rows)) >= KID_SUBSET_SIZE:
        subsets = kid_subsets(real_rows, generated_rows, seed=seed)
        spread = f"mean of {len(subsets)} random subsets of {KID_SUBSET_SIZE}, standard deviation {subsets.std():.3g}"
        values.append(Value("kid_subsets", float(subsets.mean()), len(generated_rows), method=spread))
    if probabilities is not None:
        rows = read_features(probabilities)
        values.append(_mean_of_parts("inception_score", inception_scores(rows, seed=seed), len(rows)))
    return Score("features", "given features", tuple(values), (), tuple(_notes(real_rows, generated_rows)))


def read_features(source: Path | str | np.ndarray) -> np.ndarray:
    """A float array (pictures, d) from an array or an .npy file, which is never unpickled. Raises DataError."""
    if isinstance(source, np.ndarray):
        return check_features(source, "features")
    try:
        loaded = np.load(source, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{source}: {reason(error)}") from None
    except (ValueError, EOFError):
        raise DataError(f"{source}: not an .npy file of plain numbers; save features with numpy.save") from None
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{source} holds several arrays ({', '.join(loaded)}); save the features alone as .npy")
    return check_features(loaded, str(source))


def _fid(real: np.ndarray, generated: np.ndarray, seed: int) -> Value:
    value, n = fid(real, generated), len(generated)
    moments = Moments.of(real), Moments.of(generated)
    rng = np.random.default_rng(seed)
    # The k-th part of the units stands for the k-th part of either set, in a random order of each.
    units = min(len(real), n)
    orders = [rng.permutation(len(rows)) * units // len(rows) for rows in (real, generated)]

    def without(part: np.ndarray) -> float:
        left_out = (rows[np.isin(order, part)] for rows, order in zip((real, generated), orders, strict=True))
        return fid_without(*moments, *left_out)

    found = jackknife_interval(value, without, units, seed=seed)
    if found is None:
        return Value("fid", value, n, method="none: too few pictures")
    return Value("fid", value, n, max(0.0, found[0]), found[1], "delete-a-group jackknife")


def _mean_of_parts(metric: str, parts: np.ndarray, n: int) -> Value:
    """The mean of numbers computed on disjoint parts of the data, with Student's t."""
    center, z = float(parts.mean()), NormalDist().inv_cdf((1 + small_sample_level(len(parts))) / 2)
    half = float(z * parts.std() / len(parts) ** 0.5)
    return Value(metric, center, n, center - half, center + half, f"Student's t over {len(parts)} disjoint parts")


def _notes(real: np.ndarray, generated: np.ndarray) -> list[str]:
    notes = ["Compare FID only at equal set sizes, with the same network, weights and resizing: each moves the number."]
    n, d = min(len(real), len(generated)), real.shape[1]
    if n <= d:
        notes.append(f"{n} pictures for {d} features: singular covariances put FID far above its limit; use KID.")
    return notes
