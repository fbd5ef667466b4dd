"""Measures of one ranked list.

`gains` are the judgements of the retrieved documents in rank order, 0 where a document is not judged; a document is
relevant if its gain is above 0. `relevant` is the number of relevant documents there are, retrieved or not. The
conventions are those of trec_eval: a cutoff beyond the end of the list still divides by k, and a measure of a query
without relevant documents is 0.
"""

from __future__ import annotations

import numpy as np


def precision_at(gains: np.ndarray, k: int) -> float:
    """Relevant documents among the first k, divided by k."""
    return float((gains[:k] > 0).sum()) / k


def recall_at(gains: np.ndarray, relevant: int, k: int) -> float:
    """Relevant documents among the first k, divided by all relevant ones. Not `hit_at`, which CLIP papers call R@K."""
    return float((gains[:k] > 0).sum()) / relevant if relevant else 0.0


def hit_at(gains: np.ndarray, k: int) -> float:
    """1 if any of the first k documents is relevant, else 0; trec_eval's success."""
    return float((gains[:k] > 0).any())


def f1_at(gains: np.ndarray, relevant: int, k: int) -> float:
    """Harmonic mean of precision and recall at k, 0 where both are."""
    found = float((gains[:k] > 0).sum())
    return 2 * found / (k + relevant)


def reciprocal_rank(gains: np.ndarray) -> float:
    """1 / rank of the first relevant document, 0 without one."""
    hits = np.flatnonzero(gains > 0)
    return 1.0 / (float(hits[0]) + 1) if hits.size else 0.0


def average_precision(gains: np.ndarray, relevant: int) -> float:
    """Mean over all relevant documents of the precision at their rank, 0 for those not retrieved."""
    ranks = np.flatnonzero(gains > 0) + 1
    return float((np.arange(1, ranks.size + 1) / ranks).sum()) / relevant if relevant else 0.0


def area_under_precision_recall(gains: np.ndarray, relevant: int) -> float:
    """Trapezoids under the points (recall, precision) after every rank, from (0, 1) on; nothing beyond the last rank.

    Straight lines between points flatter the ranking (Davis and Goadrich 2006); `average_precision` is the same area
    in steps.
    """
    if not relevant or not gains.size:
        return 0.0
    found = np.cumsum(gains > 0)
    precision = np.concatenate([[1.0], found / np.arange(1, gains.size + 1)])
    recall = np.concatenate([[0.0], found / relevant])
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def ndcg_at(gains: np.ndarray, ideal: np.ndarray, k: int | None = None, exponential: bool = False) -> float:
    """Discounted cumulative gain over that of the best order, discount log2(rank + 1) (Järvelin and Kekäläinen 2002).

    `ideal` are the gains of all judged documents in any order. The gain of a document is its judgement, or 2 **
    judgement - 1 if `exponential` (Burges et al. 2005); judgements below 0 count as 0. `k` None takes the whole list.
    """
    best = _discounted(np.sort(ideal)[::-1][:k], exponential)
    return _discounted(gains[:k], exponential) / best if best > 0 else 0.0


def _discounted(gains: np.ndarray, exponential: bool) -> float:
    positive = np.maximum(gains, 0.0)
    value = np.exp2(positive) - 1 if exponential else positive
    return float((value / np.log2(np.arange(2, value.size + 2))).sum())
