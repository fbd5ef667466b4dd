"""Two or more models on the items they share: which differences are real, and which could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from chiasm.errors import DataError
from chiasm.score.bootstrap import parts
from chiasm.score.measure import Measure
from chiasm.score.paired_tests import holm
from chiasm.score.pairs import LEVEL, Gap, Pair
from chiasm.score.result import Score

Verdict = Literal["first better", "second better", "equivalent", "not told apart"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of two models: how far apart they are, and what follows from it.

    `p_adjusted` is the gap's p-value after Holm's correction for everything that was compared. `agreeing_slices` says
    in how many of the compared slices the difference has the same sign: (agreeing, all).
    """

    first: str
    second: str
    metric: str
    slice: tuple[str, str] | None
    gap: Gap
    p_adjusted: float
    verdict: Verdict
    agreeing_slices: tuple[int, int] | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every pair of models, metric and slice. `notes` say what could not be compared."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A gap and what it is a gap of."""

    first: str
    second: str
    metric: str
    slice: tuple[str, str] | None
    lower_is_better: bool
    gap: Gap


def compare(
    scores: Mapping[str, Score],
    measures: Mapping[str, Measure],
    slices: Sequence[str] = (),
    *,
    margin: float | None = None,
    min_n: int = 30,
    permutations: int = 10_000,
    replicates: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare every pair of `scores`, by name, on the items that the two have in common, in all measures that rank.

    Where each image has one item that is right or wrong the test is McNemar's, else a permutation that swaps whole
    images; both keep their level when the questions of an image hang together. A model is called better only if its
    p-value stays below .05 after Holm's correction over all pairs, metrics and slices. With a `margin`, in the unit of
    the metrics, two models are called equivalent if the 90 % interval of their difference lies within it (two one-sided
    tests, Schuirmann 1987). Slices with fewer than `min_n` common items are left out.

    Raises DataError for fewer than two scores, scores of different tasks or dialects, an item that appears twice or has
    another truth or image in the other score, and for scores without a common item.
    """
    if len(scores) < 2:
        raise DataError(f"comparing takes two scores or more, got {len(scores)}")
    ranking = {name: measure for name, measure in measures.items() if measure.better is not None}
    found: list[Found] = []
    notes: list[str] = []
    for first, second in combinations(scores, 2):
        pair = Pair.of(first, scores[first], second, scores[second])
        notes += pair.notes
        for where, chosen in parts(pair.items, slices):
            if where is not None and len(chosen) < min_n:
                notes.append(f"{where[0]} {where[1]} has {len(chosen)} common items, fewer than {min_n}: left out")
                continue
            for name, measure in ranking.items():
                gap = pair.gap(measure, chosen, permutations, replicates, seed)
                if gap is not None:
                    found.append(Found(first, second, name, where, measure.better == "lower", gap))
                elif where is None:
                    notes.append(f"{name} has no value for {first} or {second}: left out")
    return Comparison(judged(found, margin), tuple(dict.fromkeys(notes)))


def judged(found: Sequence[Found], margin: float | None = None) -> tuple[Difference, ...]:
    """What follows from each gap, corrected for all of them."""
    adjusted = holm([one.gap.p for one in found])
    return tuple(_judged(one, p, margin, found) for one, p in zip(found, adjusted, strict=True))


def _judged(one: Found, p: float, margin: float | None, found: Sequence[Found]) -> Difference:
    verdict = _verdict(one.gap, p, one.lower_is_better, margin)
    agreeing = _agreeing(one, found)
    sentence = _sentence(one, p, verdict, margin, agreeing, len(found))
    return Difference(one.first, one.second, one.metric, one.slice, one.gap, p, verdict, agreeing, sentence)


def _sentence(
    one: Found, p: float, verdict: Verdict, margin: float | None, agreeing: tuple[int, int] | None, comparisons: int
) -> str:
    """The winner comes first, and the difference is the first named minus the second."""
    gap, where = one.gap, "" if one.slice is None else f" where {one.slice[0]} is {one.slice[1]}"
    names, values, sign = (one.first, one.second), (gap.first_value, gap.second_value), 1
    if verdict == "second better":
        names, values, sign = names[::-1], values[::-1], -1
    opening = f"{names[0]} is better than {names[1]}"
    level, ends = 95, (gap.ci_low, gap.ci_high)
    if verdict == "equivalent":
        opening = f"{names[0]} and {names[1]} differ by less than {margin}"
        level, ends = 90, (gap.ci90_low, gap.ci90_high)
    elif verdict == "not told apart":
        opening = f"{names[0]} and {names[1]} can't be told apart"
    known = sorted(sign * end for end in ends if end is not None)
    interval = f"{level} % CI {known[0]:.3g} to {known[1]:.3g}, " if known else ""
    corrected = f" after correction for {comparisons} comparisons" if comparisons > 1 else ""
    sentence = (
        f"{opening} in {one.metric}{where}: {values[0]:.4g} against {values[1]:.4g} on {gap.items} items, "
        f"difference {sign * gap.difference:.3g} ({interval}p = {p:.2g}{corrected})"
    )
    if agreeing is not None:
        sentence += f"; {agreeing[0]} of {agreeing[1]} slices agree"
    if verdict == "not told apart" and gap.detectable is not None:
        sentence += f"; a sample like this one shows differences from about {gap.detectable:.2g}"
    return sentence + "."


def _verdict(gap: Gap, p: float, lower_is_better: bool, margin: float | None) -> Verdict:
    if p < LEVEL and gap.difference != 0:
        return "first better" if (gap.difference > 0) != lower_is_better else "second better"
    if margin is None or gap.ci90_low is None or gap.ci90_high is None:
        return "not told apart"
    return "equivalent" if -margin < gap.ci90_low and gap.ci90_high < margin else "not told apart"


def _agreeing(overall: Found, found: Sequence[Found]) -> tuple[int, int] | None:
    if overall.slice is not None:
        return None
    asked = (overall.first, overall.second, overall.metric)
    slices = [one for one in found if one.slice is not None and (one.first, one.second, one.metric) == asked]
    agreeing = sum(one.gap.difference * overall.gap.difference > 0 for one in slices)
    return (agreeing, len(slices)) if slices else None
