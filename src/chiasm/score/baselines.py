"""What a number must be read beside: the majority answer, and the same model without the picture.

A baseline is a value ``baseline.NAME.METRIC``. One that is worked out from the truth alone has no interval.
``right_blind_too.METRIC`` is the part of a metric's points that the same model has without the picture as well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import Table, parts, summarise
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value

MAJORITY = "baseline: an answer chosen on the truth itself"

RIGHT_BLIND_TOO = "right_blind_too"

T = TypeVar("T")


def beside(name: str) -> tuple[str, str] | None:
    """What a value is called beside its metric, and the metric: "baseline.all_yes.f1" is the "baseline all yes" of
    "f1". None for the name of a metric itself."""
    kind, _, rest = name.partition(".")
    if kind == RIGHT_BLIND_TOO:
        return "right blind too", rest
    if kind != "baseline":
        return None
    said, _, metric = rest.partition(".")
    return f"baseline {said.replace('_', ' ')}", metric


def majority_values(
    items: Sequence[Item],
    truths: Sequence[T],
    given: Callable[[T], Sequence[str]],
    rules: Mapping[str, Callable[[str, T], float]],
    keys: Sequence[str] = (),
    same: Callable[[str], str] = str,
    only_given: bool = True,
) -> tuple[Value, ...]:
    """What the answer that is given most often would score, by each of `rules`: from a metric's name to the score of a
    text under a truth.

    `truths` are those of the items, and `given` says which answers one holds; answers that are equal under `same` are
    counted together. `only_given` promises that an answer which a truth does not hold scores 0 under it, and saves
    trying. The values are ``baseline.majority.METRIC``, for all items and for each label of the slice keys by that
    label's own majority, and ``baseline.majority_by_KEY.METRIC``, over all items that have a label of the key.
    """
    answers, texts = _numbered([given(truth) for truth in truths], same)
    values = []
    of_key: dict[tuple[str, str], list[Value]] = defaultdict(list)
    # One answer is often the majority of several labels: its points under each truth, NaN where not yet asked for.
    points: dict[tuple[str, int], np.ndarray] = defaultdict(lambda: np.full(len(truths), np.nan))
    for where, chosen in parts(items, keys):
        said = answers[chosen]
        majority = int(np.bincount(said[said >= 0]).argmax())
        scored = chosen[(said == majority).any(axis=1)] if only_given else chosen
        for metric, rule in rules.items():
            known = points[metric, majority]
            unknown = scored[np.isnan(known[scored])]
            known[unknown] = [rule(texts[majority], truths[index]) for index in unknown.tolist()]
            mean = float(known[scored].sum()) / len(chosen)
            value = Value(f"baseline.majority.{metric}", mean, len(chosen), method=MAJORITY, slice=where)
            values.append(value)
            if where is not None:
                of_key[where[0], metric].append(value)
    for (key, metric), labels in of_key.items():
        n = sum(value.n for value in labels)
        mean = sum(value.n * (value.value or 0.0) for value in labels) / n
        values.append(Value(f"baseline.majority_by_{key}.{metric}", mean, n, method=MAJORITY))
    return tuple(values)


def _numbered(given: Sequence[Sequence[str]], same: Callable[[str], str]) -> tuple[np.ndarray, list[str]]:
    """The answers of every truth as numbers, -1 beyond the last: (truths, most answers of one), and for each number the
    text that stands for it. Equal answers have one number; its text is their most frequent one, and more frequent texts
    have lower numbers."""
    number_of: dict[str, int] = {}
    texts: list[str] = []
    known: dict[str, int] = {}
    for text, _ in Counter(chain.from_iterable(given)).most_common():
        number_of[text] = known.setdefault(same(text), len(texts))
        if number_of[text] == len(texts):
            texts.append(text)
    sizes = np.array([len(answers) for answers in given])
    numbers = np.full((len(given), sizes.max()), -1)
    in_order = map(number_of.__getitem__, chain.from_iterable(given))
    numbers[np.arange(sizes.max()) < sizes[:, None]] = np.fromiter(in_order, np.int64, sizes.sum())
    return numbers, texts


def beside_blind(
    score: Score, blind: Score, measures: Mapping[str, Measure], slices: Sequence[str] = (), replicates: int = 2000
) -> Score:
    """`score` with what the same model got without the picture: ``baseline.blind.METRIC``, and
    ``right_blind_too.METRIC``, the part of its points that it has blind as well.

    `measures` are means over items of points in [0, 1], such as an accuracy; an item that has some points with the
    picture and some without has the smaller number in both. Both values have intervals. Raises DataError if the two
    scores are not of the same items.
    """
    if [item.id for item in score.items] != [item.id for item in blind.items]:
        raise DataError("the blind predictions are not scored on the same items as the others")
    values = list(score.values)
    for metric, measure in measures.items():
        name = f"baseline.blind.{metric}"
        values += summarise(blind.items, {name: measure}, slices, replicates)
        intact, without = (_points(each.items, measure) for each in (score, blind))
        both = tuple(
            replace(item, statistics={"points": float(seen), "both": float(min(seen, unseen))})
            for item, seen, unseen in zip(score.items, intact, without, strict=True)
        )
        values += summarise(both, {f"{RIGHT_BLIND_TOO}.{metric}": share("both", "points")}, slices, replicates)
    return replace(score, values=tuple(values))


def _points(items: Sequence[Item], measure: Measure) -> np.ndarray:
    """The measure of every item alone, 0 where it has nothing to count: (items,)."""
    table = Table.of(items)
    return np.nan_to_num(table.evaluate(measure.of, table.values))
