"""How much a perturbation costs: the same items with and without it, as a paired test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chiasm.errors import ConfigError, DataError
from chiasm.score.answers import normalise
from chiasm.score.bootstrap import NO_INTERVAL, NO_VARIATION, summarise
from chiasm.score.measure import Measure, share
from chiasm.score.paired_tests import holm
from chiasm.score.pairs import Gap, Pair
from chiasm.score.result import Item, Score, Value
from chiasm.score.robustness.options import in_words, letter_values


def score_robustness(
    clean: Score,
    perturbed: Mapping[str, Score],
    metric: str,
    measure: Measure,
    permutations: int = 10_000,
    replicates: int = 2000,
    seed: int = 0,
) -> Score:
    """Compare a run with runs of the same items under named perturbations ("paraphrase", "blur", ...).

    Values, each but clean and consistency a slice ("perturbation", name):

    * clean and perturbed: `measure`, called `metric`, without and with the perturbation, on all items of the run;
    * drop: by how much `metric` is worse with it on the common items, in the metric's own unit, below 0 if better;
    * p_adjusted: of no difference, by exact McNemar where each picture has one item that is right or wrong, else
      by swapping whole pictures; after Holm over all perturbations, in [0, 1];
    * flip_rate: share of items whose answer changed, in words; an answer that is unparsed in one run only has changed;
    * lost and gained: share of items that scored worse, and better, than without the perturbation; left out for a
      metric that is no mean over items, such as F1;
    * consistency: of several perturbations, the share of items whose answer none of them changed;
    * for multiple choice also the position bias of `letter_values`, over all runs together.

    The answer to a multiple choice is the text of the option, not its letter, so options may be shuffled. Raises
    ConfigError for a measure that does not rank, DataError for runs that don't belong together or without a defined
    metric, naming the perturbation.
    """
    if not perturbed:
        raise DataError("no perturbed run to compare with")
    if measure.better is None:
        raise ConfigError(f"{metric} describes and does not rank, so it can't drop; choose another metric")
    choices = [item for run in (clean, *perturbed.values()) for item in run.items if item.options]
    clean, perturbed = in_words(clean), {name: in_words(run) for name, run in perturbed.items()}
    gaps: dict[str, Gap] = {}
    changes: list[Item] = []
    notes: list[str] = []
    for name, run in perturbed.items():
        pair = Pair.of("the clean run", clean, name, run)
        about = _about(pair, measure)
        gap = pair.gap(measure, about, permutations, replicates, seed) if len(about) else None
        if gap is None:
            raise DataError(f"{metric} is undefined on the common items of the clean run and {name}")
        gaps[name] = gap
        notes += pair.notes
        changes += _changes(name, pair, about, run, measure, gap)
    p_adjusted = dict(zip(gaps, holm([gap.p for gap in gaps.values()]), strict=True))
    values = list(summarise(clean.items, {"clean": measure}, (), replicates, seed))
    if len(perturbed) > 1:
        of_all = {"consistency": share("consistent", "answered")}
        values += summarise(_consistent(changes), of_all, (), replicates, seed)
    shares = summarise(changes, _SHARES, ["perturbation"], replicates, seed)
    for name, gap in gaps.items():
        where = ("perturbation", name)
        (alone,) = summarise(perturbed[name].items, {"perturbed": measure}, (), replicates, seed)
        values.append(Value(alone.metric, alone.value, alone.n, alone.ci_low, alone.ci_high, alone.method, where))
        values.append(_drop(gap, measure, where))
        values.append(Value("p_adjusted", p_adjusted[name], gap.items, method=gap.test, slice=where))
        values += [value for value in shares if value.slice == where]
        notes.append(_sentence(name, metric, gap, p_adjusted[name], len(gaps)))
    if choices:
        values += letter_values(choices, replicates, seed)
    dialect = f"{metric} of {clean.task}, {clean.dialect}"
    return Score("robustness", dialect, tuple(values), tuple(changes), tuple(notes))


_SHARES: Mapping[str, Measure] = {
    "flip_rate": share("flipped", "answered", "lower"),
    "lost": share("lost", "scored", "lower"),
    "gained": share("gained", "scored"),
}


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_robustness` that are functions of sums over its own items."""
    return dict(_SHARES)


