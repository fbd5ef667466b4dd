"""The stage that lost an answer: shares of the wrong answers with their intervals, and a verdict an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.errors import DataError
from chiasm.examine.diagnosis.estimate import (
    BEHIND,
    FEWEST_RIGHT,
    NO_OBJECT,
    STAGES,
    UNTOLD,
    Estimate,
    Readings,
    share_of,
    statistics,
)
from chiasm.score.bootstrap import small_sample_level
from chiasm.score.intervals import percentile_interval, resampled_sums, wilson_interval
from chiasm.score.location import SIZES

SURE = 0.8
"""Probability from which a single item gets a verdict."""


@dataclass(frozen=True, slots=True)
class Share:
    """Part of the wrong answers, in [0, 1], with its central 95 % over resampled pictures; where it is none or all of
    them in every resample, Wilson's interval over the pictures with a wrong answer."""

    value: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True)
class GroupDiagnosis:
    """Of the `wrong` answers to questions of one group (`name` None: all), the share lost at each stage, and `reason`
    where that can't be told. `present` is the share that is still there at each site."""

    name: str | None
    asked: int
    wrong: int
    accuracy: float
    blind_accuracy: float
    shares: Mapping[str, Share]
    present: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`kinds` has each kind of question and then all together, `sizes` each size of the object asked about, where
    known; `verdict` (n,) names a stage for each wrong answer, `UNTOLD` where none reaches a probability of `SURE` and
    "" for right ones; `probability` is (n, stages)."""

    kinds: tuple[GroupDiagnosis, ...]
    sizes: tuple[GroupDiagnosis, ...]
    verdict: np.ndarray
    probability: np.ndarray


def diagnose_readings(readings: Readings, replicates: int = 1000, seed: int = 0) -> Diagnosis:
    """Shares of the stages for each kind of question, for each size of object and over all, and a verdict for each
    wrong answer.

    Kinds are estimated apart and averaged by their number of wrong answers, in a size those of that size; a kind whose
    readouts can't tell counts as `UNTOLD`. Raises DataError for columns of different lengths and values outside [0, 1].
    """
    _check(readings)
    kinds = _Strata.of(readings, readings.kind.tolist(), replicates, seed)
    groups = [kinds.group(name, [index]) for index, name in enumerate(kinds.names)]
    everything = kinds.group(None, range(len(kinds.names)))
    sizes: list[GroupDiagnosis] = []
    if readings.size is not None:
        cells = _Strata.of(readings, list(zip(readings.kind, readings.size, strict=True)), replicates, seed)
        for size in (*SIZES, NO_OBJECT):
            if chosen := [index for index, (_, of) in enumerate(cells.names) if of == size]:
                sizes.append(cells.group(size, chosen))
    probability = _probabilities(readings, kinds)
    verdict = np.full(len(readings.kind), "", dtype=object)
    wrong = readings.right == 0
    best = probability.argmax(axis=1)
    sure = (probability.max(axis=1) >= SURE) & kinds.found.told[0][kinds.place]
    verdict[wrong] = np.where(sure, np.array(STAGES, dtype=object)[best], UNTOLD)[wrong]
    return Diagnosis((*groups, everything), tuple(sizes), verdict, probability)


@dataclass(frozen=True, slots=True)
class _Strata:
    """Questions in strata that are estimated apart: `place` (n,) is each one's stratum, `totals` are the statistics
    (strata, names), `found` the estimate (one replicate) and `spread` that over resampled pictures; `failed`
    (pictures, strata) says which pictures have wrong answers."""

    names: list[Any]
    place: np.ndarray
    totals: list[dict[str, float]]
    found: Estimate
    spread: Estimate
    failed: np.ndarray

    @staticmethod
    def of(readings: Readings, labels: Sequence[Any], replicates: int, seed: int) -> _Strata:
        names = sorted(set(labels))
        number = {name: index for index, name in enumerate(names)}
        place = np.array([number[label] for label in labels])
        images, image = np.unique(readings.image, return_inverse=True)
        columns = statistics(readings)
        cells = np.zeros((len(images), len(names), len(columns)))
        np.add.at(cells, (image, place), np.stack(list(columns.values()), axis=1))
        point = cells.sum(axis=0)[None]
        drawn = resampled_sums(cells.reshape(len(images), -1), replicates, seed).reshape(replicates, *point.shape[1:])
        found, spread = (Estimate.of(sums, tuple(columns), readings) for sums in (point, drawn))
        totals = [dict(zip(columns, row, strict=True)) for row in point[0].tolist()]
        return _Strata(names, place, totals, found, spread, cells[:, :, list(columns).index("wrong")] > 0)

    def group(self, name: str | None, chosen: Sequence[int]) -> GroupDiagnosis:
        chosen = list(chosen)
        total = {key: sum(self.totals[k][key] for k in chosen) for key in self.totals[0]}
        values, spread = self.found.shares(chosen), self.spread.shares(chosen)
        failed = int(self.failed[:, chosen].any(axis=1).sum())
        shares = {}
        for stage, (value,) in values.items():
            interval = None
            if failed > 1 and np.isfinite(value):  # one picture drawn again and again does not vary
                interval = percentile_interval(spread[stage], small_sample_level(failed))
                if stage in STAGES and interval == (value, value):
                    interval = wilson_interval(float(value), failed)
            low, high = interval or (None, None)
            shares[stage] = Share(float(value) if np.isfinite(value) else 0.0, low, high)
        present = dict(zip(self.found.present, self.found.present_in(chosen)[0].tolist(), strict=True))
        return GroupDiagnosis(
            name,
            round(total["items"]),
            round(total["wrong"]),
            total["right"] / total["items"],
            total["blind"] / total["items"],
            shares,
            present if np.isfinite(list(present.values())).all() else {},
            self._reason(total, chosen),
        )

    def _reason(self, total: Mapping[str, float], chosen: Sequence[int]) -> str:
        if total["wrong"] == 0:
            return "no wrong answer"
        if self.found.told[0, chosen].any():
            return ""
        if all(np.isfinite(known[0, chosen]).any() for known in self.found.known.values()):
            return "the readouts read little more from these features than from another picture's"
        if all(self.totals[k]["right"] < FEWEST_RIGHT for k in chosen):
            return (
                f"fewer than {FEWEST_RIGHT} right answers can't show what the readouts can read: give more pictures, "
                "or a reference"
            )
        return (
            "the model is hardly better than without the picture, so its right answers prove nothing: give a reference"
        )


def _probabilities(readings: Readings, kinds: _Strata) -> np.ndarray:
    """(n, stages): how likely each stage is to have lost the item's answer, given the hits at both sites.

    Bayes' rule with the kind's shares as prior. A share h of hits among the readouts counts as h hits and 1 - h misses
    of one readout, so that an ensemble that disagrees says little.
    """
    found, place = kinds.found, kinds.place
    first, second = readings.sites[0], BEHIND
    likelihood = {}
    for site in (first, second):
        known = np.clip(np.nan_to_num(found.known[site][0][place], nan=0.5), 0.02, 0.98)
        absent = np.clip(np.nan_to_num(found.absent[site][0][place], nan=0.5), 0.02, 0.98)
        hit = readings.hit[site]
        likelihood[site] = (known**hit * (1 - known) ** (1 - hit), absent**hit * (1 - absent) ** (1 - hit))
    there, gone = 0, 1
    by_kind = [found.shares([k]) for k in range(len(kinds.names))]
    prior = np.array([[float(np.nan_to_num(shares[stage][0])) for stage in STAGES] for shares in by_kind])
    evidence = np.stack(
        [
            likelihood[first][gone] * likelihood[second][gone],
            likelihood[first][there] * likelihood[second][gone],
            likelihood[first][there] * likelihood[second][there],
        ],
        axis=1,
    )
    joint = prior[place] * evidence
    return share_of(joint, joint.sum(axis=1, keepdims=True), nothing=1 / len(STAGES))


def _check(readings: Readings) -> None:
    n = len(readings.kind)
    columns = {"image": readings.image, "right": readings.right, "blind": readings.blind}
    columns |= {f"hit at {site}": readings.hit[site] for site in readings.sites}
    columns |= {f"absent at {site}": readings.absent[site] for site in readings.sites}
    for name, values in columns.items():
        if len(values) != n:
            raise DataError(f"{name} has {len(values)} values for {n} questions")
        if name != "image" and not ((np.asarray(values) >= 0) & (np.asarray(values) <= 1)).all():
            raise DataError(f"{name} has values outside [0, 1]")
    if n == 0:
        raise DataError("there is no question to diagnose")
    if BEHIND not in readings.sites[1:]:
        raise DataError("a diagnosis needs a site behind the encoder and, after it, the connector")
