"""What must be added to an item's statistics so that it is right, for every task that counts items right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from chiasm.score.result import Item, Score
from chiasm.score.vqa.soft_accuracy import DIALECTS, Judge

Repair = Callable[[Item], dict[str, float]]

_ATTAINABLE, _TRUE_PIXELS, _YES, _NOTHING = "attainable", "true pixels", "yes", "nothing"
_CHOICE = {"right": "questions"}
_PIXELS = {"intersection": _TRUE_PIXELS, "union": _TRUE_PIXELS}
_BEST: dict[str, dict[str, str]] = {
    "vqa": {"score": _ATTAINABLE, "score_with_answer_ids": _ATTAINABLE},
    "vizwiz": {"score": _ATTAINABLE, "called": "true", "found": "true"},
    "gqa": {"right": "questions", "binary_right": "binary", "open_right": "open"}
    | dict.fromkeys(("valid", "plausible"), "questions"),
    "anls": dict.fromkeys(("anls", "anls_paper", "exact"), "questions"),
    "chartqa": dict.fromkeys(("strict", "lenient"), "questions"),
    "daquar": dict.fromkeys(("accuracy", "wups@0.9", "wups@0.0"), "questions"),
    "tifa": {"right": "questions", "caption_right": "caption"},
    "seed": _CHOICE,
    "scienceqa": _CHOICE,
    "nlvr2": _CHOICE,
    "pairs": _CHOICE,
    "mme": _CHOICE,
    "mmbench": {"right": "passes", "passes_right": "passes", "vanilla_right": "questions"},
    "pope": {"right": "questions"} | dict.fromkeys(("yes_true", "yes_said", "yes_right"), _YES),
    "winoground": dict.fromkeys(("text", "image", "group"), "examples"),
    "sugarcrepe": {"right": "examples"},
    "pointing": {"hit": "points", "hits": "points"},
    "masks": dict.fromkeys(("IoU", "Dice", "boundary F", "boundary IoU"), "masks") | _PIXELS,
    "refcoco": dict.fromkeys(
        ("iou", "giou", "centre", *(f"iou>={threshold}" for threshold in (0.1, 0.3, 0.5, 0.7, 0.9))), "expressions"
    )
    | _PIXELS,
}
"""For each task, the statistic that each of an item's statistics equals where the item is right."""
WITHOUT_COST: Mapping[str, Mapping[str, str]] = {
    "gqa": {"consistency": "it is over entailed questions, which a row does not name"}
}
"""The metrics of each task that no repair changes, and why."""


def repairs_of(score: Score) -> Repair:
    """From an item of `score` to what it lacks; empty for an item that is right.

    A VQA answer is at best what most people said, which is less than 1 where people disagree. `WITHOUT_COST` has
    what is not repaired.
    """
    targets = _BEST[score.task] | {"unparsed": _NOTHING}
    judge = Judge(score.dialect) if score.dialect in DIALECTS else None

    @cache
    def attainable(answers: tuple[str, ...]) -> float:
        return judge.attainable(answers) if judge else 1.0

    def best(item: Item, name: str) -> float:
        whole, part = _parts(name, targets)
        target = targets.get(whole)
        if target is None:
            return item.statistics[name]
        if target == _NOTHING:
            return 0.0
        if target == _TRUE_PIXELS:
            return item.truth["pixels"]
        if target == _YES:
            return float(item.truth == "yes")
        if target == _ATTAINABLE:
            stored = item.statistics.get("attainable") if name == "score" else None
            return attainable(tuple(item.truth)) if stored is None else stored
        return item.statistics[target + part]

    def repair(item: Item) -> dict[str, float]:
        changes = {name: best(item, name) - value for name, value in item.statistics.items()}
        return {name: change for name, change in changes.items() if abs(change) > 1e-12}

    return repair


def _parts(name: str, targets: Mapping[str, str]) -> tuple[str, str]:
    """The statistic and the part it is of, with its mark: "strict.human" -> "strict", ".human"."""
    if name in targets:
        return name, ""
    for mark in (".", ": "):
        whole, found, part = name.partition(mark)
        if found and whole in targets:
            return whole, found + part
    return name, ""
