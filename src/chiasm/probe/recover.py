"""Recoverability: how much of one site's features can be predicted from another's, E_pre from E_post above all.

What a reconstructor of some kind and size recovers is a lower bound of what is there. It is therefore read beside the
same recipe on other inputs: features of other pictures (null), the wanted features themselves (ceiling), and those of
a connector with random weights (control).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval
from chiasm.probe.reconstructors import Pairs, Predict, Reconstructor, Ridge
from chiasm.probe.result import Measurement, Setting, Yardstick
from chiasm.probe.split import Split, split_pictures
from chiasm.probe.standard import Standard, of_pictures

Connect = Callable[[Features], Features]
Progress = Callable[[str], None]
FEWEST = 5


@dataclass(frozen=True)
class Recovery:
    """`reconstructed` has each reconstructor's features of the test pictures in their own scale; `test` are their
    indices among all pictures."""

    measurements: tuple[Measurement, ...]
    reconstructed: dict[str, Features]
    test: np.ndarray


def recover(
    given: Features,
    wanted: Features,
    reconstructors: Sequence[Reconstructor] = (Ridge(),),
    *,
    clusters: Sequence[Hashable] | None = None,
    untrained: Features | None = None,
    connect: Connect | None = None,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> Recovery:
    """For each reconstructor, over the test pictures:

    NAME.r2      share of the variance recovered, features standardised by the training pictures
    NAME.mse     mean squared error of standardised features
    NAME.cosine  mean cosine between a token and its prediction, in the features' own scale
    NAME.round_trip_r2, NAME.round_trip_cosine   the same of `connect(prediction)` against `given`

    given, wanted   the same pictures at two sites, E_post and E_pre
    clusters        labels of pictures that aren't independent; none has pictures on two sides of the split
    untrained       `given` from a connector with random weights
    connect         the real connector from E_pre to E_post, fp32 on the CPU, for the round trip (`captured.connected`)

    Raises DataError for other pictures at the two sites, too few of them, and values that are not finite.
    """
    task = _Task.of(given, wanted, clusters, untrained, connect, seed)
    order = task.others_pictures()
    others, judged = _chosen(given, order), np.concatenate([task.split.train, task.split.test])
    alone = int((order[judged] == judged).sum())
    flags = (f"{alone} pictures have a size of their own and keep their features in the null",) if alone else ()
    measurements: list[Measurement] = []
    reconstructed = {}
    for reconstructor in reconstructors:
        name = reconstructor.name
        progress(f"{name}: fitting")
        prediction = task.predict(reconstructor, given)
        reconstructed[name] = prediction
        progress(f"{name}: null, ceiling and control")
        yardsticks = {
            "null": (task.predict(reconstructor, others), "trained on features of other pictures"),
            "ceiling": (task.predict(reconstructor, wanted), f"from {wanted.site} itself"),
        }
        if untrained is not None:
            yardsticks["control"] = (task.predict(reconstructor, untrained), "a connector with random weights")
        scores = {kind: (task.scores(other), method) for kind, (other, method) in yardsticks.items()}
        for metric, score in task.scores(prediction).items():
            known = {kind: _yardstick(of[metric], method) for kind, (of, method) in scores.items()}
            measurements.append(task.measurement(f"{name}.{metric}", score, flags, **known))
    return Recovery(tuple(measurements), reconstructed, task.split.test)


def learning_curve(
    given: Features,
    wanted: Features,
    reconstructors: Sequence[Reconstructor],
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> tuple[Measurement, ...]:
    """NAME.r2@PICTURES of reconstructors of several sizes, learned from growing shares of the training pictures. Where
    a curve still rises at its end, which is flagged, `recover` says how much was learned, not how much is there. Raises
    as `recover`."""
    task = _Task.of(given, wanted, clusters, None, None, seed)
    found: list[Measurement] = []
    for share in shares:
        fewer = replace(task, split=replace(task.split, train=task.split.smaller_train(share, seed)))
        for reconstructor in reconstructors:
            progress(f"{reconstructor.name}: from {len(fewer.split.train)} pictures")
            score = fewer.scores(fewer.predict(reconstructor, given))["r2"]
            found.append(fewer.measurement(f"{reconstructor.name}.r2@{len(fewer.split.train)}", score))
    many = len(reconstructors)
    for at in range(max(len(found) - many, many), len(found)):
        found[at] = _if_rising(found[at], found[at - many])
    return tuple(found)


def _if_rising(last: Measurement, before: Measurement) -> Measurement:
    if last.ci_low is None or before.value is None or last.ci_low <= before.value:
        return last
    rising = f"the learning curve still rises, {before.value:.2f} to {last.value:.2f}: more pictures would recover more"
    return replace(last, flags=(*last.flags, rising))


@dataclass(frozen=True)
class _Score:
    """`sums` is (test clusters, 2), and the score their ratio, subtracted from 1 where `less` (R2)."""

    sums: np.ndarray
    less: bool = False

    def of(self, sums: np.ndarray) -> np.ndarray:
        ratio = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
        return 1 - ratio if self.less else ratio

    @property
    def value(self) -> float | None:
        value = float(self.of(self.sums.sum(axis=0, keepdims=True))[0])
        return value if np.isfinite(value) else None


@dataclass(frozen=True)
class _Task:
    given: Features
    wanted: Features
    untrained: Features | None
    connect: Connect | None
    split: Split
    seed: int

    @staticmethod
    def of(
        given: Features,
        wanted: Features,
        clusters: Sequence[Hashable] | None,
        untrained: Features | None,
        connect: Connect | None,
        seed: int,
    ) -> _Task:
        for features in (given, untrained):
            if features is not None and len(features) != len(wanted):
                raise DataError(
                    f"{len(features)} pictures at {features.site}, {len(wanted)} at {wanted.site}; give the same ones"
                )
        return _Task(given, wanted, untrained, connect, split_pictures(len(wanted), clusters, seed=seed), seed)

    def predict(self, reconstructor: Reconstructor, given: Features) -> Features:
        """The wanted features of the test pictures from `given`, learned from the training pictures."""
        split = self.split
        of_given, of_wanted = self._standard(given), self._standard(self.wanted)

        def pairs(which: np.ndarray) -> Pairs:
            return Pairs(of_given(_chosen(given, which)), of_wanted(_chosen(self.wanted, which)))

        predict: Predict = reconstructor.fit(pairs(split.train), pairs(split.validation), self.seed)
        test = _chosen(self.wanted, split.test)
        tokens = predict(of_given(_chosen(given, split.test)), test.grids)
        return of_wanted.undo(replace(test, tokens=tokens))

    def _standard(self, features: Features) -> Standard:
        """By the training pictures."""
        return of_pictures(features, self.split.train.tolist())

    def others_pictures(self) -> np.ndarray:
        """For every picture another of the same grids and the same part of the split, (n,); itself where there is
        none."""
        order = np.arange(len(self.given))
        for part in (self.split.train, self.split.validation, self.split.test):
            kinds: dict[Hashable, list[int]] = {}
            for index in np.random.default_rng(self.seed).permutation(part).tolist():
                kinds.setdefault((self.given.grids[index], self.wanted.grids[index]), []).append(index)
            for members in kinds.values():
                order[members] = np.roll(members, 1)
        return order

    def scores(self, prediction: Features) -> dict[str, _Score]:
        """By name, of a prediction of the test pictures' features."""
        split = self.split
        standard, truth = self._standard(self.wanted), _chosen(self.wanted, split.test)
        error, energy, cosine, tokens = self._sums(prediction, truth, standard).T
        values = tokens * int(standard.varies.sum())
        found = {"r2": _score(error, energy, less=True), "mse": _score(error, values), "cosine": _score(cosine, tokens)}
        if self.connect is not None:
            back = self.connect(prediction)
            truth = _chosen(self.given, split.test)
            standard = self._standard(self.given)
            error, energy, cosine, tokens = self._sums(back, truth, standard).T
            found |= {"round_trip_r2": _score(error, energy, less=True), "round_trip_cosine": _score(cosine, tokens)}
        return found

    def _sums(self, prediction: Features, truth: Features, standard: Standard) -> np.ndarray:
        """For each test cluster: squared error and squared size of standardised features, cosines, tokens."""
        rows = [
            [float((a - b).double().square().sum()), float(b.double().square().sum()), _cosines(x, y), float(len(y))]
            for a, b, x, y in zip(
                *(standard(features).split() for features in (prediction, truth)),
                prediction.split(),
                truth.split(),
                strict=True,
            )
        ]
        _, cluster = np.unique(self.split.cluster[self.split.test], return_inverse=True)
        sums = np.zeros((int(cluster.max()) + 1, 4))
        np.add.at(sums, cluster, np.array(rows))
        return sums

    def measurement(
        self, name: str, score: _Score, flags: tuple[str, ...] = (), **yardsticks: Yardstick | None
    ) -> Measurement:
        """Of a score of the test pictures."""
        split, value = self.split, score.value
        low, high = bootstrap_interval(score.sums, score.of, seed=self.seed) or (None, None)
        settings: dict[str, Setting] = {"train": len(split.train), "validation": len(split.validation)}
        return Measurement(
            name,
            (self.given.site, self.wanted.site),
            value,
            low if value is not None else None,
            high if value is not None else None,
            **yardsticks,
            n=len(split.test),
            clusters=len(score.sums),
            method=f"test pictures, standardised by training pictures; {BOOTSTRAP}",
            settings=settings | {"seed": self.seed},
            flags=(*self._flags(value, len(score.sums)), *flags),
        )

    def _flags(self, value: float | None, clusters: int) -> tuple[str, ...]:
        flags = []
        constant = int((~self._standard(self.wanted).varies).sum())
        width = self.wanted.tokens.shape[1]
        if constant:
            flags.append(f"{constant} of {width} features of {self.wanted.site} are constant and count for nothing")
        if value is None:
            flags.append("undefined: the truth doesn't vary over the test pictures")
        if clusters < FEWEST:
            flags.append(f"{clusters} independent test pictures: no interval")
        tokens = sum(self.given.lengths[i] for i in self.split.train)
        if tokens < self.given.tokens.shape[1]:
            width = self.given.tokens.shape[1]
            flags.append(f"{tokens} training tokens of width {width}: a lower bound, far from tight")
        return tuple(flags)


def _chosen(features: Features, which: np.ndarray) -> Features:
    return features.select(which.tolist())


def _score(part: np.ndarray, whole: np.ndarray, less: bool = False) -> _Score:
    return _Score(np.stack([part, whole], axis=1), less)


def _cosines(prediction: torch.Tensor, truth: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(prediction.double(), truth.double(), dim=1).sum())


def _yardstick(score: _Score, method: str) -> Yardstick | None:
    return None if score.value is None else Yardstick(score.value, method=method)
