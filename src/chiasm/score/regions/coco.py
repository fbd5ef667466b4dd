"""Detections and instance masks scored as COCO does (Lin et al. 2014, arXiv:1405.0312), with intervals and reasons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from chiasm.score.bootstrap import FEWEST_IMAGES, NO_INTERVAL, NO_VARIATION, small_sample_level
from chiasm.score.intervals import BOOTSTRAP, percentile_interval
from chiasm.score.regions.coco_accumulate import METRICS, Accumulation, Averages
from chiasm.score.regions.coco_backend import official
from chiasm.score.regions.coco_costs import COST, Costs
from chiasm.score.regions.coco_files import Kind, Regions, Truth, read_results, read_truth
from chiasm.score.regions.coco_items import lazy_items
from chiasm.score.regions.coco_matching import Matches, match
from chiasm.score.regions.coco_reasons import MISSED, explain
from chiasm.score.result import Score, Value

COST_REPLICATES = 200
"""At most so many resamples for the costs, since there is a set of curves for each kind of error."""
_AT_ONCE = 50
_NONE = np.zeros(0)


def score_coco(
    truth: Path | str,
    results: Path | str,
    kind: Kind = "bbox",
    replicates: int = 1000,
    seed: int = 0,
    advance: Callable[[int], None] = lambda replicates: None,
) -> Score:
    """COCO's twelve numbers, AP by category, and what each kind of error costs.

    `truth` is an instances file, `results` a results file; `kind` says whether boxes or masks are compared. An image
    without results has no detections. Numbers come from faster-coco-eval and lie in [0, 1]; `n` counts the objects to
    find. A number with nothing to find (COCO's -1) is None, with a note. ``AP cost: REASON`` is the AP gained if
    that kind of error alone were fixed, as `Costs` says; its `n` counts those errors.

    Intervals resample whole images and are about other sets of as many images: AP falls as a set grows and its rare
    categories fill up, so they do not say what a larger set would give. ``replicates=0`` leaves them out; `advance` is
    told of every few that are done. There is one item for each detection and one for each object that none of them
    found, with slices for category, size and the reason at IoU .5; they are made when one is first looked at.

    Raises DataError for files that can't be read or do not belong together, naming file and id.
    """
    known = read_truth(truth, kind)
    detections, notes = read_results(results, known, kind)
    matches = match(detections, known.objects)
    reasons = explain(detections, known.objects, matches)
    standard, by_category = official(known, detections, matches, kind)

    images = len(known.images)
    costs = Costs(matches, detections, known.objects, reasons, len(known.names))
    now = costs.gains(np.ones((1, images), dtype=np.int64))
    drawn = _draw(images, replicates, seed)
    spread, cost_spread = _resampled(known, detections, matches, costs, drawn, advance)
    values = []
    for row, name in enumerate(METRICS):
        values.append(_value(name, standard[name], _objects(matches, name), images, spread.standard[row]))
    for (metric, error), gain in now.items():
        n = int(((reasons.object if error == MISSED else reasons.detection) == error).sum())
        name = f"{metric}{COST}{error}"
        values.append(_value(name, _defined(gain[0]), n, images, cost_spread.get((metric, error), _NONE)))
    for index, name in enumerate(known.names):
        in_category = known.objects.category == index
        n = int((matches.counted[0] & in_category).sum())
        if n:
            category_images = len(np.unique(known.objects.image[in_category]))
            where = ("category", name)
            values.append(_value("AP", by_category[name], n, category_images, spread.category_ap[index], where))

    items = lazy_items(known, detections, matches.overlaps, reasons, kind)
    return Score(f"coco-{kind}", "COCO", tuple(values), items, notes + _absent(known, standard, detections))


def _resampled(
    truth: Truth,
    detections: Regions,
    matches: Matches,
    costs: Costs,
    drawn: np.ndarray,
    advance: Callable[[int], None],
) -> tuple[Averages, dict[tuple[str, str], np.ndarray]]:
    """The numbers of every draw, and the costs of the first `COST_REPLICATES`."""
    if not len(drawn):
        return Averages(np.zeros((len(METRICS), 0)), np.zeros((len(truth.names), 0))), {}
    accumulation = Accumulation(matches, detections, truth.objects, len(truth.names))
    parts, gains = [], []
    for start in range(0, len(drawn), _AT_ONCE):
        some = drawn[start : start + _AT_ONCE]
        parts.append(accumulation.averages(some))
        if start < COST_REPLICATES:
            gains.append(costs.gains(some))
        advance(len(some))
    standard = np.concatenate([part.standard for part in parts], axis=1)
    category_ap = np.concatenate([part.category_ap for part in parts], axis=1)
    return Averages(standard, category_ap), {key: np.concatenate([one[key] for one in gains]) for key in gains[0]}


def _draw(images: int, replicates: int, seed: int) -> np.ndarray:
    """How often each image comes when as many are drawn with replacement: (replicates, images)."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, max(images, 1), size=(replicates, images)) + np.arange(replicates)[:, None] * images
    return np.bincount(drawn.ravel(), minlength=replicates * images).reshape(replicates, images)


def _objects(matches: Matches, metric: str) -> int:
    sizes = {"small": 1, "medium": 2, "large": 3}
    return int(matches.counted[sizes.get(metric.partition("_")[2], 0)].sum())


def _value(
    metric: str, value: float | None, n: int, images: int, spread: np.ndarray, where: tuple[str, str] | None = None
) -> Value:
    if value is None:
        return Value(metric, None, n, method="none: nothing to find", slice=where)
    if not len(spread):
        return Value(metric, value, n, method="none: not asked for", slice=where)
    if images < FEWEST_IMAGES:
        return Value(metric, value, n, method=NO_INTERVAL, slice=where)
    interval = percentile_interval(spread, small_sample_level(images))
    if interval is None or interval[1] - interval[0] < 1e-12:
        return Value(metric, value, n, method=NO_VARIATION, slice=where)
    return Value(metric, value, n, min(interval[0], value), max(interval[1], value), BOOTSTRAP, where)


def _absent(truth: Truth, standard: dict[str, float | None], detections: Regions) -> tuple[str, ...]:
    notes = []
    if nothing := [name for name, value in standard.items() if value is None]:
        notes.append(f"No object to find, so no number (COCO's -1): {', '.join(nothing)}.")
    if without := len(truth.images) - len(np.unique(detections.image)):
        notes.append(f"{without} of {len(truth.images)} images have no detection.")
    return tuple(notes)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