def _drop(gap: Gap, measure: Measure, where: tuple[str, str]) -> Value:
    sign = -1 if measure.better == "lower" else 1
    ends = sorted(sign * end for end in (gap.ci_low, gap.ci_high) if end is not None)
    if not ends:
        return Value("drop", sign * gap.difference, gap.items, method=NO_INTERVAL, slice=where)
    if ends[1] - ends[0] < 1e-12:
        return Value("drop", sign * gap.difference, gap.items, method=NO_VARIATION, slice=where)
    low, high = ends
    return Value("drop", sign * gap.difference, gap.items, low, high, "paired bootstrap by image", where)


def _about(pair: Pair, measure: Measure) -> np.ndarray:
    """Indices of the common items that the measure counts: an examined run also holds items of other tasks."""
    counted = [half.evaluate(lambda sums: sums[measure.count], half.values) > 0 for half in (pair.first, pair.second)]
    return np.flatnonzero(counted[0] | counted[1])


def _changes(name: str, pair: Pair, about: np.ndarray, run: Score, measure: Measure, gap: Gap) -> list[Item]:
    """What became of the items."""
    sign = -1 if measure.better == "lower" else 1
    before = pair.first.evaluate(measure.of, pair.first.values)
    after = pair.second.evaluate(measure.of, pair.second.values)
    others = {item.id: item for item in run.items}
    averaged = (before[about].mean(), after[about].mean())
    is_mean = np.allclose(averaged, (gap.first_value, gap.second_value), rtol=0, atol=1e-9)
    items = []
    for index in about:
        item, gain = pair.items[index], sign * (after[index] - before[index])
        said, now = _answer(item), _answer(others[item.id])
        statistics = {
            "scored": float(is_mean),
            # Where neither run has an answer there is nothing that could flip.
            "answered": float(said is not None or now is not None),
            "flipped": float(said != now),
            "lost": float(is_mean and gain < 0),
            "gained": float(is_mean and gain > 0),
        }
        slices = {"perturbation": name}
        parsed = others[item.id].parsed
        items.append(Item(f"{name}/{item.id}", item.image, parsed, parsed, item.parsed, statistics, slices=slices))
    return items


def _answer(item: Item) -> Any:
    """What is compared: options as they are, since two of them may differ in an article alone."""
    return normalise(item.parsed) if isinstance(item.parsed, str) and not item.options else item.parsed


def _consistent(changes: Sequence[Item]) -> list[Item]:
    """The items behind the changes, each with whether its answer is the same under all perturbations."""
    by_item: dict[str, list[Item]] = {}
    for change in changes:
        by_item.setdefault(change.id.removeprefix(f"{change.slices['perturbation']}/"), []).append(change)
    found = []
    for name, rows in by_item.items():
        answered = any(row.statistics["answered"] for row in rows)
        flipped = any(row.statistics["flipped"] for row in rows)
        statistics = {"answered": float(answered), "consistent": float(answered and not flipped)}
        found.append(Item(name, rows[0].image, None, None, None, statistics))
    return found


def _sentence(name: str, metric: str, gap: Gap, p: float, tests: int) -> str:
    corrected = f", after Holm over {tests} perturbations" if tests > 1 else ""
    sentence = (
        f"{name}: {metric} {gap.first_value:.4g} without and {gap.second_value:.4g} with it on {gap.items} items of "
        f"{gap.images} images; p = {p:.2g} by {gap.test}{corrected}"
    )
    if p >= 0.05 and gap.detectable is not None:
        sentence += f"; a sample like this one shows changes from about {gap.detectable:.2g}"
    return sentence + "."
