"""CLIPScore, RefCLIPScore and BERTScore over given embeddings; no model is run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError

CLIPSCORE_WEIGHT = 2.5


def clipscore(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """CLIPScore of every caption, (items,), in [0, 2.5]: 2.5 times the cosine, negative ones as 0.

    `images` and `captions` are (items, width) embeddings of any length. The published numbers are for CLIP ViT-B/32
    with captions prefixed by "A photo depicts" (Hessel et al. 2021, arXiv:2104.08718). Raises DataError for shapes
    that do not fit, and for rows that are zero or not finite.
    """
    ours, theirs = _unit(images, "image"), _unit(captions, "caption")
    if ours.shape != theirs.shape:
        raise DataError(f"image embeddings are {ours.shape}, caption embeddings {theirs.shape}; expected the same")
    return CLIPSCORE_WEIGHT * np.maximum(0.0, np.einsum("iw,iw->i", ours, theirs))


def ref_clipscore(images: np.ndarray, captions: np.ndarray, references: Sequence[np.ndarray]) -> np.ndarray:
    """RefCLIPScore of every caption, (items,): harmonic mean of its CLIPScore and its best cosine to a reference.

    `references` has one (references, width) array an item. The cosine, negative as 0, is not weighted, as in the
    authors' code. Raises DataError as `clipscore` does.
    """
    scores, ours = clipscore(images, captions), _unit(captions, "caption")
    if len(references) != len(ours):
        raise DataError(f"references for {len(references)} items, but {len(ours)} captions")
    best = np.array([max(0.0, float((_unit(rows, "reference") @ ours[i]).max())) for i, rows in enumerate(references)])
    return np.divide(2 * scores * best, scores + best, out=np.zeros_like(scores), where=scores + best > 0)


@dataclass(frozen=True, slots=True)
class BertScore:
    """Precision, recall and F1 of one caption against one reference, in [-1, 1]; not rescaled by a baseline."""

    precision: float
    recall: float
    f1: float


def bertscore(
    caption: np.ndarray,
    reference: np.ndarray,
    caption_weights: np.ndarray | None = None,
    reference_weights: np.ndarray | None = None,
) -> BertScore:
    """Greedy matching of token embeddings (Zhang et al. 2020, arXiv:1904.09675, equations of section 3).

    `caption` and `reference` are (tokens, width), without special tokens; weights, such as idf, are (tokens,) and
    default to equal ones. Of several references the best of each number counts. Raises DataError as `clipscore` does.
    """
    cosines = _unit(caption, "caption token") @ _unit(reference, "reference token").T
    precision = _weighted(cosines.max(axis=1), caption_weights)
    recall = _weighted(cosines.max(axis=0), reference_weights)
    total = precision + recall
    return BertScore(precision, recall, 2 * precision * recall / total if total else 0.0)


def _weighted(values: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is None:
        return float(values.mean())
    if weights.shape != values.shape or not weights.sum() > 0:
        raise DataError(f"weights are {weights.shape} and sum to {weights.sum()}; expected {values.shape} above 0")
    return float((values * weights).sum() / weights.sum())


def _unit(rows: np.ndarray, what: str) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or not rows.size:
        raise DataError(f"{what} embeddings have shape {rows.shape}, expected (rows, width) with at least one row")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)))
    if len(bad):
        raise DataError(f"{what} embedding {bad[0]} is zero or not finite")
    return rows / norms
