"""Detections matched to objects as COCO does, in all images, at every threshold and size range at once.

The backend keeps only its sums, and intervals and reasons need to know what happened to each detection. The tests hold
both to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_overlaps import Overlaps, overlaps

THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = ("all", "small", "medium", "large")
SIZE_LIMITS = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]], dtype=np.float64)
"""Area in pixels from and up to which an object belongs to each of `SIZES`."""
MOST_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of every detection (D of them) and object (G): sizes (4) and thresholds (10) in the order above.

    `rank` (D,) is a detection's place by score among those of its image and category; those of `MOST_DETECTIONS` and
    beyond take no part. `by_score` are those that do, by falling score, and `overlaps` are theirs. `true` (4, 10, D)
    says that it found an object, `ignored` (4, 10, D) that it counts neither way (a crowd, or another size), `found`
    (10, D) is the object it found among all sizes, crowds included, or -1. `counted` (4, G) says that an object is one
    to find.
    """

    rank: np.ndarray
    by_score: np.ndarray
    overlaps: Overlaps
    true: np.ndarray
    ignored: np.ndarray
    found: np.ndarray
    counted: np.ndarray


def match(detections: Regions, objects: Regions) -> Matches:
    """Greedy matching by falling score (Lin et al. 2014; cocoeval.py): each takes the free object it overlaps most.

    An object that counts goes before one that doesn't, then the larger IoU, then the later in the file. A crowd is
    never used up.
    """
    counted = _inside_limits(objects.area) & ~objects.crowd
    rank = _ranks(detections)
    touching = overlaps(detections, objects, np.flatnonzero(rank < MOST_DETECTIONS))
    true = np.zeros((len(SIZES), len(THRESHOLDS), len(detections)), dtype=bool)
    ignored = np.repeat(~_inside_limits(detections.area)[:, None, :], len(THRESHOLDS), axis=1)
    found = np.full((len(THRESHOLDS), len(detections)), -1, dtype=np.int64)

    same_name = detections.category[touching.detection] == objects.category[touching.object]
    pairs = touching[same_name & (touching.iou >= THRESHOLDS[0])]
    pairs = pairs[np.lexsort((pairs.object, pairs.iou, pairs.detection, rank[pairs.detection]))]
    free = np.ones((len(SIZES), len(THRESHOLDS), len(objects)), dtype=bool)
    # Of one rank there is one detection in each image and category, so that none competes with another for an object.
    turns = np.flatnonzero(np.diff(rank[pairs.detection])) + 1
    for turn in np.split(np.arange(len(pairs.iou)), turns) if len(pairs.iou) else ():
        some = pairs[turn]
        begins = np.flatnonzero(np.diff(some.detection, prepend=-1))
        members = some.detection[begins]
        preference = np.arange(len(turn)) + len(turn) * counted[:, some.object]
        possible = free[:, :, some.object] & (some.iou >= THRESHOLDS[:, None])
        best = np.maximum.reduceat(np.where(possible, preference[:, None, :], -1), begins, axis=2)
        hit = best >= 0
        taken = some.object[best % len(turn)]
        on_counted = hit & np.take_along_axis(counted[:, None], taken, axis=2)
        true[:, :, members] = on_counted
        ignored[:, :, members] = np.where(hit, ~on_counted, ignored[:, :, members])
        found[:, members] = np.where(hit[0], taken[0], -1)
        size, threshold, place = np.nonzero(hit & ~objects.crowd[taken])
        free[size, threshold, taken[size, threshold, place]] = False
    return Matches(rank, by_falling_score(detections, rank), touching, true, ignored, found, counted)


def by_falling_score(detections: Regions, rank: np.ndarray) -> np.ndarray:
    """Those that take part; between equal scores the earlier image goes first, then the earlier in the file."""
    order = np.lexsort((detections.image, -detections.score))
    return order[rank[order] < MOST_DETECTIONS]


def _ranks(detections: Regions) -> np.ndarray:
    """Each detection's place by score among those of its image and category; between equal scores, by the file."""
    order = np.lexsort((-detections.score, detections.category, detections.image))
    image, category = detections.image[order], detections.category[order]
    new_group = (np.diff(image, prepend=-1) != 0) | (np.diff(category, prepend=-1) != 0)
    starts = np.flatnonzero(new_group)
    rank = np.empty(len(detections), dtype=np.int64)
    rank[order] = np.arange(len(detections)) - np.repeat(starts, np.diff(starts, append=len(detections)))
    return rank


def _inside_limits(area: np.ndarray) -> np.ndarray:
    """(4, N): both limits belong to the range, as in COCO."""
    return (area >= SIZE_LIMITS[:, :1]) & (area <= SIZE_LIMITS[:, 1:])
