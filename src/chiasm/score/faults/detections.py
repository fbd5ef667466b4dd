"""Faults of detections, by the reasons that the scorer gave them at IoU .5."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from chiasm.score.faults.fault import Fault
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.regions.coco_reasons import (
    BACKGROUND,
    FOUND,
    IGNORED,
    MISLOCATED,
    MISSED,
    WRONG_NAME,
)
from chiasm.score.result import Item, Score

Place = tuple[str, str, tuple[float, ...]]


def detection_faults(score: Score, blind: Mapping[str, str]) -> Iterator[Fault]:
    """A mislocated or misnamed detection is put right if it is the best-scored one on an object that nothing found,
    and otherwise taken away, as all other hallucinations are; a missed object is found. All together leave every object
    found and nothing else.

    Of what lies on nothing: extra count (the class is in the picture), co-occurrence prior, absent class.
    """
    present: dict[str, set[str]] = defaultdict(set)
    for item in score.items:
        if item.truth is not None:
            present[item.image].add(item.truth["name"])
    priors = ObjectPriors(list(present.values()))
    mended = _best_on_unfound_objects(score)
    for item in score.items:
        reason = item.slices["reason"]
        if item.prediction is None:
            if reason == MISSED:
                detail = f"{item.truth['name']}, {item.slices['size']}"
                repair = {MISSED: -1.0, FOUND: 1.0, "detections": 1.0, "iou": 1.0}
                yield Fault(item.id, "missed_object", item.slices.get("cause", MISSED), detail, repair)
            continue
        if reason in (FOUND, IGNORED):
            continue
        if item.id in mended:
            repair = {reason: -1.0, FOUND: 1.0, "iou": 1.0 - item.statistics["iou"]}
        else:
            repair = {reason: -1.0, "detections": -1.0, "iou": -item.statistics["iou"]}
        yield _false_positive(item, reason, repair, present[item.image], priors)


def _false_positive(
    item: Item, reason: str, repair: dict[str, float], present: set[str], priors: ObjectPriors
) -> Fault:
    name = item.prediction["name"]
    if reason == MISLOCATED:
        detail = f"{name}, IoU {item.statistics['iou']:.2f}"
        return Fault(item.id, "wrong_location", item.slices.get("cause", reason), detail, repair)
    if reason == WRONG_NAME:
        return Fault(item.id, "hallucination", reason, f"{name} instead of {item.truth['name']}", repair)
    if reason == BACKGROUND:
        unseen = "co-occurrence prior" if priors.expected(name, present) else "absent class"
        reason = "extra count" if name in present else unseen
    return Fault(item.id, "hallucination", reason, name, repair)


def _best_on_unfound_objects(score: Score) -> set[str]:
    """Ids of the best-scored detection of each object that only mislocated or misnamed ones lie on."""
    found = {place_of(item) for item in score.items if item.slices["reason"] == FOUND}
    best: dict[Place, Item] = {}
    for item in score.items:
        if item.prediction is None or item.slices["reason"] not in (MISLOCATED, WRONG_NAME):
            continue
        place = place_of(item)
        if place not in found and (place not in best or _certainty(item) > _certainty(best[place])):
            best[place] = item
    return {item.id for item in best.values()}


def place_of(item: Item) -> Place:
    """The true object that a detection is about, known by where it is."""
    return item.image, item.truth["name"], tuple(item.truth["box"])


def _certainty(item: Item) -> Any:
    return item.prediction["score"]
