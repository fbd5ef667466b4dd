"""The metrics of `chiasm examine`, each a ratio of sums of the rows' sufficient statistics: slices, intervals and the
cost of errors are then all additions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.score.grounding import THRESHOLDS


@dataclass(frozen=True, slots=True)
class Metric:
    """`numerator` / `denominator`, each a weighted sum of statistics.

    `best` is what a perfect model scores, None where that depends on the data (a yes-ratio). `slices` are the row keys
    that the metric is broken down by. `sized` says that a row keeps the statistics per object size as well, under
    ``<statistic>.<size>``. `dialect` names the rule where there are several.
    """

    name: str
    title: str
    numerator: Mapping[str, float]
    denominator: Mapping[str, float]
    best: float | None = 1.0
    slices: tuple[str, ...] = ()
    sized: bool = False
    dialect: str = ""


_MATCHING = "one to one, same name, IoU >= .5"
_ALL_BOXES = "all boxes, one to one"
_VOCABULARY = "closed vocabulary, CHAIR-like"

METRICS: tuple[Metric, ...] = (
    Metric("scene.accuracy", "Scene accuracy", {"scene_right": 1}, {"scenes": 1}),
    Metric("answer.exact", "Answers right", {"exact": 1}, {"answers": 1}, slices=("kind", "objects"), dialect="exact"),
    Metric(
        "answer.soft", "Answers right, soft", {"soft": 1}, {"soft_answers": 1}, slices=("kind",), dialect="min(n/3, 1)"
    ),
    Metric(
        "answer.substring", "Answers right, substring", {"substring": 1}, {"substring_answers": 1}, slices=("kind",),
        dialect="substring",
    ),
    Metric(
        "existence.accuracy", "Existence accuracy", {"existence_right": 1}, {"existence": 1}, slices=("variant",)
    ),
    Metric("existence.precision", "Existence precision", {"yes_right": 1}, {"yes_said": 1}, slices=("variant",)),
    Metric("existence.recall", "Existence recall", {"yes_right": 1}, {"yes_true": 1}, slices=("variant",)),
    Metric("existence.f1", "Existence F1", {"yes_right": 2}, {"yes_said": 1, "yes_true": 1}, slices=("variant",)),
    Metric(
        "existence.yes_ratio", "Existence yes-ratio", {"yes_said": 1}, {"existence": 1}, best=None, slices=("variant",)
    ),
    Metric(
        "detect.recall", "Detection recall", {"recalled": 1}, {"true": 1}, slices=("objects",), sized=True,
        dialect=_MATCHING,
    ),
    Metric(
        "detect.precision", "Detection precision", {"precise": 1}, {"predicted": 1}, slices=("objects",), sized=True,
        dialect=_MATCHING,
    ),
    Metric(
        "detect.f1", "Detection F1", {"recalled": 1, "precise": 1}, {"true": 1, "predicted": 1}, dialect=_MATCHING
    ),
    Metric(
        "ground.iou", "Grounding mean IoU", {"iou": 1}, {"expressions": 1}, slices=("object_size", "objects"),
        dialect=_ALL_BOXES,
    ),
    *(
        Metric(
            f"ground.acc@{t}", f"Grounding acc@{t}", {f"hit@{t}": 1}, {"expressions": 1},
            slices=("object_size", "objects") if t == 0.5 else (), dialect=_ALL_BOXES,
        )
        for t in THRESHOLDS
    ),
    Metric(
        "caption.hallucinated", "Hallucinated mentions", {"mentions_wrong": 1}, {"mentions": 1}, best=0.0,
        dialect=_VOCABULARY,
    ),
    Metric(
        "caption.with_hallucination", "Captions with a hallucination", {"captions_wrong": 1}, {"captions": 1}, best=0.0,
        dialect=_VOCABULARY,
    ),
    Metric(
        "caption.coverage", "Caption coverage", {"names_covered": 1}, {"names_true": 1}, dialect=_VOCABULARY
    ),
)  # fmt: skip
