"""Human consistency: does a model err where people disagree, and how well would one of them have scored?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from chiasm.data.records import paired
from chiasm.errors import DataError
from chiasm.score.answers import Dialect, match, normalise
from chiasm.score.bootstrap import summarise
from chiasm.score.jackknife import jackknife_interval
from chiasm.score.measure import means
from chiasm.score.result import Item, Score, Value
from chiasm.score.robustness.rank_correlation import kendall, spearman


def pairwise_agreement(answers: Sequence[str]) -> float:
    """Share of the pairs of people who gave the same answer, after `normalise`, in [0, 1].

    Raises DataError for fewer than two answers.
    """
    if len(answers) < 2:
        raise DataError(f"agreement needs at least two answers, got {len(answers)}")
    pairs = list(combinations([normalise(answer) for answer in answers], 2))
    return sum(a == b for a, b in pairs) / len(pairs)


def leave_one_out(answers: Sequence[str], dialect: Dialect = "soft") -> float:
    """What the people would score as if each were a model, judged by the others: the ceiling of that dialect here."""
    if len(answers) < 2:
        raise DataError(f"leaving one out needs at least two answers, got {len(answers)}")
    return sum(match(said, [*answers[:i], *answers[i + 1 :]], dialect) for i, said in enumerate(answers)) / len(answers)


def score_human_consistency(
    answers: Mapping[str, Sequence[str]],
    scores: Mapping[str, float],
    images: Mapping[str, str] | None = None,
    dialect: Dialect = "soft",
    seed: int = 0,
) -> Score:
    """Rank correlation between a model's score on an item and how far people agree on it.

    `answers` are several people's answers by item, `scores` the model's scores on the same items, `images` the picture
    of each item (the item itself where not given), which intervals are clustered by. Values: spearman and kendall
    (tau-b, both with ties), agreement (mean pairwise), human (mean of `leave_one_out` under `dialect`) and model (mean
    score). Items with fewer than two answers are left out and counted in a note. Raises DataError for ids that don't
    pair up and for scores that are not finite.
    """
    paired([*answers], [*scores], "the human answers", "the scores")
    usable = [name for name in answers if len(answers[name]) >= 2]
    if not usable:
        raise DataError("no item has two human answers, so there is no agreement to compare with")
    items = []
    for name in usable:
        statistics = {
            "items": 1.0,
            "model": float(scores[name]),
            "agreement": pairwise_agreement(answers[name]),
            "human": leave_one_out(answers[name], dialect),
        }
        items.append(Item(name, images[name] if images else name, None, None, list(answers[name]), statistics))
    shares = summarise(items, means(("agreement", "human", "model"), "items"), seed=seed)
    correlations = (_correlation("spearman", spearman, items, seed), _correlation("kendall", kendall, items, seed))
    notes = []
    if len(usable) < len(answers):
        notes.append(f"{len(answers) - len(usable)} items with fewer than two human answers are left out.")
    if correlations[0].value is None:
        notes.append("All items have the same agreement or the same score, so there is no rank correlation.")
    return Score("human consistency", dialect, correlations + shares, tuple(items), tuple(notes))


def _correlation(name: str, of: Callable[[np.ndarray, np.ndarray], float], items: Sequence[Item], seed: int) -> Value:
    model, people = (np.array([item.statistics[key] for item in items]) for key in ("model", "agreement"))
    pictures, picture = np.unique([item.image for item in items], return_inverse=True)

    def without(part: np.ndarray) -> float:
        kept = ~np.isin(picture, part)
        return of(model[kept], people[kept])

    value = of(model, people)
    if np.isnan(value):
        return Value(name, None, len(items), method="none: no variation")
    found = jackknife_interval(value, without, len(pictures), seed=seed)
    if found is None:
        return Value(name, value, len(items), method="none: too few images")
    return Value(name, value, len(items), max(-1.0, found[0]), min(1.0, found[1]), "delete-a-group jackknife by image")
