"""Faults of captions by CHAIR: objects mentioned that are not there, and objects there that are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from chiasm.score.captioning.chair import Vocabulary
from chiasm.score.faults.fault import Fault
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.faults.questions import unparsed
from chiasm.score.result import Score

OMISSION = "omission"
_NEGATION = re.compile(r"\b(?:no|without|not|never|isn['’]?t|aren['’]?t|lacks?|nor)(?:\s+[\w'’-]+){0,3}\s+$")


def chair_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """A hallucination for every wrong mention: negation misread (the mention follows a "no" or "without" within four
    words, so the caption denies it and CHAIR counts it all the same), co-occurrence prior (absent, but usual beside
    what is there), absent class. A missed object, cause "omission", for every true class that is left out: less than a
    detector's miss, since nobody asked for it."""
    priors = ObjectPriors([item.truth for item in score.items])
    names = {name: () for item in score.items for name in (*item.truth, *item.parsed)}
    vocabulary = Vocabulary() if score.dialect == "own COCO words" else Vocabulary(names)
    for item in score.items:
        if item.problem is not None:
            yield unparsed(item, {"recalled": item.statistics["objects"] - item.statistics["recalled"]})
            continue
        caption = str(item.prediction).lower()
        denied = {name for name, start, _ in vocabulary.spans(caption) if _NEGATION.search(caption[:start])}
        for name in item.parsed:
            if name not in item.truth:
                cause = "co-occurrence prior" if priors.expected(name, item.truth) else "absent class"
                cause = "negation misread" if name in denied else cause
                yield Fault(item.id, "hallucination", cause, name, {"mentions": -1, "hallucinated": -1})
        for name in item.truth:
            if name not in item.parsed:
                yield Fault(item.id, "missed_object", OMISSION, name, {"recalled": 1})


def text_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """Of BLEU and CIDEr only captions that are not there, since an n-gram has no cause. They have no repair."""
    return (unparsed(item, {}) for item in score.items if item.problem is not None)
