"""How many of the wrongly answered items are still readable at each site.

A readout is a small network that answers the questions from the features at a site. That it fails on a question does
not mean that the answer is not there, and that it succeeds may be luck, so its rate of hits is read between two
yardsticks taken from the same readout: the rate with another picture's features (nothing of the answer is there) and
the rate where the answer is known to be there. With R the rate of hits on the wrongly answered items,

    present = (R - absent) / (known - absent)

is the share of them whose answer is still there at that site. What is present at one site and not at the next was lost
between them. "Known to be there" are items that the model answered right, less its lucky guesses, and, with a reference
encoder, the items themselves as far as the reference reads them.

Yardsticks are taken for each kind of question apart. What is present is averaged over kinds first and only then held
to what is possible: nothing that is lost comes back, and no share is negative. Held kind by kind, chance would always
find a loss somewhere: of two estimates of one number the later one is the lower one half of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STAGES = ("encoder", "connector", "language model")
UNTOLD = "can't tell"
NO_OBJECT = "no single object"
BEHIND = "connector"
"""The site between connector and language model."""
MOST_LUCK = 0.5
"""Up to this share of lucky guesses among the right answers, the right answers say what a readout can read."""
LEAST_ROOM = 0.1
"""A readout whose two yardsticks are nearer than this measures nothing."""
FEWEST_RIGHT = 10
"""Fewer right answers than this don't say what a readout can read."""


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
    size          (n,) size of the object asked about, of `SIZES`, or `NO_OBJECT`; None where no object is annotated
    """

    image: np.ndarray
    kind: np.ndarray
    right: np.ndarray
    blind: np.ndarray
    hit: Mapping[str, np.ndarray]
    absent: Mapping[str, np.ndarray]
    sites: tuple[str, ...]
    reference: np.ndarray | None = None
    size: np.ndarray | None = None


def statistics(readings: Readings) -> dict[str, np.ndarray]:
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
class Estimate:
    """For each replicate and stratum: `present`, as estimated and so in any range, and `known` are site -> (R, K),
    `absent` likewise; `told` and `wrong` (R, K)."""

    present: Mapping[str, np.ndarray]
    known: Mapping[str, np.ndarray]
    absent: Mapping[str, np.ndarray]
    told: np.ndarray
    wrong: np.ndarray

    @staticmethod
    def of(sums: np.ndarray, names: Sequence[str], readings: Readings) -> Estimate:
        """`sums` is (R, K, statistics)."""
        column = {name: sums[..., index] for index, name in enumerate(names)}
        luck = _luck(column)
        trusted = (luck <= MOST_LUCK) & (column["right"] >= FEWEST_RIGHT)
        present, known, absent = {}, {}, {}
        told = column["wrong"] > 0
        for site in readings.sites:
            floor = share_of(column[f"{site}.absent_wrong"], column["wrong"])
            hit = share_of(column[f"{site}.wrong"], column["wrong"])
            ceiling = np.where(trusted, _sensitivity(column, site, luck), np.nan)
            if readings.reference is not None:
                ceiling = _with_reference(column, ceiling, luck)
            told &= np.isfinite(ceiling) & (ceiling - floor >= LEAST_ROOM)
            present[site], known[site], absent[site] = share_of(hit - floor, ceiling - floor), ceiling, floor
        return Estimate(present, known, absent, told, column["wrong"])

    def present_in(self, chosen: Sequence[int]) -> np.ndarray:
        """(R, sites): what is still there of the wrong answers of several strata, each counting by its number of them;
        NaN where none can be told."""
        weight = (self.wrong * self.told)[:, chosen]
        parts = [(weight * np.where(self.told, of, 0)[:, chosen]).sum(axis=1) for of in self.present.values()]
        return np.clip(_falling(share_of(np.stack(parts, axis=1), weight.sum(axis=1, keepdims=True))), 0, 1)

    def shares(self, chosen: Sequence[int]) -> dict[str, np.ndarray]:
        """Stage -> (R,), those of the strata whose readouts can't tell under `UNTOLD`."""
        sites = list(self.present)
        present = np.nan_to_num(self.present_in(chosen))
        first, behind = present[:, 0], present[:, sites.index(BEHIND)]
        wrong = self.wrong[:, chosen].sum(axis=1)
        told = share_of((self.wrong * self.told)[:, chosen].sum(axis=1), wrong)
        lost = zip(STAGES, (1 - first, first - behind, behind), strict=True)
        return {stage: told * share for stage, share in lost} | {UNTOLD: 1 - told}


def _luck(column: Mapping[str, np.ndarray]) -> np.ndarray:
    """Share of the right answers that the model would have given without the picture: (R, K).

    An item is known with probability k and otherwise guessed as well as the blind model does, so that the accuracy is
    k + (1 - k) blind, and the guesses among the right answers are 1 - k / accuracy.
    """
    accuracy = share_of(column["right"], column["items"])
    blind = np.minimum(share_of(column["blind"], column["items"]), 1 - 1e-9)
    knows = np.maximum(accuracy - blind, 0) / (1 - blind)
    return 1 - share_of(knows, accuracy)


def _sensitivity(column: Mapping[str, np.ndarray], site: str, luck: np.ndarray) -> np.ndarray:
    """How often the readouts hit where the answer is there: the rate on right answers, less that of the lucky ones,
    which are like the wrong ones in what they hold."""
    right = share_of(column[f"{site}.right"], column["right"])
    wrong = share_of(column[f"{site}.wrong"], column["wrong"])
    return share_of(right - luck * wrong, 1 - luck)


def _with_reference(column: Mapping[str, np.ndarray], ceiling: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """The ceiling on these very items, which may be harder than those that were answered right.

    Where right answers are no guide, it is what the readouts of the reference hit. Else the reference says how much
    harder the wrong items are.
    """
    on_wrong = share_of(column["reference.wrong"], column["wrong"])
    floor = share_of(column["reference.absent_wrong"], column["wrong"])
    on_right = _sensitivity(column, "reference", np.minimum(luck, MOST_LUCK))
    harder = np.clip(share_of(on_wrong - floor, on_right - floor), 0, 1)
    return np.where(np.isfinite(ceiling), floor + harder * (ceiling - floor), on_wrong)


def _falling(values: np.ndarray) -> np.ndarray:
    """(R, sites): the falling sequence nearest to each row in squares, since what is lost does not come back. (Isotonic
    regression by its min-max formula, Barlow et al. 1972.)"""
    sites = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)

    def mean(start: int, end: int) -> np.ndarray:
        return (sums[:, end] - sums[:, start]) / (end - start)

    rows = [
        np.min([np.max([mean(j, k) for k in range(i + 1, sites + 1)], axis=0) for j in range(i + 1)], axis=0)
        for i in range(sites)
    ]
    return np.stack(rows, axis=1)


def share_of(part: np.ndarray, whole: np.ndarray, nothing: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), nothing), where=np.broadcast_to(whole, part.shape) != 0)
