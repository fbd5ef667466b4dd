"""Detections matched to objects as COCO does, image by image, at every threshold and size range at once.

The IoUs are the backend's; the matching is done again here because the backend keeps only its sums, and intervals and
reasons need to know what happened to each detection. The tests hold both to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions

THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = ("all", "small", "medium", "large")
SIZE_LIMITS = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]], dtype=np.float64)
"""Area in pixels from and up to which an object belongs to each of `SIZES`."""
MOST_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of every detection (D of them) and object (G): sizes (4) and thresholds (10) in the order above.

    `rank` (D,) is a detection's place by score among those of its image and category; those of `MOST_DETECTIONS` and
    beyond take no part. `true` (4, 10, D) says that it found an object, `ignored` (4, 10, D) that it counts neither way
    (a crowd, or another size), `found` (10, D) is the object it found among all sizes, crowds included, or -1.
    `counted` (4, G) says that an object is one to find.
    """

    rank: np.ndarray
    true: np.ndarray
    ignored: np.ndarray
    found: np.ndarray
    counted: np.ndarray


def match(detections: Regions, objects: Regions) -> Matches:
    """Greedy matching by falling score (Lin et al. 2014; cocoeval.py): each takes the free object it overlaps most."""
    count, shape = len(detections), (len(SIZES), len(THRESHOLDS))
    inside = _inside_limits(objects.area)
    counted = inside & ~objects.crowd
    rank = np.full(count, MOST_DETECTIONS, dtype=np.int64)
    true = np.zeros((*shape, count), dtype=bool)
    ignored = np.repeat(~_inside_limits(detections.area)[:, None, :], len(THRESHOLDS), axis=1)
    found = np.full((len(THRESHOLDS), count), -1, dtype=np.int64)

    objects_of = _groups(objects)
    for key, members in _groups(detections).items():
        members = members[np.argsort(-detections.score[members], kind="stable")]
        rank[members] = np.arange(len(members))
        members = members[:MOST_DETECTIONS]
        candidates = objects_of.get(key)
        if candidates is None:
            continue
        iou = overlaps(detections, members, objects, candidates)
        crowd = objects.crowd[candidates]
        taken = _match_one_image(iou, counted[:, candidates], crowd)
        hit = taken >= 0
        on_counted = np.take_along_axis(counted[:, None, candidates], np.maximum(taken, 0), axis=2) & hit
        true[:, :, members] = on_counted
        ignored[:, :, members] = np.where(hit, ~on_counted, ignored[:, :, members])
        found[:, members] = np.where(hit[0], candidates[taken[0]], -1)
    return Matches(rank, true, ignored, found, counted)


def overlaps(detections: Regions, some: np.ndarray, objects: Regions, others: np.ndarray) -> np.ndarray:
    """IoU of the chosen detections with the chosen objects: (chosen, chosen). For a crowd, the share of the detection
    that lies inside it."""
    from faster_coco_eval import mask as backend

    if not len(some) or not len(others):
        return np.zeros((len(some), len(others)))
    crowd = objects.crowd[others].astype(int).tolist()
    if detections.rle is None or objects.rle is None:
        return np.asarray(backend.iou(detections.box[some], objects.box[others], crowd))
    return np.asarray(backend.iou([detections.rle[i] for i in some], [objects.rle[i] for i in others], crowd))


def _match_one_image(iou: np.ndarray, counted: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The object that each detection of one image and category takes, or -1: (4, 10, detections).

    `iou` is (detections, objects), detections by falling score; `counted` is (4, objects). An object that counts goes
    before one that doesn't, then the larger IoU, then the later in the file. A crowd is never used up.
    """
    detections, objects = iou.shape
    taken = np.full((len(SIZES), len(THRESHOLDS), detections), -1, dtype=np.int64)
    free = np.ones((len(SIZES), len(THRESHOLDS), objects), dtype=bool)
    by_iou = np.argsort(np.argsort(iou, axis=1, kind="stable"), axis=1, kind="stable")
    for row in np.flatnonzero(iou.max(axis=1) >= THRESHOLDS[0]):
        enough = iou[row] >= THRESHOLDS[:, None]
        preference = by_iou[row] + objects * counted
        value = np.where(free & enough, preference[:, None, :], -1)
        best = value.argmax(axis=2)
        hit = np.take_along_axis(value, best[..., None], axis=2)[..., 0] >= 0
        taken[:, :, row] = np.where(hit, best, -1)
        size, threshold = np.nonzero(hit & ~crowd[best])
        free[size, threshold, best[size, threshold]] = False
    return taken


def _groups(regions: Regions) -> dict[tuple[int, int], np.ndarray]:
    """The indices of the regions of each (image, category), in the order of the file."""
    if not len(regions):
        return {}
    order = np.lexsort((regions.category, regions.image))
    image, category = regions.image[order], regions.category[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(image) != 0) | (np.diff(category) != 0)])
    parts = np.split(order, starts[1:])
    return {(int(image[start]), int(category[start])): part for start, part in zip(starts, parts, strict=True)}


def _inside_limits(area: np.ndarray) -> np.ndarray:
    """(4, N): both limits belong to the range, as in COCO."""
    return (area >= SIZE_LIMITS[:, :1]) & (area <= SIZE_LIMITS[:, 1:])
