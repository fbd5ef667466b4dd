"""Detectors side by side in COCO's twelve numbers, which are no sums over images and need a test of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import NormalDist

import numpy as np

from chiasm.errors import ConfigError, DataError
from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level
from chiasm.score.compare import Comparison, Found, judged
from chiasm.score.intervals import percentile_interval
from chiasm.score.paired_tests import SWAP
from chiasm.score.pairs import LEVEL, POWER, Gap
from chiasm.score.regions.coco_accumulate import METRICS, Accumulation
from chiasm.score.regions.coco_files import Kind, Regions, Truth, read_results, read_truth
from chiasm.score.regions.coco_matching import Matches, by_falling_score, match
from chiasm.score.regions.coco_overlaps import Overlaps


def compare_coco(
    truth: Path | str,
    results: Mapping[str, Path | str],
    kind: Kind = "bbox",
    *,
    metrics: Sequence[str] = (),
    margin: float | None = None,
    permutations: int = 1000,
    replicates: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare every pair of results files, by name, on the images of `truth`.

    The test swaps the two detectors' detections in whole images and computes each number anew; the interval resamples
    images, the same for both. `metrics` leaves out the others, also from the correction. In a gap, wins and losses
    count objects that only the first or only the second finds at IoU .5, and `items` all objects. Otherwise as
    `chiasm.score.compare.compare`.

    Raises DataError as `score_coco` does and for fewer than two files, ConfigError for an unknown metric.
    """
    if len(results) < 2:
        raise DataError(f"comparing takes two files of results or more, got {len(results)}")
    asked = metrics or METRICS
    if unknown := [name for name in asked if name not in METRICS]:
        raise ConfigError(f"there is no metric {unknown[0]!r} to compare in, only {', '.join(METRICS)}")
    known = read_truth(truth, kind)
    detectors = {name: read_results(path, known, kind)[0] for name, path in results.items()}
    matches = {name: match(detections, known.objects) for name, detections in detectors.items()}
    found: list[Found] = []
    for first, second in combinations(detectors, 2):
        both = _both(known, (detectors[first], detectors[second]), (matches[first], matches[second]))
        found += [
            Found(first, second, metric, None, False, gap)
            for metric, gap in _gaps(known, both, permutations, replicates, seed).items()
            if metric in asked
        ]
    undefined = [name for name in asked if name not in {one.metric for one in found}]
    notes = (f"Nothing to find, so no comparison: {', '.join(undefined)}.",) if undefined else ()
    return Comparison(judged(found, margin), notes)


@dataclass(frozen=True, slots=True)
class _Both:
    """Two detectors as one on twice the images: the second's detections and objects stand in images of their own."""

    matches: Matches
    detections: Regions
    accumulation: Accumulation

    def numbers(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """COCO's numbers, (12, rows), where (rows, images) say how often the images of each detector count."""
        return self.accumulation.averages(np.concatenate([first, second], axis=1)).standard


def _both(known: Truth, detections: tuple[Regions, Regions], matches: tuple[Matches, Matches]) -> _Both:
    shift = len(known.images)
    together, objects = _joined(*detections, shift), _joined(known.objects, known.objects, shift)
    rank = np.concatenate([one.rank for one in matches])
    first, second = (one.overlaps for one in matches)
    joined = Matches(
        rank=rank,
        by_score=by_falling_score(together, rank),
        overlaps=Overlaps(
            np.concatenate([first.detection, second.detection + len(detections[0])]),
            np.concatenate([first.object, second.object + len(known.objects)]),
            np.concatenate([first.iou, second.iou]),
        ),
        true=np.concatenate([one.true for one in matches], axis=2),
        ignored=np.concatenate([one.ignored for one in matches], axis=2),
        found=np.concatenate([one.found for one in matches], axis=1),
        counted=np.concatenate([one.counted for one in matches], axis=1),
    )
    return _Both(joined, together, Accumulation(joined, together, objects, len(known.names)))


def _joined(first: Regions, second: Regions, shift: int) -> Regions:
    return Regions(
        image=np.concatenate([first.image, second.image + shift]),
        category=np.concatenate([first.category, second.category]),
        box=np.concatenate([first.box, second.box]),
        area=np.concatenate([first.area, second.area]),
        crowd=np.concatenate([first.crowd, second.crowd]),
        score=np.concatenate([first.score, second.score]),
        rle=None,  # matching is done, and nothing after it looks at masks
    )


def _gaps(known: Truth, both: _Both, permutations: int, replicates: int, seed: int) -> dict[str, Gap]:
    images = len(known.images)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=replicates) if images else np.zeros((0, 0), int)
    swapped = rng.integers(0, 2, size=(permutations, images))
    ones, zeros = np.ones((1, images), int), np.zeros((1, images), int)
    values = both.numbers(np.concatenate([ones, zeros]), np.concatenate([zeros, ones]))
    nothing = np.zeros_like(drawn)
    resampled = both.numbers(drawn, nothing) - both.numbers(nothing, drawn)
    under_null = both.numbers(1 - swapped, swapped) - both.numbers(swapped, 1 - swapped)
    counts = _counts(known, both)
    gaps = {}
    for row, metric in enumerate(METRICS):
        first, second = (float(value) for value in values[row])
        if np.isnan(first) or np.isnan(second):
            continue
        difference = first - second
        as_large = np.count_nonzero(~(np.abs(under_null[row]) < abs(difference) * (1 - 1e-9)))
        gap = replace(counts, first_value=first, second_value=second, difference=difference)
        gap = replace(gap, p=(1 + as_large) / (1 + permutations))
        gaps[metric] = _with_intervals(gap, resampled[row]) if images >= FEWEST_IMAGES and difference else gap
    return gaps


def _counts(known: Truth, both: _Both) -> Gap:
    """A gap that has only its counts yet."""
    objects = len(known.objects)
    own = both.detections.image < len(known.images)
    hit = np.zeros((2, objects), dtype=bool)
    for detector, mine in enumerate((own, ~own)):
        found = both.matches.found[0, mine]
        hit[detector, found[found >= 0]] = True
    hit = hit[:, both.matches.counted[0, :objects]]
    return Gap(
        items=hit.shape[1], images=len(known.images), first_value=0.0, second_value=0.0, difference=0.0,
        ci_low=None, ci_high=None, ci90_low=None, ci90_high=None, detectable=None,
        wins=int((hit[0] & ~hit[1]).sum()), losses=int((hit[1] & ~hit[0]).sum()),
        both_wrong=int((~hit[0] & ~hit[1]).sum()), test=SWAP, p=1.0,
    )  # fmt: skip


def _with_intervals(gap: Gap, spread: np.ndarray) -> Gap:
    low, high = percentile_interval(spread, small_sample_level(gap.images)) or (None, None)
    low_90, high_90 = percentile_interval(spread, small_sample_level(gap.images, 0.90)) or (None, None)
    deviation = float(np.nanstd(spread)) * (gap.images / (gap.images - 1)) ** 0.5
    detectable = (NormalDist().inv_cdf(1 - LEVEL / 2) + NormalDist().inv_cdf(POWER)) * deviation
    return replace(gap, ci_low=low, ci_high=high, ci90_low=low_90, ci90_high=high_90, detectable=detectable)
