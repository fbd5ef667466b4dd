"""Detections and instance masks scored as COCO does (Lin et al. 2014, arXiv:1405.0312), with intervals and reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.score.bootstrap import FEWEST_IMAGES, NO_INTERVAL, NO_VARIATION, small_sample_level
from chiasm.score.intervals import BOOTSTRAP, percentile_interval
from chiasm.score.regions.coco_accumulate import METRICS, accumulate
from chiasm.score.regions.coco_backend import official
from chiasm.score.regions.coco_costs import costs
from chiasm.score.regions.coco_files import Kind, Regions, Truth, read_results, read_truth
from chiasm.score.regions.coco_items import items
from chiasm.score.regions.coco_matching import Matches, match
from chiasm.score.regions.coco_reasons import MISSED, explain
from chiasm.score.result import Score, Value


def score_coco(
    truth: Path | str, results: Path | str, kind: Kind = "bbox", replicates: int = 1000, seed: int = 0
) -> Score:
    """COCO's twelve numbers, AP by category, and what each kind of error costs.

    `truth` is an instances file, `results` a results file; `kind` says whether boxes or masks are compared. An image
    without results has no detections. Numbers come from faster-coco-eval and lie in [0, 1]; `n` counts the objects to
    find. A number with nothing to find (COCO's -1) is None, with a note. ``AP50 cost: REASON`` is the AP50 won back if
    that kind of error alone were mended; its `n` counts those errors.

    Intervals resample whole images and are about other sets of as many images: AP falls as a set grows and its rare
    categories fill up, so they do not say what a larger set would give. ``replicates=0`` leaves them out. There is one
    item for each detection and one for each object that none of them found, with slices for category, size and the
    reason at IoU .5.

    Raises DataError for files that can't be read or do not belong together, naming file and id.
    """
    known = read_truth(truth, kind)
    detections, notes = read_results(results, known, kind)
    matches = match(detections, known.objects)
    reasons = explain(detections, known.objects, matches)

    standard, by_category = official(known, detections, kind)
    images = len(known.images)
    drawn = _draw(images, replicates, seed)
    spread = accumulate(matches, detections, known.objects, len(known.names), drawn)
    values = []
    for row, name in enumerate(METRICS):
        values.append(_value(name, standard[name], _objects(matches, name), images, spread.standard[row]))
    once = np.ones((1, images), dtype=np.int64)
    now = costs(matches, detections, known.objects, reasons, len(known.names), once)
    later = costs(matches, detections, known.objects, reasons, len(known.names), drawn)
    for error, gain in now.items():
        n = int(((reasons.object if error == MISSED else reasons.detection) == error).sum())
        values.append(_value(f"AP50 cost: {error}", _defined(gain[0]), n, images, later[error]))
    for index, name in enumerate(known.names):
        in_category = known.objects.category == index
        n = int((matches.counted[0] & in_category).sum())
        if n:
            category_images = len(np.unique(known.objects.image[in_category]))
            where = ("category", name)
            values.append(_value("AP", by_category[name], n, category_images, spread.category_ap[index], where))

    notes += _absent(known, standard, detections)
    return Score(f"coco-{kind}", "COCO", tuple(values), items(known, detections, reasons, kind), notes)


def resampled_coco(
    truth: Path | str, results: Path | str, kind: Kind = "bbox", replicates: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """The twelve numbers of each resample of the images, (replicates,), NaN where there is nothing to find.

    The same truth and seed draw the same images whatever the results, so that the differences between two detectors'
    resamples are paired. Raises DataError as `score_coco` does.
    """
    known = read_truth(truth, kind)
    detections, _ = read_results(results, known, kind)
    matches = match(detections, known.objects)
    drawn = _draw(len(known.images), replicates, seed)
    spread = accumulate(matches, detections, known.objects, len(known.names), drawn)
    return dict(zip(METRICS, spread.standard, strict=True))


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
