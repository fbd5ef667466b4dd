"""The metrics of any score as functions of its items' summed statistics, also of one that was read from its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from chiasm.errors import DataError
from chiasm.score.measure import Measure
from chiasm.score.result import Score

_MODULES: Mapping[str, str] = {
    "captions": "captioning.score",
    "chair": "captioning.chair",
    "clipscore": "captioning.clipscore",
    "bertscore": "captioning.bertscore",
    "vqa": "vqa.accuracy",
    "vizwiz": "vqa.vizwiz",
    "gqa": "vqa.gqa",
    "anls": "vqa.anls",
    "chartqa": "vqa.chartqa",
    "daquar": "vqa.daquar",
    "pope": "choice.pope",
    "mme": "choice.mme",
    "mmbench": "choice.mmbench",
    "seed": "choice.multiple_choice",
    "scienceqa": "choice.multiple_choice",
    "nlvr2": "choice.pairs",
    "pairs": "choice.pairs",
    "winoground": "choice.contrast",
    "sugarcrepe": "choice.contrast",
    "coco-bbox": "regions.coco_items",
    "coco-segm": "regions.coco_items",
    "masks": "regions.mask_files",
    "pointing": "regions.pointing",
    "refcoco": "regions.refcoco",
    "ranking": "retrieval.ranking",
    "retrieval": "retrieval.cross_modal",
    "tifa": "generation.tifa",
    "edit localisation": "generation.edits",
    "pictures": "generation.pictures",
    "instruction compliance": "generation.compliance",
    "similarity": "generation.similarity",
    "vqascore": "generation.vqascore",
    "judge": "judgement.judge",
    "judged pairs": "judgement.judged_pairs",
    "robustness": "robustness.paired",
}


def measures_of(score: Score) -> dict[str, Measure]:
    """Every metric of `score` that is a function of sums over its items.

    COCO's average precision is none; its precision and recall at IoU .5 stand for it. Raises DataError for a score
    without items, and for a task whose numbers are all of another kind (FID, agreement of raters).
    """
    if score.task not in _MODULES:
        raise DataError(
            f"the numbers of {score.task} are no sums over items, which alone can be compared, sliced and put down to "
            "mistakes"
        )
    if not score.items:
        raise DataError(f"a score of {score.task} without items has nothing to sum")
    measures: Callable[..., dict[str, Measure]] = import_module(f"chiasm.score.{_MODULES[score.task]}").measures
    return measures(score.items)
