"""Readout: which facts of a picture a probe of one family and one capacity can read at each site.

The probe is linear, fitted in closed form on vectors that have the same number of principal directions at every site;
its penalty is chosen inside the training pictures. A score is read beside shuffled labels (null), labels that mean
nothing but follow a picture's looks (control; what is above it is selectivity, Hewitt and Liang 2019), and the facts
themselves in place of features (ceiling: what this recipe makes of so many pictures at best).

A loss from one site to the next that shrinks when `width` grows is of facts that are spread over more directions, not
of facts that are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from chiasm.models.features import Features
from chiasm.probe.clusters import BOOTSTRAP, JACKKNIFE, bootstrap_interval, jackknife_of_subsets, jackknife_subsets
from chiasm.probe.facts import Fact
from chiasm.probe.readings import (
    CONTROL,
    DRAWS,
    OWN,
    SHUFFLED,
    Examination,
    Reading,
    balanced_accuracy_or_r2,
    finite_mean,
)
from chiasm.probe.result import Measurement, Setting, Yardstick

NULL = f"{DRAWS} shuffles of the training labels"
CEILING = "the facts themselves, turned at random, in place of features"
ALIKE = "every test picture scores alike: no interval"
Score = Callable[[np.ndarray], np.ndarray]


def pooled(features: Features) -> np.ndarray:
    """Mean and maximum over each picture's tokens, one after the other: (n, 2 width)."""
    rows = [torch.cat([tokens.mean(dim=0), tokens.amax(dim=0)]) for tokens in features.split()]
    return torch.stack(rows).numpy()


def appearance_types(thumbnails: np.ndarray, bits: int = 6) -> np.ndarray:
    """Pictures that look alike from afar have one number below ``2 ** bits``: (n,), from thumbnails (n, values). A
    number is the side of the median that a picture is on along each of the `bits` strongest principal directions."""
    centred = thumbnails - thumbnails.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    along = centred @ axes[:bits].T
    return (along > np.median(along, axis=0)) @ (1 << np.arange(along.shape[1]))


def readout(
    vectors: Mapping[str, np.ndarray],
    facts: Sequence[Fact],
    types: np.ndarray,
    *,
    untrained: Mapping[str, np.ndarray] | None = None,
    clusters: Sequence[Hashable] | None = None,
    width: int = 256,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Measurement, ...]:
    """For every site and group of facts, over the test pictures:

    GROUP.balanced_accuracy   mean over facts of the mean of sensitivity and specificity; chance is 0.5
    count.r2                  for numbers: variance about the training mean that is read
    GROUP.average_precision   mean over facts
    GROUP.selectivity         balanced accuracy (R2) less that with control labels
    GROUP.lost                balanced accuracy (R2) at a site less that at the next; two sites

    and the first three of every single fact, whose name follows the metric's.

    vectors    site -> (n, d), one vector a picture (`pooled`), sites in the order that a picture passes them
    types      (n,) labels of pictures that look alike: control labels are random, but one for all pictures of a type
    untrained  site -> vectors there behind a connector with random weights: what it loses is the control of `lost`
    width      principal directions that a probe is given at each site, fewer where the narrowest site has fewer
    advance    called once for each site

    Facts with fewer than five pictures of either kind in training or test are left out and flagged. Raises DataError
    for vectors that are not finite, different numbers of pictures, and where no fact is left.
    """
    untrained = untrained or {}
    exam = Examination.of({**vectors, **{f"{site}, untrained": v for site, v in untrained.items()}}, facts, types,
                          clusters, width, seed)  # fmt: skip
    report = _Report(exam)
    ceiling = exam.readings(exam.facts_as_vectors())
    random = {site: exam.readings(of_site) for site, of_site in untrained.items()}
    readings = {}
    for site, of_site in vectors.items():
        readings[site] = exam.readings(of_site)
        advance()
    found: list[Measurement] = []
    for group in dict.fromkeys(fact.group for fact in exam.facts):
        members = [index for index, fact in enumerate(exam.facts) if fact.group == group]
        of_group = {site: [probes[i] for i in members] for site, probes in readings.items()}
        best = [ceiling[i] for i in members]
        for site, chosen in of_group.items():
            found += report.scores(site, chosen, best)
            found.append(report.selectivity(site, chosen))
        for first, second in pairwise(of_group):
            control = [random[second][i] for i in members] if second in random else None
            found.append(report.lost((first, second), of_group[first], of_group[second], control))
    for index, fact in enumerate(exam.facts):
        for site, probes in readings.items():
            found += report.scores(site, [probes[index]], [ceiling[index]], fact.name)
    return tuple(found)


