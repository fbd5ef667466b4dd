"""How much a perturbation costs: the same items with and without it, as a paired test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.records import by_id, place, records
from chiasm.errors import DataError
from chiasm.score.answers import normalise
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio
from chiasm.score.paired_tests import holm
from chiasm.score.pairs import Gap, Pair
from chiasm.score.result import Item, Score, Value


@dataclass(frozen=True, slots=True)
class Robustness:
    """`score` holds drop, flip_rate, lost and gained of each perturbation, as slices ("perturbation", name). `gaps` are
    the paired tests behind the drops, `p_adjusted` their p-values after Holm over all perturbations."""

    score: Score
    gaps: Mapping[str, Gap]
    p_adjusted: Mapping[str, float]


MEAN_SCORE = ratio("score", "items", most=math.inf)
"""The measure of runs read by `read_run`."""


def read_run(path: Path | str) -> Score:
    """Per-item scores of a run: a JSON list or JSON lines of ``{"id", "score", "answer", "image"}``.

    `score` is a finite number; `answer`, the answer in words rather than a letter of a choice, may be missing or null
    (unparsed); `image` is what intervals are clustered by, the id where it is missing. Raises DataError with line.
    """
    items = []
    rows = list(records(path))
    numbers = {id(row): number for number, row in rows}
    for name, row in by_id(path, rows, "id", "item").items():
        value = row.get("score")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{place(path, numbers[id(row)])}: the score of {name!r} is {value!r}, expected a number")
        statistics = {"items": 1.0, "score": float(value)}
        items.append(Item(name, str(row.get("image", name)), row.get("answer"), row.get("answer"), None, statistics))
    return Score("run", "given scores", (), tuple(items))


def score_robustness(
    clean: Score,
    perturbed: Mapping[str, Score],
    measure: Measure = MEAN_SCORE,
    permutations: int = 10_000,
    replicates: int = 2000,
    seed: int = 0,
) -> Robustness:
    """Compare a run with runs of the same items under named perturbations ("paraphrase", "blur", ...).

    * drop: `measure` of the clean run minus that of the perturbed one, by exact McNemar where each picture has one
      item that is right or wrong, else by flipping the signs of whole pictures' differences;
    * flip_rate: share of items whose answer changed, in words; an answer that is unparsed in one run only has changed;
    * lost and gained: share of items that scored lower, and higher, than without the perturbation.

    The truth of an item must be the same in both, so give shuffled options by content, not by letter. Raises
    DataError for runs that don't belong together or without a defined metric, naming the perturbation.
    """
    if not perturbed:
        raise DataError("no perturbed run to compare with")
    gaps: dict[str, Gap] = {}
    flips: list[Item] = []
    notes: list[str] = []
    for name, run in perturbed.items():
        pair = Pair.of("the clean run", clean, name, run)
        notes += pair.notes
        gap = pair.gap(measure, np.arange(len(pair.items)), permutations, replicates, seed)
        if gap is None:
            raise DataError(f"the measure is undefined on the common items of the clean run and {name}")
        gaps[name] = gap
        flips += _flips(name, pair, run, measure)
    p_adjusted = dict(zip(gaps, holm([gap.p for gap in gaps.values()]), strict=True))
    drops = tuple(
        Value("drop", gap.difference, gap.items, gap.ci_low, gap.ci_high, gap.test, ("perturbation", name))
        for name, gap in gaps.items()
    )
    shares = {
        "flip_rate": ratio("flipped", "answered", "lower"),
        "lost": ratio("lost", "items", "lower"),
        "gained": ratio("gained", "items"),
    }
    found = summarise(flips, shares, ["perturbation"], replicates, seed)
    values = drops + tuple(value for value in found if value.slice is not None)
    return Robustness(Score("robustness", clean.dialect, values, tuple(flips), tuple(notes)), gaps, p_adjusted)


def _flips(name: str, pair: Pair, run: Score, measure: Measure) -> list[Item]:
    before = pair.first.evaluate(measure.of, pair.first.values)
    after = pair.second.evaluate(measure.of, pair.second.values)
    others = {item.id: item for item in run.items}
    items = []
    for item, clean_score, perturbed_score in zip(pair.items, before, after, strict=True):
        said, now = item.parsed, others[item.id].parsed
        statistics = {
            "items": 1.0,
            # Where neither run has an answer there is nothing that could flip.
            "answered": float(said is not None or now is not None),
            "flipped": float(_in_words(said) != _in_words(now)),
            "lost": float(perturbed_score < clean_score),
            "gained": float(perturbed_score > clean_score),
        }
        slices = {"perturbation": name}
        items.append(Item(f"{name}/{item.id}", item.image, now, now, said, statistics, slices=slices))
    return items


def _in_words(answer: Any) -> Any:
    return normalise(answer) if isinstance(answer, str) else answer
