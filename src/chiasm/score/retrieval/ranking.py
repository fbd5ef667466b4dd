"""Ranked retrieval: precision, recall, hit, F1, MAP, MRR, NDCG and AUC-PR, with trec_eval's conventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from chiasm.data.records import paired
from chiasm.errors import ConfigError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.retrieval.cross_modal import expected_by_chance
from chiasm.score.retrieval.measures import (
    area_under_precision_recall,
    average_precision,
    f1_at,
    hit_at,
    ndcg_at,
    precision_at,
    recall_at,
    reciprocal_rank,
)
from chiasm.score.retrieval.trec_files import read_judgements, read_run

CUTOFFS = (1, 5, 10)


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Documents from the highest score to the lowest; of equal scores the later name in code-point order comes first,
    which is trec_eval's order, so that ties never depend on the order of a file."""
    return sorted(sorted(scores, reverse=True), key=lambda document: -scores[document])


def query_measures(gains: np.ndarray, ideal: np.ndarray, relevant: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """Every measure of one query; the arguments are as in `chiasm.score.retrieval.measures`."""
    measures = {
        "map": average_precision(gains, relevant),
        "mrr": reciprocal_rank(gains),
        "auc_pr": area_under_precision_recall(gains, relevant),
        "ndcg": ndcg_at(gains, ideal),
        "ndcg_exponential": ndcg_at(gains, ideal, exponential=True),
    }
    for k in cutoffs:
        measures[f"precision@{k}"] = precision_at(gains, k)
        measures[f"recall@{k}"] = recall_at(gains, relevant, k)
        measures[f"hit@{k}"] = hit_at(gains, k)
        measures[f"f1@{k}"] = f1_at(gains, relevant, k)
        measures[f"ndcg@{k}"] = ndcg_at(gains, ideal, k)
        measures[f"ndcg_exponential@{k}"] = ndcg_at(gains, ideal, k, exponential=True)
    return measures


def score_run(
    judgements: Path | str,
    run: Path | str,
    cutoffs: Sequence[int] = CUTOFFS,
    missing: Literal["error", "wrong"] = "error",
) -> Score:
    """Means over queries of every measure, all in 0..1, from TREC or JSON files (`read_judgements`, `read_run`).

    A judgement above 0 is relevant. ``missing="wrong"`` counts a judged query without results as 0, like trec_eval's
    option -c. Intervals are by query. Raises DataError for malformed files and queries that do not fit, ConfigError for
    cutoffs below 1.
    """
    truth, found = read_judgements(judgements), read_run(run)
    paired(truth, found, judgements, run, missing)
    if not cutoffs or min(cutoffs) < 1:
        raise ConfigError(f"cutoffs must be 1 or more, got {list(cutoffs)}")
    items, chance = [], []
    for query, judged in truth.items():
        order = ranked(found.get(query, {}))
        gains = np.array([judged.get(document, 0.0) for document in order])
        ideal = np.array(list(judged.values()))
        relevant = int((ideal > 0).sum())
        chance.append(in_random_order(int((gains > 0).sum()), len(gains), relevant, cutoffs))
        shown = order[: max(cutoffs)]
        items.append(
            Item(
                id=query,
                image=query,
                prediction=shown,
                parsed=shown,
                truth={document: gain for document, gain in judged.items() if gain > 0},
                statistics={"queries": 1.0, **query_measures(gains, ideal, relevant, cutoffs)},
                rule="highest score first",
                problem=None if query in found else "no results in the file",
            )
        )
    notes = []
    if without := sum(item.problem is not None for item in items):
        notes.append(f"{without} of {len(items)} queries have no results and count as 0.")
    if all(item.statistics["map"] == 0 for item in items):
        notes.append("No query found anything relevant: are the document names of both files the same?")
    values = (*summarise(items, measures(items)), *_baselines(chance))
    return Score("ranking", "trec_eval", values, tuple(items), tuple(notes))


def in_random_order(found: int, listed: int, relevant: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """What the measures of one query are expected to be if its `listed` documents, of which `found` are among its
    `relevant` ones, came in a random order."""
    names = ["map", "mrr", *(f"{name}@{k}" for k in cutoffs for name in ("precision", "recall", "hit"))]
    if not found:
        return dict.fromkeys(names, 0.0)
    expected = expected_by_chance(found, listed, cutoffs)
    expected["map"] *= found / relevant
    for k in cutoffs:
        drawn = found * min(k, listed) / listed
        expected |= {f"precision@{k}": drawn / k, f"recall@{k}": drawn / relevant}
    return {name: expected[name] for name in names}


def _baselines(chance: Sequence[Mapping[str, float]]) -> Iterator[Value]:
    """The mean of each measure over what every query is expected to score in a random order."""
    for name in chance[0]:
        value = sum(query[name] for query in chance) / len(chance)
        yield Value(f"baseline.random_order.{name}", value, len(chance), method="baseline")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_run`."""
    names = (name for name in items[0].statistics if name != "queries")
    return {name: (share if name.startswith("hit@") else ratio)(name, "queries") for name in names}
