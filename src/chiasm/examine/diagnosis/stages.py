"""From readouts at each site to the stage that lost the answer: shares with intervals, and a verdict an item.

A readout is a small network that answers the questions from the features at a site. That it fails on a question does
not mean that the answer is not there, and that it succeeds may be luck, so its rate of hits is read between two
yardsticks taken from the same readout: the rate with another picture's features (nothing of the answer is there) and
the rate where the answer is known to be there. With R the rate of hits on the wrongly answered items,

    present = (R - absent) / (known - absent)

is the share of them whose answer is still there at that site. What is present at one site and not at the next was lost
between them. "Known to be there" are items that the model answered right, less its lucky guesses, and, with a reference
encoder, the items themselves as far as the reference reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import small_sample_level
from chiasm.score.intervals import percentile_interval, resampled_sums

STAGES = ("encoder", "connector", "language model")
UNTOLD = "can't tell"
BEHIND = "connector"
"""The site between connector and language model."""
MOST_LUCK = 0.5
"""Up to this share of lucky guesses among the right answers, the right answers say what a readout can read."""
LEAST_ROOM = 0.1
"""A readout whose two yardsticks are nearer than this measures nothing."""
SURE = 0.8
"""Probability from which a single item gets a verdict."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What is known of each of n questions, in one order.

    image, kind   (n,) picture and kind of question
    right, blind  (n,) whether the model answered right, and how often it does when shown other pictures
    hit           site -> (n,) share of the readouts there that give the right answer
    absent        site -> (n,) the same with the features of another picture
    sites         in order: first what leaves the encoder, then, where they were taken, the connector's input after its
                  norm; "connector"; and states of the decoder
    reference     (n, 2) hits of the readouts of a reference encoder, and with another picture; None without one
    """

    image: np.ndarray
    kind: np.ndarray
    right: np.ndarray
    blind: np.ndarray
    hit: Mapping[str, np.ndarray]
    absent: Mapping[str, np.ndarray]
    sites: tuple[str, ...]
    reference: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Part of the wrong answers, in [0, 1], with its central 95 % over resampled pictures."""

    value: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True)
