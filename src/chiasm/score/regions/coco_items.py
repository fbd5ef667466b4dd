"""One item for each detection and for each object that none of them found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.score.location import location_cause, miss_cause
from chiasm.score.measure import Measure, share
from chiasm.score.regions.coco_files import Kind, Regions, Truth
from chiasm.score.regions.coco_matching import SIZE_LIMITS, SIZES
from chiasm.score.regions.coco_reasons import FOUND, IGNORED, MISLOCATED, MISSED, Reasons
from chiasm.score.result import Item
from chiasm.types import Box


def items(truth: Truth, detections: Regions, reasons: Reasons, kind: Kind) -> tuple[Item, ...]:
    """Statistics count detections, objects and each reason, so that they sum to precision and recall at IoU .5. Of the
    causes, those of a wrong place are told for boxes only."""
    objects = truth.objects
    boxes = [_box(row) for row in detections.box.tolist()]
    true_boxes = [_box(row) for row in objects.box.tolist()]
    in_image: dict[int, list[int]] = {}
    for index, image in enumerate(objects.image.tolist()):
        if not objects.crowd[index]:
            in_image.setdefault(image, []).append(index)

    def others(image: int, but: int) -> list[Box]:
        return [true_boxes[other] for other in in_image.get(image, ()) if other != but]

    rows = []
    sizes = _size_names(detections.area)
    true_sizes = _size_names(objects.area)
    for index, image in enumerate(detections.image.tolist()):
        reason, partner = str(reasons.detection[index]), int(reasons.partner[index])
        name = truth.names[detections.category[index]]
        shown = {"name": name, "box": boxes[index].as_tuple(), "score": float(detections.score[index])}
        slices = {"category": name, "size": true_sizes[partner] if partner >= 0 else sizes[index], "reason": reason}
        size = truth.sizes[image]
        if reason == MISLOCATED and kind == "bbox" and size:
            slices["cause"] = location_cause(boxes[index], true_boxes[partner], others(image, partner), size)
        statistics = {} if reason == IGNORED else {"detections": 1.0, reason: 1.0, "iou": float(reasons.iou[index])}
        if reason == FOUND:
            statistics["objects"] = 1.0
        rows.append(
            Item(
                id=f"{truth.images[image]}/detection/{index}",
                image=truth.images[image],
                prediction=shown,
                parsed=shown,
                truth=_true(truth, true_boxes, partner),
                statistics=statistics,
                slices=slices,
            )
        )
    for index in np.flatnonzero(reasons.object != FOUND).tolist():
        image, reason = int(objects.image[index]), str(reasons.object[index])
        slices = {"category": truth.names[objects.category[index]], "size": true_sizes[index], "reason": reason}
        if reason == MISSED and (size := truth.sizes[image]):
            slices["cause"] = miss_cause(true_boxes[index], others(image, index), size)
        rows.append(
            Item(
                id=f"{truth.images[image]}/object/{index}",
                image=truth.images[image],
                prediction=None,
                parsed=None,
                truth=_true(truth, true_boxes, index),
                # A mislocated or misnamed object is counted as an error with its detection.
                statistics={} if reason == IGNORED else {"objects": 1.0} | ({MISSED: 1.0} if reason == MISSED else {}),
                slices=slices,
            )
        )
    return tuple(rows)


def measures(rows: Sequence[Item]) -> dict[str, Measure]:
    """Precision and recall at IoU .5 over all detections, which unlike average precision are functions of sums."""
    return {"precision@.5": share(FOUND, "detections"), "recall@.5": share(FOUND, "objects")}


def _true(truth: Truth, boxes: list[Box], index: int) -> dict[str, Any] | None:
    if index < 0:
        return None
    return {"name": truth.names[truth.objects.category[index]], "box": boxes[index].as_tuple()}


def _box(xywh: list[float]) -> Box:
    left, top, width, height = xywh
    return Box(left, top, left + width, top + height)


def _size_names(area: np.ndarray) -> list[str]:
    """Small, medium or large by COCO's absolute limits; an area on a limit gets the smaller name."""
    return [SIZES[1 + int(place)] for place in np.searchsorted(SIZE_LIMITS[1:3, 1], area)]
