"""VizWiz: accuracy of answers, and telling the questions that the picture cannot answer (Gurari et al. 2018,
arXiv:1802.08218)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from chiasm.data.records import by_id, paired
from chiasm.errors import DataError
from chiasm.score.answer_files import ID_KEYS, Missing, answer_rows
from chiasm.score.bootstrap import small_sample_level, summarise
from chiasm.score.intervals import BOOTSTRAP, percentile_interval
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.vqa.accuracy import score_vqa
from chiasm.score.vqa.annotations import read_annotations
from chiasm.score.vqa.entries import each_question
from chiasm.score.vqa.image_names import by_question

UNANSWERABLE = ("unanswerable", "unsuitable", "unsuitable image")


def score_vizwiz(
    annotations: Path | str,
    results: Path | str,
    answerability: Path | str | None = None,
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> Score:
    """``accuracy`` by the challenge's rule (dialect "vizwiz"), overall and by answer type, and, of telling unanswerable
    questions: ``unanswerable.f1``, ``.precision``, ``.recall`` and ``.ap``, the average precision, all in [0, 1].

    `annotations` are VizWiz's own ``[{image, question, answers, answer_type, answerable}]`` or the same as a VQA file;
    without ``answerable``, a question of the type "unanswerable" is not. `results` are ``[{image, answer}]``. How
    answerable the model finds each question, in [0, 1], stands under ``answerable`` in `answerability`, or in
    `results`; without either, an answer that says "unanswerable" counts as 0 and any other as 1, and there is no
    average precision. Below .5 is a call of unanswerable. `blind` are the answers of the same model without the
    pictures, for what `beside_blind` says of the accuracy. Raises DataError for files that do not fit.
    """
    score = score_vqa(annotations, results, None, "vizwiz", missing, replicates, blind)
    truth = _unanswerable(annotations)
    given = by_question(_answerable(answerability or results, answerability is not None), read_annotations(annotations))
    if given:
        paired(list(truth), list(given), annotations, answerability or results, missing)
    said = {item.id: given.get(item.id, 1.0) if given else _of_text(item) for item in score.items}
    items = tuple(_with_call(item, truth[item.id], said[item.id] < 0.5) for item in score.items)
    telling = list(summarise(items, _TELLING, (), replicates))
    if given:
        labels = np.array([truth[item.id] for item in items])
        doubts = np.array([1 - said[item.id] for item in items])
        telling.append(_average_precision_value(labels, doubts, replicates))
    share = sum(truth.values()) / len(truth)
    always = Value("baseline.always.unanswerable.f1", 2 * share / (1 + share), len(truth), method="baseline")
    source = "the scores given" if given else "answers that say unanswerable, without scores for the average precision"
    note = f"Unanswerable are {sum(truth.values())} of {len(truth)} questions; the model's calls are by {source}."
    return Score("vizwiz", score.dialect, (*score.values, *telling, always), items, (*score.notes, note))


_TELLING = {
    "unanswerable.f1": Measure(lambda sums: 2 * sums["found"] / (sums["called"] + sums["true"]), "questions"),
    "unanswerable.precision": share("found", "called"),
    "unanswerable.recall": share("found", "true"),
}


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_vizwiz` that are functions of sums; the average precision is not."""
    return {"accuracy": share("score", "questions"), **_TELLING}


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sum over the distinct scores, from the highest, of precision times the rise in recall.

    `labels` bool (n,), `scores` (n,), `weights` (rows, n), each row a resample that counts item i as often; the result
    is (rows,), NaN where nothing is labelled. Equal scores are one threshold, so no order among them is invented.
    """
    weights = np.ones((1, len(labels))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    total = np.cumsum(weights[:, order], axis=1)[:, ends]
    right = np.cumsum(weights[:, order] * labels[order], axis=1)[:, ends]
    precision = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
    rise = np.diff(right, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):
        return (precision * rise).sum(axis=1) / right[:, -1]


def _average_precision_value(labels: np.ndarray, scores: np.ndarray, replicates: int) -> Value:
    """With the interval of resampled questions; in VizWiz each is of a picture of its own."""
    name, n = "unanswerable.ap", len(labels)
    value = float(average_precision(labels, scores)[0])
    if math.isnan(value):
        return Value(name, None, n, method="none: nothing is unanswerable")
    rng = np.random.default_rng(0)
    chunks = [
        average_precision(labels, scores, rng.multinomial(n, np.full(n, 1 / n), size=100).astype(np.float64))
        for _ in range(0, replicates, 100)
    ]
    found = percentile_interval(np.concatenate(chunks), small_sample_level(n)) if chunks and n > 1 else None
    low, high = found or (None, None)
    return Value(name, value, n, low, high, BOOTSTRAP if found else "none: too few images")


def _unanswerable(path: Path | str) -> dict[str, bool]:
    found = {}
    for name, row in each_question(path):
        if "answerable" in row:
            if row["answerable"] not in (0, 1):
                raise DataError(f"{path}: 'answerable' of {name!r} is {row['answerable']!r}, expected 0 or 1")
            found[name] = row["answerable"] == 0
        else:
            found[name] = "unanswerable" in (row.get("answer_type"), row.get("question_type"))
    return found


def _answerable(path: Path | str, required: bool) -> dict[str, float]:
    """The numbers under "answerable" by id; none if no row has one and they are not `required`."""
    rows = answer_rows(path)
    if not required and not any("answerable" in row for _, row in rows):
        return {}
    key = next((key for key in ID_KEYS if key in rows[0][1]), "image")
    found: dict[str, float] = {}
    for name, row in by_id(path, rows, key, "answer").items():
        given = row.get("answerable")
        try:
            value = math.nan if given is None or isinstance(given, bool) else float(given)  # a table's cells are text
        except (TypeError, ValueError):
            value = math.nan
        if not 0 <= value <= 1:
            raise DataError(f"{path}: 'answerable' of {name!r} is {given!r}, expected a number from 0 to 1")
        found[name] = value
    return found


def _of_text(item: Item) -> float:
    return 0.0 if item.parsed in UNANSWERABLE else 1.0


def _with_call(item: Item, true: bool, called: bool) -> Item:
    calls = {"called": float(called), "true": float(true), "found": float(called and true)}
    return replace(item, statistics={**item.statistics, **calls})
