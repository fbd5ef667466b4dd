"""A linear readout in closed form: ridge regression whose penalty is chosen by folds of whole clusters."""

from __future__ import annotations

import numpy as np

PENALTIES = 10.0 ** np.arange(-4, 5)
"""In parts of the mean eigenvalue of the inputs' covariance."""
FOLDS = 5


def ridge_readout(
    x: np.ndarray, y: np.ndarray, cluster: np.ndarray, new: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each column of `y` for the rows of `new`, and for the training rows by readouts that were fitted
    without their fold: (m, targets) and (n, targets).

    x (n, d), y (n, targets), cluster (n,), new (m, d). Each target has the penalty with the least error over the folds;
    clusters are dealt into five folds, whole.
    """
    labels, number = np.unique(cluster, return_inverse=True)
    fold_of = np.random.default_rng(seed).permutation(len(labels)) % min(FOLDS, len(labels))
    fold = fold_of[number]
    held_out = np.zeros((len(PENALTIES), *y.shape))
    for part in range(int(fold.max()) + 1):
        there = fold != part
        if there.any():
            held_out[:, ~there] = _predictions(x[there], y[there], x[~there])
    errors = np.square(held_out - y).sum(axis=1)
    best = errors.argmin(axis=0)
    targets = np.arange(y.shape[1])
    return _predictions(x, y, new)[best, :, targets].T, held_out[best, :, targets].T


def _predictions(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """By every penalty: (penalties, m, targets)."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean_x
    energies, axes = np.linalg.eigh(centred.T @ centred)
    energies = np.maximum(energies, 0)
    wanted = axes.T @ (centred.T @ (y - mean_y))
    turned = (new - mean_x) @ axes
    # Features that don't vary at all leave the mean of the targets.
    penalties = PENALTIES * max(energies.mean(), 1e-30)
    return np.stack([turned @ (wanted / (energies + penalty)[:, None]) + mean_y for penalty in penalties])


def balanced_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of the scores, (n,), with the best balanced accuracy for `truth`, (n,) of 0 and 1: half-way
    between two scores. Scores above it say yes."""
    order = np.argsort(scores, kind="stable")
    ranked, positive = scores[order], truth[order] == 1
    # Cutting above the first i scores: i of them say no.
    right_no = np.concatenate([[0], np.cumsum(~positive)]) / max(int((~positive).sum()), 1)
    right_yes = 1 - np.concatenate([[0], np.cumsum(positive)]) / max(int(positive.sum()), 1)
    gain = right_no + right_yes
    gain[1:-1][ranked[1:] == ranked[:-1]] = -1  # equal scores can't be told apart
    cut = int(gain.argmax())
    edges = np.concatenate([[ranked[0] - 1], (ranked[1:] + ranked[:-1]) / 2, [ranked[-1] + 1]])
    return float(edges[cut])


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the positives of the precision at their rank, (n,) each; items with equal scores share the last of
    their ranks. NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], truth[order] == 1
    last = np.append(ranked[1:] != ranked[:-1], True)
    hits, taken = np.cumsum(positive)[last], np.flatnonzero(last) + 1
    new_hits = np.diff(hits, prepend=0)
    return float((new_hits * hits / taken).sum() / hits[-1]) if hits[-1] else float("nan")
