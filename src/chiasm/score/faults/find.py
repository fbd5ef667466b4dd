"""The faults of a score, from its items alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from chiasm.score.answers import normalise
from chiasm.score.faults.captions import chair_faults, text_faults
from chiasm.score.faults.detections import detection_faults
from chiasm.score.faults.fault import Fault
from chiasm.score.faults.places import place_faults
from chiasm.score.faults.questions import choice_faults, open_faults, preference_faults, yes_no_faults
from chiasm.score.result import Score

_FINDERS: Mapping[str, Callable[[Score, Mapping[str, str]], Iterator[Fault]]] = {
    **dict.fromkeys(("vqa", "vizwiz", "gqa", "anls", "chartqa", "daquar", "tifa", "pairs"), open_faults),
    **dict.fromkeys(("mmbench", "seed", "scienceqa", "nlvr2"), choice_faults),
    **dict.fromkeys(("pope", "mme"), yes_no_faults),
    **dict.fromkeys(("winoground", "sugarcrepe"), preference_faults),
    **dict.fromkeys(("refcoco", "masks", "pointing"), place_faults),
    **dict.fromkeys(("coco-bbox", "coco-segm"), detection_faults),
    "chair": chair_faults,
    "captions": text_faults,
}
TASKS = tuple(_FINDERS)
"""Tasks whose points have causes; other numbers, such as FID or NDCG, do not come apart into mistakes."""


def find_faults(score: Score, blind: Score | None = None) -> tuple[Fault, ...]:
    """Everything that cost `score` points, in the order of its items; nothing for a task that is not one of `TASKS`.

    `blind` is the score of the same model on the same questions without the pictures: what it answers then as well is
    a language prior.
    """
    if score.task not in _FINDERS:
        return ()
    said = {} if blind is None else {item.id: normalise(str(item.prediction)) for item in blind.items}
    return tuple(_FINDERS[score.task](score, said))
