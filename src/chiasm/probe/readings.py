"""Linear probes of facts, and what they say of pictures that they were not fitted on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.probe.clusters import numbered
from chiasm.probe.facts import Fact
from chiasm.probe.linear_readout import average_precision, balanced_threshold, ridge_readout
from chiasm.probe.question_readout import Projection
from chiasm.probe.split import split_pictures

FEWEST = 5
"""Pictures of either kind that a fact needs, in training and in test."""
DRAWS = 20
"""Sets of shuffled and of control labels."""
OWN, SHUFFLED, CONTROL = slice(0, 1), slice(1, 1 + DRAWS), slice(1 + DRAWS, 1 + 2 * DRAWS)
"""Columns of the labels that each probe is fitted on."""


@dataclass(frozen=True)
class Reading:
    """What the probes of one fact say of the test pictures.

    sums    (test clusters, counts, columns): for a number squared error and squared deviation from the training mean;
            else right ones and all of the pictures with the fact, right ones and all of those without it
    scores  (test pictures,) of the probe of the fact itself, and `truth` likewise, NaN where it isn't known
    """

    fact: Fact
    sums: np.ndarray
    scores: np.ndarray
    truth: np.ndarray

    def precisions(self, subsets: np.ndarray) -> np.ndarray:
        """Average precision of each subset of the test pictures, masks (subsets, test pictures)."""
        known = ~np.isnan(self.truth)
        return np.array([average_precision(self.scores[s & known], self.truth[s & known]) for s in subsets])


def balanced_accuracy_or_r2(sums: np.ndarray) -> np.ndarray:
    """From `Reading.sums` of several facts, (..., facts, counts, columns), the mean over facts: (..., columns). A fact
    that has no value (no picture with it was drawn) is left out; NaN where none has."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if sums.shape[-2] == 2:
            of_fact = 1 - sums[..., 0, :] / sums[..., 1, :]
        else:
            of_fact = (sums[..., 0, :] / sums[..., 1, :] + sums[..., 2, :] / sums[..., 3, :]) / 2
    return finite_mean(of_fact, axis=-2)


def finite_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of those that are finite, NaN where none is."""
    there = np.isfinite(values)
    total, count = np.where(there, values, 0).sum(axis=axis), there.sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


@dataclass(frozen=True)
class Examination:
    """Facts of n pictures, and which pictures probes are fitted on and tested on.

    facts    those that training and test have enough pictures of; `rare` counts the others of each group
    unknown  pictures of which no fact is known, left out of both
    types    (n,) labels of pictures that look alike
    width    principal directions that a probe is given
    """

    facts: tuple[Fact, ...]
    rare: Mapping[str, int]
    unknown: int
    types: np.ndarray
    cluster: np.ndarray
    train: np.ndarray
    test: np.ndarray
    width: int
    seed: int

    @staticmethod
    def of(
        vectors: Mapping[str, np.ndarray],
        facts: Sequence[Fact],
        types: np.ndarray,
        clusters: Sequence[Hashable] | None,
        width: int,
        seed: int,
    ) -> Examination:
        """Raises DataError for vectors that are not finite, other numbers of pictures, and where no fact is left."""
        n = len(types)
        for name, rows in [*vectors.items(), *((f"{fact.group} {fact.name}", fact.values) for fact in facts)]:
            if len(rows) != n:
                raise DataError(f"{name}: {len(rows)} rows for {n} pictures")
        for site, of_site in vectors.items():
            if not np.isfinite(of_site).all():
                raise DataError(f"{site}: vectors that are not finite; extract them again")
        cluster = numbered(clusters, n)
        known = np.flatnonzero(~np.all([np.isnan(fact.values) for fact in facts], axis=0))
        split = split_pictures(len(known), cluster[known].tolist(), seed=seed)
        # The penalty is chosen by folds of the training pictures, so validation pictures can teach as well.
        train, test = known[np.sort(np.concatenate([split.train, split.validation]))], known[split.test]
        kept = [fact for fact in facts if all(_enough(fact.values[part], fact.is_number) for part in (train, test))]
        if not kept:
            raise DataError(
                f"none of {len(facts)} facts has {FEWEST} pictures of either kind in {len(train)} training and "
                f"{len(test)} test pictures; give more annotated pictures"
            )
        groups = [fact.group for fact in facts]
        rare = {group: groups.count(group) - sum(fact.group == group for fact in kept) for group in groups}
        width = min(width, *(of_site.shape[1] for of_site in vectors.values()))
        return Examination(tuple(kept), rare, n - len(known), types, cluster, train, test, width, seed)

    @property
    def test_cluster(self) -> np.ndarray:
        """The number of each test picture's cluster among theirs: (test pictures,)."""
        return np.unique(self.cluster[self.test], return_inverse=True)[1]

    def facts_as_vectors(self) -> np.ndarray:
        """(n, facts): all facts, standardised and turned by a random rotation; an unknown one is its mean."""
        known = np.stack([fact.values for fact in self.facts], axis=1)
        mean, deviation = np.nanmean(known[self.train], axis=0), np.nanstd(known[self.train], axis=0)
        rotation = np.linalg.qr(np.random.default_rng(self.seed).standard_normal((len(self.facts),) * 2))[0]
        return np.nan_to_num((known - mean) / deviation) @ rotation

    def readings(self, vectors: np.ndarray) -> list[Reading]:
        """Of probes of all facts, fitted on one site's vectors (n, d)."""
        rows = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
        projection = Projection(rows[torch.from_numpy(self.train)], self.width)
        x = projection(Features(rows, ((1, 1),) * len(rows), "")).tokens.double().numpy()
        return [self._reading(x, fact, np.random.default_rng((self.seed, i))) for i, fact in enumerate(self.facts)]

    def _reading(self, x: np.ndarray, fact: Fact, rng: np.random.Generator) -> Reading:
        train = self.train[~np.isnan(fact.values[self.train])]
        own = fact.values[train]
        # One value for all pictures of a type, spread as the fact's.
        names, number = np.unique(self.types, return_inverse=True)
        control = rng.choice(own, size=(len(names), DRAWS))[number]
        labels = np.column_stack([own, *(rng.permutation(own) for _ in range(DRAWS)), control[train]])
        truth = np.column_stack([fact.values[self.test]] * (1 + DRAWS) + [control[self.test]])
        scores, held_out = ridge_readout(x[train], labels, self.cluster[train], x[self.test], self.seed)
        if fact.is_number:
            counts = np.stack([(scores - truth) ** 2, (labels.mean(axis=0) - truth) ** 2], axis=1)
        else:
            says = scores > [balanced_threshold(*column) for column in zip(held_out.T, labels.T, strict=True)]
            there = truth == 1
            counts = np.stack([says & there, there, ~says & ~there, ~there], axis=1).astype(np.float64)
        known = ~np.isnan(truth[:, 0])
        cluster = self.test_cluster
        sums = np.zeros((int(cluster.max()) + 1, *counts.shape[1:]))
        np.add.at(sums, cluster[known], counts[known])
        return Reading(fact, sums, scores[:, 0], truth[:, 0])


def _enough(values: np.ndarray, is_number: bool) -> bool:
    values = values[~np.isnan(values)]
    if is_number:
        return len(values) >= 2 * FEWEST and len(np.unique(values)) > 1
    return min(int((values == 1).sum()), int((values == 0).sum())) >= FEWEST
