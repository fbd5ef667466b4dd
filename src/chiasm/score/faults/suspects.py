"""Truths that several models contradict with one voice: where the blame may lie with the annotation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.errors import DataError
from chiasm.score.answers import normalise
from chiasm.score.faults.captions import OMISSION
from chiasm.score.faults.fault import Fault
from chiasm.score.faults.find import find_faults
from chiasm.score.faults.questions import BY_DEFAULT, LANGUAGE_PRIOR, MINORITY, TIE, TOLD_BY_FORM
from chiasm.score.result import Item, Score

_ABOUT_ANSWERS = ("wrong_answer", "hallucination", "missed_object")
_NO_CONTRADICTION = TOLD_BY_FORM | {MINORITY, LANGUAGE_PRIOR, BY_DEFAULT, OMISSION, TIE}


@dataclass(frozen=True, slots=True)
class Suspect:
    """An item whose `truth` all models contradict with the same `answer` (for captions, an object they all name).

    `chance` is how probable that is if their mistakes have nothing to do with each other: the product, over the models,
    of how often each of them gives this answer by mistake where this is the truth.
    """

    item: str
    image: str
    prompt: str
    truth: Any
    answer: str
    chance: float


@dataclass(frozen=True, slots=True)
class Suspects:
    """`found` has the least probable first; `expected` is how many there would be if mistakes were independent."""

    found: tuple[Suspect, ...]
    expected: float
    items: int
    models: tuple[str, ...]


def suspect_ground_truth(scores: Mapping[str, Score], faults: Mapping[str, Sequence[Fault]] | None = None) -> Suspects:
    """Items on which all models, two or more by name, agree with each other against the truth.

    `faults` are those of each score, where they were found already. Wrong for their form only, refusals, ties, empty
    and unparsed answers do not contradict anything and are left out. Models that learned from the same data share
    mistakes, so a suspect is something to look at and no proof. Raises DataError for fewer than two models, other tasks
    or dialects, models without a common item, and detections, which have none: see `chiasm.score.faults.unannotated`.
    """
    if len(scores) < 2:
        raise DataError(f"suspects are what several models agree on: give two scores or more, got {len(scores)}")
    if len(kinds := {(score.task, score.dialect) for score in scores.values()}) > 1:
        raise DataError(f"suspects need scores of one task and dialect, got {sorted(kinds)}")
    if any(score.task.startswith("coco-") for score in scores.values()):
        raise DataError("the detections of two models have no items in common, so that they can't be held together")
    items = [{item.id: item for item in score.items} for score in scores.values()]
    first, *others = items
    common = [name for name in first if all(name in other for other in others)]
    if not common:
        raise DataError(f"{', '.join(scores)} have no item in common: are they of the same dataset and split?")
    known = faults or {name: find_faults(score) for name, score in scores.items()}
    contradictions = [_contradictions(known[name], by_id) for name, by_id in zip(scores, items, strict=True)]
    habits = [_Habits(by_id, common, said) for by_id, said in zip(items, contradictions, strict=True)]
    found = []
    expected = 0.0
    for name in common:
        truth = _key(first[name])
        expected += sum(math.prod(habit(truth, answer) for habit in habits) for answer in habits[0].answers(truth))
        for answer in sorted(set.intersection(*(said.get(name, set()) for said in contradictions))):
            chance = math.prod(habit(truth, answer) for habit in habits)
            item = first[name]
            found.append(Suspect(name, item.image, item.prompt, item.truth, answer, chance))
    return Suspects(tuple(sorted(found, key=lambda one: one.chance)), expected, len(common), tuple(scores))


class _Habits:
    """How often a model says a wrong answer, of all items with the same truth; where answers are open, of all items,
    since a truth of its own tells nothing about habits."""

    def __init__(self, items: Mapping[str, Item], common: Sequence[str], said: Mapping[str, set[str]]) -> None:
        self._closed = len({_key(items[name]) for name in common}) <= 26
        asked = Counter(self._group(_key(items[name])) for name in common)
        self._share: dict[tuple[str, str], float] = {}
        self._answers: dict[str, list[str]] = {}
        given = Counter((self._group(_key(items[name])), answer) for name in common for answer in said.get(name, ()))
        for (group, answer), count in given.items():
            self._share[group, answer] = count / asked[group]
            self._answers.setdefault(group, []).append(answer)

    def __call__(self, truth: str, answer: str) -> float:
        return self._share.get((self._group(truth), answer), 0.0)

    def answers(self, truth: str) -> Sequence[str]:
        return self._answers.get(self._group(truth), ())

    def _group(self, truth: str) -> str:
        return truth if self._closed else ""


def _contradictions(faults: Sequence[Fault], items: Mapping[str, Item]) -> dict[str, set[str]]:
    """What was said instead of the truth, by item."""
    found: dict[str, set[str]] = {}
    for fault in faults:
        if fault.kind in _ABOUT_ANSWERS and fault.cause not in _NO_CONTRADICTION:
            found.setdefault(fault.item, set()).add(_said(items[fault.item], fault))
    return found


def _said(item: Item, fault: Fault) -> str:
    if isinstance(item.parsed, list) and isinstance(item.prediction, str) and fault.kind == "hallucination":
        return fault.detail  # a caption's object
    if isinstance(item.prediction, Mapping):
        return fault.cause  # what scores of captions and pictures preferred
    return normalise(item.parsed if isinstance(item.parsed, str) else str(item.prediction))


def _key(item: Item) -> str:
    return item.truth if isinstance(item.truth, str) else repr(item.truth)