@dataclass(frozen=True)
class _Report:
    """From readings of one group's facts to measurements."""

    exam: Examination

    def scores(
        self, site: str, readings: Sequence[Reading], best: Sequence[Reading], fact: str = ""
    ) -> list[Measurement]:
        """Balanced accuracy and average precision, or R2; of the whole group unless `fact` is its only one."""
        group, is_number = readings[0].fact.group, readings[0].fact.is_number
        tail = f" {fact}" if fact else ""
        sums = _stacked(readings)
        drawn = balanced_accuracy_or_r2(sums.sum(axis=0))
        metric = self._measurement(
            f"{group}.{'r2' if is_number else 'balanced_accuracy'}{tail}",
            (site,),
            sums[..., OWN],
            lambda own: balanced_accuracy_or_r2(own)[..., 0],
            self._flags(group, fact),
            null=_of_draws(drawn[SHUFFLED], NULL),
            ceiling=Yardstick(float(balanced_accuracy_or_r2(_stacked(best).sum(axis=0))[0]), method=CEILING),
            control=_of_draws(drawn[CONTROL], f"{DRAWS} sets of control labels"),
            fact=fact,
        )
        return [metric] if is_number else [metric, self._precision(tail, site, readings, best, fact)]

    def selectivity(self, site: str, readings: Sequence[Reading]) -> Measurement:
        def above_control(sums: np.ndarray) -> np.ndarray:
            scores = balanced_accuracy_or_r2(sums)
            return scores[..., 0] - finite_mean(scores[..., 1:], axis=-1)

        sums = _stacked(readings)
        own_and_control = np.concatenate([sums[..., OWN], sums[..., CONTROL]], axis=-1)
        return self._measurement(f"{readings[0].fact.group}.selectivity", (site,), own_and_control, above_control)

    def lost(
        self,
        sites: tuple[str, str],
        first: Sequence[Reading],
        second: Sequence[Reading],
        untrained: Sequence[Reading] | None,
    ) -> Measurement:
        """From one site to the next, on the same test pictures."""

        def difference(sums: np.ndarray) -> np.ndarray:
            scores = balanced_accuracy_or_r2(sums)[..., 0]
            return scores[..., 0] - scores[..., 1]

        before, after = _stacked(first), _stacked(second)
        totals = [balanced_accuracy_or_r2(sums.sum(axis=0)) for sums in (before, after)]
        control = None
        if untrained is not None:
            remains = balanced_accuracy_or_r2(_stacked(untrained).sum(axis=0))[0]
            control = Yardstick(float(totals[0][0] - remains), method="a connector with random weights")
        return self._measurement(
            f"{first[0].fact.group}.lost",
            sites,
            np.stack([before[..., OWN], after[..., OWN]], axis=1),
            difference,
            null=_of_draws((totals[0] - totals[1])[SHUFFLED], NULL),
            control=control,
        )

    def _precision(
        self, tail: str, site: str, readings: Sequence[Reading], best: Sequence[Reading], fact: str
    ) -> Measurement:
        group = readings[0].fact.group
        cluster = self.exam.test_cluster
        subsets = jackknife_subsets(cluster)
        values = np.mean([reading.precisions(subsets) for reading in readings], axis=0)
        interval = jackknife_of_subsets(values)
        low, high = (None, None) if interval is None else (max(interval[0], 0.0), min(interval[1], 1.0))
        flags = self._flags(group, fact)
        if low is not None and low == high:
            low, high, flags = None, None, (*flags, ALIKE)
        return Measurement(
            f"{group}.average_precision{tail}",
            (site,),
            float(values[0]),
            low,
            high,
            null=Yardstick(float(np.mean([np.nanmean(r.truth) for r in readings])), method="share that have the fact"),
            ceiling=Yardstick(float(np.mean([reading.precisions(subsets[:1]) for reading in best])), method=CEILING),
            n=len(cluster),
            clusters=int(cluster.max()) + 1,
            method=f"mean over {len(readings)} facts; {JACKKNIFE}",
            settings=self._settings(len(readings), fact),
            flags=flags,
        )

    def _measurement(
        self,
        name: str,
        sites: tuple[str, ...],
        sums: np.ndarray,
        score: Score,
        flags: tuple[str, ...] = (),
        *,
        null: Yardstick | None = None,
        ceiling: Yardstick | None = None,
        control: Yardstick | None = None,
        fact: str = "",
    ) -> Measurement:
        """Of `sums` (clusters, ...) whose totals `score` takes from (rows, ...) to (rows,)."""
        value = float(score(sums.sum(axis=0, keepdims=True))[0])
        low, high = bootstrap_interval(
            sums.reshape(len(sums), -1),
            lambda drawn: score(drawn.reshape(-1, *sums.shape[1:])),
            seed=self.exam.seed,
        ) or (None, None)
        if low is None:
            flags = (*flags, f"{len(sums)} independent test pictures: no interval")
        elif low == high:
            low, high, flags = None, None, (*flags, ALIKE)
        facts = sums.shape[-3]
        return Measurement(
            name,
            sites,
            value,
            low,
            high,
            null,
            ceiling,
            control,
            n=len(self.exam.test),
            clusters=len(sums),
            method=f"mean over {facts} facts; {BOOTSTRAP}",
            settings=self._settings(facts, fact),
            flags=flags,
        )

    def _flags(self, group: str, fact: str) -> tuple[str, ...]:
        rare, unknown = self.exam.rare[group], self.exam.unknown
        flags = [f"{unknown} pictures without annotations are left out"] if unknown else []
        if rare and not fact:
            flags.append(f"{group}: {rare} facts are too rare or too common here and are left out")
        return tuple(flags)

    def _settings(self, facts: int, fact: str) -> dict[str, Setting]:
        exam = self.exam
        return {"fact": fact, "facts": facts, "train": len(exam.train), "width": exam.width, "seed": exam.seed}


def _stacked(readings: Sequence[Reading]) -> np.ndarray:
    """(clusters, facts, counts, columns)."""
    return np.stack([reading.sums for reading in readings], axis=1)


def _of_draws(values: np.ndarray, method: str) -> Yardstick | None:
    values = values[np.isfinite(values)]
    return Yardstick.of_draws(values, method) if len(values) else None
