"""Why each detection is right or wrong, and each object found or not, at IoU .5.

The kinds of error are those of TIDE (Bolya et al. 2020, arXiv:2008.08115, section 2.2), tested in its order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, Matches
from chiasm.score.regions.coco_overlaps import Overlaps

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
    own = matches.overlaps[~objects.crowd[matches.overlaps.object]]
    same_name = detections.category[own.detection] == objects.category[own.object]
    nearest, iou_same = _nearest(own[same_name], count)
    nearest_other, iou_other = _nearest(own[~same_name], count)
    found = matches.found[0]
    cases = {  # the first that applies
        FOUND: matches.true[0, 0],
        IGNORED: (found >= 0) | (matches.rank >= MOST_DETECTIONS),  # not true, so that what it found is a crowd
        MISLOCATED: (iou_same >= _NEAR) & (iou_same < _RIGHT),
        WRONG_NAME: iou_other >= _RIGHT,
        DUPLICATE: iou_same >= _RIGHT,
        WRONG_NAME_AND_PLACE: iou_other >= _NEAR,
    }
    names = np.array([*cases, BACKGROUND], dtype=object)
    case = np.select([*cases.values()], range(len(cases)), len(cases))
    reason = names[case]
    partners = {FOUND: found, MISLOCATED: nearest, WRONG_NAME: nearest_other, DUPLICATE: nearest}
    partner = np.select([reason == name for name in partners], [*partners.values()], -1)
    iou = np.where(partner >= 0, 0.0, np.maximum(iou_same, iou_other))
    with_partner = own[own.object == partner[own.detection]]
    iou[with_partner.detection] = with_partner.iou
    return Reasons(reason, _of_objects(detections, objects, reason, partner), partner, iou)


def _of_objects(detections: Regions, objects: Regions, reason: np.ndarray, partner: np.ndarray) -> np.ndarray:
    of_object = np.where(objects.crowd, IGNORED, MISSED).astype(object)
    # The last to write wins: from the worst score to the best, and what is found over all mistakes.
    by_score = np.argsort(detections.score, kind="stable")
    mistaken = by_score[np.isin(reason[by_score], (MISLOCATED, WRONG_NAME))]
    of_object[partner[mistaken]] = reason[mistaken]
    of_object[partner[reason == FOUND]] = FOUND
    return of_object


def _nearest(pairs: Overlaps, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The object that each of `count` detections overlaps most, the first of equals, -1 for none, and their IoU."""
    nearest, most = np.full(count, -1, dtype=np.int64), np.zeros(count)
    if not len(pairs.iou):
        return nearest, most
    begins = np.flatnonzero(np.diff(pairs.detection, prepend=-1))
    most[pairs.detection[begins]] = np.maximum.reduceat(pairs.iou, begins)
    best = pairs[pairs.iou == most[pairs.detection]]
    nearest[best.detection[::-1]] = best.object[::-1]  # of equals the first is written last
    return nearest, most
