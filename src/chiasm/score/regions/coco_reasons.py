"""Why each detection is right or wrong, and each object found or not, at IoU .5.

The kinds of error are those of TIDE (Bolya et al. 2020, arXiv:2008.08115, section 2.2), tested in its order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, Matches, overlaps

FOUND = "found"
IGNORED = "ignored"
"""In a crowd region, or beyond the 100 best of its image and category: counts neither way."""
MISLOCATED = "mislocated"
"""The name of an object, IoU with it from .1 to below .5."""
WRONG_NAME = "wrong name"
"""IoU of .5 or more with an object of another name."""
DUPLICATE = "duplicate"
"""IoU of .5 or more with an object of its name that a better-scored detection has found."""
WRONG_NAME_AND_PLACE = "wrong name and place"
"""IoU from .1 to below .5 with an object of another name only."""
BACKGROUND = "background"
"""IoU below .1 with every object."""
MISSED = "missed"
"""An object that no detection found, mislocated or misnamed."""
ERRORS = (MISLOCATED, WRONG_NAME, DUPLICATE, WRONG_NAME_AND_PLACE, BACKGROUND, MISSED)

_RIGHT, _NEAR = 0.5, 0.1


@dataclass(frozen=True, slots=True)
class Reasons:
    """`detection` (D,) and `object` (G,) are reasons as above. `partner` (D,) is the object a detection found,
    mislocated, misnamed or repeated, or -1, and `iou` (D,) its IoU with it, or else the largest with any object.

    An object that was not found has the reason of the best-scored detection that mislocated or misnamed it, so that
    one mistake is not blamed as two.
    """

    detection: np.ndarray
    object: np.ndarray
    partner: np.ndarray
    iou: np.ndarray


def explain(detections: Regions, objects: Regions, matches: Matches) -> Reasons:
    """The reason of every detection and object."""
    count = len(detections)
    reason = np.full(count, IGNORED, dtype=object)
    partner = np.full(count, -1, dtype=np.int64)
    best_iou = np.zeros(count)
    scored = np.flatnonzero(matches.rank < MOST_DETECTIONS)
    scored_of, objects_of = _by_image(scored, detections), _by_image(np.flatnonzero(~objects.crowd), objects)
    for image, members in scored_of.items():
        candidates = objects_of.get(image, np.zeros(0, dtype=np.int64))
        iou = overlaps(detections, members, objects, candidates)
        same_name = detections.category[members][:, None] == objects.category[candidates][None, :]
        nearest, iou_same = _best(iou, candidates, same_name)
        nearest_other, iou_other = _best(iou, candidates, ~same_name)
        found = matches.found[0, members]
        cases = {  # the first that applies
            FOUND: matches.true[0, 0, members],
            IGNORED: found >= 0,  # a crowd, since it is not true
            MISLOCATED: (iou_same >= _NEAR) & (iou_same < _RIGHT),
            WRONG_NAME: iou_other >= _RIGHT,
            DUPLICATE: iou_same >= _RIGHT,
            WRONG_NAME_AND_PLACE: iou_other >= _NEAR,
        }
        partners = {FOUND: found, MISLOCATED: nearest, WRONG_NAME: nearest_other, DUPLICATE: nearest}
        reason[members] = why = np.select([*cases.values()], np.array([*cases], dtype=object), BACKGROUND)
        partner[members] = np.select([why == name for name in partners], [*partners.values()], -1)
        with_partner = np.where(candidates[None, :] == partner[members][:, None], iou, 0).max(axis=1, initial=0)
        best_iou[members] = np.where(partner[members] >= 0, with_partner, np.maximum(iou_same, iou_other))
    return Reasons(reason, _of_objects(detections, objects, reason, partner), partner, best_iou)


def _of_objects(detections: Regions, objects: Regions, reason: np.ndarray, partner: np.ndarray) -> np.ndarray:
    of_object = np.where(objects.crowd, IGNORED, MISSED).astype(object)
    # The last to write wins: from the worst score to the best, and what is found over all mistakes.
    by_score = np.argsort(detections.score, kind="stable")
    mistaken = by_score[np.isin(reason[by_score], (MISLOCATED, WRONG_NAME))]
    of_object[partner[mistaken]] = reason[mistaken]
    of_object[partner[reason == FOUND]] = FOUND
    return of_object


def _best(iou: np.ndarray, candidates: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the allowed candidate with the largest IoU, -1 if there is none, and that IoU, then 0."""
    if not len(candidates):
        return np.full(len(iou), -1), np.zeros(len(iou))
    masked = np.where(allowed, iou, -1)
    column = masked.argmax(axis=1)
    value = masked[np.arange(len(iou)), column]
    return np.where(value >= 0, candidates[column], -1), np.maximum(value, 0)


def _by_image(chosen: np.ndarray, regions: Regions) -> dict[int, np.ndarray]:
    if not len(chosen):
        return {}
    order = chosen[np.argsort(regions.image[chosen], kind="stable")]
    images = regions.image[order]
    starts = np.flatnonzero(np.r_[True, np.diff(images) != 0])
    return {int(images[start]): part for start, part in zip(starts, np.split(order, starts[1:]), strict=True)}
