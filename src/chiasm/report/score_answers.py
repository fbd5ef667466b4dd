"""How a model answers, right or wrong: how often it says yes, and how far its confidence can be trusted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.report.score_runs import Run, number
from chiasm.score.intervals import wilson_interval
from chiasm.score.result import Item

BINS = 10


@dataclass(frozen=True, slots=True)
class YesRatio:
    """Shares in per cent of the questions of a part ("" for all): answered yes, and yes in truth."""

    part: str
    said: float
    true: float
    n: int


def yes_ratios(run: Run) -> list[YesRatio]:
    """For all questions and for each part; empty unless the task counts yes answers."""
    parts: dict[str, list[Item]] = {"": list(run.score.items)}
    for key in run.slice_keys:
        for item in run.score.items:
            if key in item.slices:
                parts.setdefault(f"{key}: {item.slices[key]}", []).append(item)
    ratios = []
    for part, items in parts.items():
        said, true, asked = (
            sum(item.statistics.get(name, 0.0) for item in items) for name in ("yes_said", "yes_true", "questions")
        )
        if asked and any("yes_said" in item.statistics for item in items):
            ratios.append(YesRatio(part, 100 * said / asked, 100 * true / asked, round(asked)))
    return ratios


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of like confidence: `confidence` is their mean and `right` their share that is right, with its interval,
    all in [0, 1]."""

    n: int
    confidence: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error` is the expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3) over `bins`."""

    bins: list[Bin]
    error: float
    n: int


def calibration(run: Run) -> Calibration | None:
    """Confidence against being right, in ten bins of equal width; None where items have no confidence."""
    faulty = {fault.item for fault in run.faults}
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for item in run.score.items:
        confidence = confidence_of(item)
        if confidence is not None and item.slices.get("reason") != "ignored":
            bins[min(BINS - 1, int(confidence * BINS))].append((confidence, item.id not in faulty))
    if not bins:
        return None
    found = []
    for _, answers in sorted(bins.items()):
        n, right = len(answers), sum(right for _, right in answers) / len(answers)
        found.append(Bin(n, sum(sure for sure, _ in answers) / n, right, *wilson_interval(right, n)))
    total = sum(one.n for one in found)
    error = sum(one.n * abs(one.right - one.confidence) for one in found) / total
    return Calibration(found, error, total)


def confidence_of(item: Item) -> float | None:
    """The statistic "confidence", else exp of the statistic "logprob", else the score of a detection; in [0, 1]."""
    if "confidence" in item.statistics:
        confidence: float = item.statistics["confidence"]
    elif "logprob" in item.statistics:
        confidence = math.exp(min(0.0, item.statistics["logprob"]))
    elif isinstance(item.prediction, Mapping) and isinstance(item.prediction.get("score"), int | float):
        confidence = item.prediction["score"]
    else:
        return None
    return confidence if 0 <= confidence <= 1 else None


def calibration_sentence(found: Calibration) -> str:
    gap = sum(one.n * (one.confidence - one.right) for one in found.bins) / found.n
    tendency = "too sure" if gap > 0 else "not sure enough"
    error = f"calibration error {number(found.error)}"
    return f"On {found.n:,} answers it is {tendency} by {number(abs(gap))} on average; {error}."