class KindDiagnosis:
    """Of the `wrong` answers to questions of one kind (None: all kinds), the share lost at each stage, and `reason`
    where that can't be told. `present` is the share that is still there at each site."""

    kind: str | None
    asked: int
    wrong: int
    accuracy: float
    blind_accuracy: float
    shares: Mapping[str, Share]
    present: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`kinds` has each kind of question and then all together; `verdict` (n,) names a stage for each wrong answer,
    `UNTOLD` where none reaches a probability of `SURE` and "" for right ones; `probability` is (n, stages)."""

    kinds: tuple[KindDiagnosis, ...]
    verdict: np.ndarray
    probability: np.ndarray


def diagnose_readings(readings: Readings, replicates: int = 1000, seed: int = 0) -> Diagnosis:
    """Shares of the stages for each kind of question and over all, and a verdict for each wrong answer.

    Kinds are estimated apart and added up by their number of wrong answers; a kind whose readouts can't tell counts as
    `UNTOLD`. Raises DataError for columns of different lengths and values outside [0, 1].
    """
    _check(readings)
    kinds = sorted(set(readings.kind.tolist()))
    images, image = np.unique(readings.image, return_inverse=True)
    columns = _statistics(readings)
    names = tuple(columns)
    table = np.stack(list(columns.values()), axis=1)
    cells = np.zeros((len(images), len(kinds), len(names)))
    place = np.array([kinds.index(kind) for kind in readings.kind.tolist()])
    np.add.at(cells, (image, place), table)
    point = cells.sum(axis=0)[None]
    drawn = resampled_sums(cells.reshape(len(images), -1), replicates, seed).reshape(replicates, *point.shape[1:])
    found, spread = (_Estimate.of(sums, names, readings) for sums in (point, drawn))
    told = found.told[0]
    diagnosed = [
        _kind(kinds[k], point[0, k], names, found, spread, np.array([k]), readings, len(images))
        for k in range(len(kinds))
    ]
    everything = _kind(None, point[0].sum(axis=0), names, found, spread, np.arange(len(kinds)), readings, len(images))
    probability = _probabilities(readings, found, place)
    verdict = np.full(len(readings.kind), "", dtype=object)
    wrong = readings.right == 0
    best = probability.argmax(axis=1)
    sure = (probability.max(axis=1) >= SURE) & told[place]
    verdict[wrong] = np.where(sure, np.array(STAGES, dtype=object)[best], UNTOLD)[wrong]
    return Diagnosis((*diagnosed, everything), verdict, probability)


def _statistics(readings: Readings) -> dict[str, np.ndarray]:
    """Columns (n,) whose sums over items give every rate below."""
    right = readings.right.astype(np.float64)
    wrong = 1 - right
    found = {"items": np.ones_like(right), "right": right, "wrong": wrong, "blind": readings.blind.astype(np.float64)}
    for site in readings.sites:
        hit, absent = readings.hit[site], readings.absent[site]
        found |= {f"{site}.right": right * hit, f"{site}.wrong": wrong * hit}
        found |= {f"{site}.absent_right": right * absent, f"{site}.absent_wrong": wrong * absent}
    if readings.reference is not None:
        hit, absent = readings.reference.T
        found |= {"reference.right": right * hit, "reference.wrong": wrong * hit}
        found |= {"reference.absent_right": right * absent, "reference.absent_wrong": wrong * absent}
    return found


@dataclass(frozen=True, slots=True)
class _Estimate:
    """For each replicate and kind: `present` and `known` are site -> (R, K), `absent` likewise; `told` (R, K)."""

    present: Mapping[str, np.ndarray]
    known: Mapping[str, np.ndarray]
    absent: Mapping[str, np.ndarray]
    told: np.ndarray
    wrong: np.ndarray

    @staticmethod
    def of(sums: np.ndarray, names: Sequence[str], readings: Readings) -> _Estimate:
        """`sums` is (R, K, statistics)."""
        column = {name: sums[..., index] for index, name in enumerate(names)}
        luck = _luck(column)
        trusted = luck <= MOST_LUCK
        present, known, absent = {}, {}, {}
        told = column["wrong"] > 0
        earlier = np.ones_like(luck)
        for site in readings.sites:
            floor = _share(column[f"{site}.absent_wrong"], column["wrong"])
            hit = _share(column[f"{site}.wrong"], column["wrong"])
            ceiling = np.where(trusted, _sensitivity(column, site, luck), np.nan)
            if readings.reference is not None:
                ceiling = _with_reference(column, ceiling, luck)
            told &= np.isfinite(ceiling) & (ceiling - floor >= LEAST_ROOM)
            # The order of the sites is the order in which a picture passes them: nothing comes back.
            earlier = np.minimum(earlier, np.clip(_share(hit - floor, ceiling - floor), 0, 1))
            present[site], known[site], absent[site] = earlier, ceiling, floor
        return _Estimate(present, known, absent, told, column["wrong"])

    def shares(self, stage: str, sites: Sequence[str]) -> np.ndarray:
        """(R, K)."""
        if stage == "encoder":
            return 1 - self.present[sites[0]]
        if stage == "connector":
            return self.present[sites[0]] - self.present[BEHIND]
        return self.present[BEHIND]


def _luck(column: Mapping[str, np.ndarray]) -> np.ndarray:
    """Share of the right answers that the model would have given without the picture: (R, K).

    An item is known with probability k and otherwise guessed as well as the blind model does, so that the accuracy is
    k + (1 - k) blind, and the guesses among the right answers are 1 - k / accuracy.
    """
    accuracy = _share(column["right"], column["items"])
    blind = np.minimum(_share(column["blind"], column["items"]), 1 - 1e-9)
    knows = np.maximum(accuracy - blind, 0) / (1 - blind)
    return 1 - _share(knows, accuracy)


def _sensitivity(column: Mapping[str, np.ndarray], site: str, luck: np.ndarray) -> np.ndarray:
    """How often the readouts hit where the answer is there: the rate on right answers, less that of the lucky ones,
    which are like the wrong ones in what they hold."""
    right = _share(column[f"{site}.right"], column["right"])
    wrong = _share(column[f"{site}.wrong"], column["wrong"])
    return _share(right - luck * wrong, 1 - luck)


def _with_reference(column: Mapping[str, np.ndarray], ceiling: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """The ceiling on these very items, which may be harder than those that were answered right.

    Where right answers are no guide, it is what the readouts of the reference hit. Else the reference says how much
    harder the wrong items are.
    """
    on_wrong = _share(column["reference.wrong"], column["wrong"])
    floor = _share(column["reference.absent_wrong"], column["wrong"])
    on_right = _sensitivity(column, "reference", np.minimum(luck, MOST_LUCK))
    harder = np.clip(_share(on_wrong - floor, on_right - floor), 0, 1)
    return np.where(np.isfinite(ceiling), floor + harder * (ceiling - floor), on_wrong)


def _kind(
    kind: str | None,
    sums: np.ndarray,
    names: Sequence[str],
    found: _Estimate,
    spread: _Estimate,
    chosen: np.ndarray,
    readings: Readings,
    images: int,
) -> KindDiagnosis:
    total = dict(zip(names, sums.tolist(), strict=True))
    shares = {}
    for stage in (*STAGES, UNTOLD):
        value = _over_kinds(found, stage, chosen, readings.sites)[0]
        interval = None
        if images > 1 and np.isfinite(value):
            interval = percentile_interval(
                _over_kinds(spread, stage, chosen, readings.sites), small_sample_level(images)
            )
        low, high = interval or (None, None)
        shares[stage] = Share(float(value) if np.isfinite(value) else 0.0, low, high)
    weight = found.wrong[0, chosen] * found.told[0, chosen]
    present = {
        site: float((weight * np.nan_to_num(found.present[site][0, chosen])).sum() / weight.sum())
        for site in readings.sites
        if weight.sum() > 0
    }
    items = max(total["items"], 1.0)
    return KindDiagnosis(
        kind,
        round(total["items"]),
        round(total["wrong"]),
        total["right"] / items,
        total["blind"] / items,
        shares,
        present,
        _reason(total, found, chosen, readings),
    )


def _over_kinds(estimate: _Estimate, stage: str, chosen: np.ndarray, sites: Sequence[str]) -> np.ndarray:
    """(R,): the kinds' shares, each counting by its wrong answers."""
    wrong, told = estimate.wrong[:, chosen], estimate.told[:, chosen]
    if stage == UNTOLD:
        part = (wrong * ~told).sum(axis=1)
    else:
        part = np.where(told, wrong * np.nan_to_num(estimate.shares(stage, sites)[:, chosen]), 0).sum(axis=1)
    return _share(part, wrong.sum(axis=1))


def _reason(total: Mapping[str, float], found: _Estimate, chosen: np.ndarray, readings: Readings) -> str:
    if total["wrong"] == 0:
        return "no wrong answer"
    if found.told[0, chosen].any():
        return ""
    if not all(np.isfinite(found.known[site][0, chosen]).any() for site in readings.sites):
        return (
            "the model is hardly better than without the picture, so its right answers prove nothing: give a reference"
        )
    return "the readouts read little more from these features than from another picture's"


def _probabilities(readings: Readings, found: _Estimate, place: np.ndarray) -> np.ndarray:
    """(n, stages): how likely each stage is to have lost the item's answer, given the hits at both sites.

    Bayes' rule with the kind's shares as prior. A share h of hits among the readouts counts as h hits and 1 - h misses
    of one readout, so that an ensemble that disagrees says little.
    """
    first, second = readings.sites[0], BEHIND
    likelihood = {}
    for site in (first, second):
        known = np.clip(np.nan_to_num(found.known[site][0][place], nan=0.5), 0.02, 0.98)
        absent = np.clip(np.nan_to_num(found.absent[site][0][place], nan=0.5), 0.02, 0.98)
        hit = readings.hit[site]
        likelihood[site] = (known**hit * (1 - known) ** (1 - hit), absent**hit * (1 - absent) ** (1 - hit))
    there, gone = 0, 1
    prior = np.stack([np.nan_to_num(found.shares(stage, readings.sites)[0])[place] for stage in STAGES], axis=1)
    evidence = np.stack(
        [
            likelihood[first][gone] * likelihood[second][gone],
            likelihood[first][there] * likelihood[second][gone],
            likelihood[first][there] * likelihood[second][there],
        ],
        axis=1,
    )
    joint = prior * evidence
    return _share(joint, np.repeat(joint.sum(axis=1, keepdims=True), len(STAGES), axis=1), nothing=1 / len(STAGES))


def _share(part: np.ndarray, whole: np.ndarray, nothing: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), nothing), where=np.asarray(whole) != 0)


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
