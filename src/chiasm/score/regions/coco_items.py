"""One item for each detection and for each object that none of them found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.data.boxes import area, xywh_to_xyxy
from chiasm.score.location import CROWDED, location_causes, miss_causes
from chiasm.score.measure import Measure, share
from chiasm.score.regions.coco_files import Kind, Regions, Truth
from chiasm.score.regions.coco_matching import SIZE_LIMITS, SIZES
from chiasm.score.regions.coco_overlaps import Overlaps, pairs_in_image
from chiasm.score.regions.coco_reasons import FOUND, IGNORED, MISLOCATED, MISSED, Reasons
from chiasm.score.result import Counts, Item, LazyItems


def lazy_items(truth: Truth, detections: Regions, overlaps: Overlaps, reasons: Reasons, kind: Kind) -> LazyItems:
    """Statistics count detections, objects and each reason, so that they sum to precision and recall at IoU .5. Of the
    causes, those of a wrong place are told for boxes only."""
    unfound = np.flatnonzero(reasons.object != FOUND)
    images = len(np.union1d(detections.image, truth.objects.image[unfound]))

    def make() -> tuple[Item, ...]:
        wrong_place = _location_causes(truth, detections, overlaps, reasons) if kind == "bbox" else {}
        return (*_of_detections(truth, detections, reasons, wrong_place), *_of_objects(truth, reasons, unfound))

    return LazyItems(Counts(len(detections) + len(unfound), images, unparsed=0), make)


def measures(rows: Sequence[Item]) -> dict[str, Measure]:
    """Precision and recall at IoU .5 over all detections, which unlike average precision are functions of sums."""
    return {"precision@.5": share(FOUND, "detections"), "recall@.5": share(FOUND, "objects")}


def _of_detections(truth: Truth, detections: Regions, reasons: Reasons, causes: dict[int, str]) -> list[Item]:
    true, sizes = _shown_objects(truth), _size_names(detections.area)
    true_sizes = _size_names(truth.objects.area)
    boxes = map(tuple, xywh_to_xyxy(detections.box).tolist())
    columns = (detections.image, detections.category, detections.score, reasons.detection, reasons.partner, reasons.iou)
    rows = []
    for index, (box, (image, category, score, reason, partner, iou)) in enumerate(
        zip(boxes, zip(*(column.tolist() for column in columns), strict=True), strict=True)
    ):
        name = truth.names[category]
        shown = {"name": name, "box": box, "score": score}
        slices = {"category": name, "size": true_sizes[partner] if partner >= 0 else sizes[index], "reason": reason}
        if index in causes:
            slices["cause"] = causes[index]
        statistics = {} if reason == IGNORED else {"detections": 1.0, reason: 1.0, "iou": iou}
        if reason == FOUND:
            statistics["objects"] = 1.0
        rows.append(
            Item(
                id=f"{truth.images[image]}/detection/{index}",
                image=truth.images[image],
                prediction=shown,
                parsed=shown,
                truth=true[partner] if partner >= 0 else None,
                statistics=statistics,
                slices=slices,
            )
        )
    return rows


def _of_objects(truth: Truth, reasons: Reasons, unfound: np.ndarray) -> list[Item]:
    true, sizes, causes = _shown_objects(truth), _size_names(truth.objects.area), _miss_causes(truth, reasons)
    rows = []
    for index in unfound.tolist():
        image, reason = truth.images[truth.objects.image[index]], reasons.object[index]
        slices = {"category": true[index]["name"], "size": sizes[index], "reason": reason}
        if index in causes:
            slices["cause"] = causes[index]
        rows.append(
            Item(
                id=f"{image}/object/{index}",
                image=image,
                prediction=None,
                parsed=None,
                truth=true[index],
                # A mislocated or misnamed object is counted as an error with its detection.
                statistics={} if reason == IGNORED else {"objects": 1.0} | ({MISSED: 1.0} if reason == MISSED else {}),
                slices=slices,
            )
        )
    return rows


def _location_causes(truth: Truth, detections: Regions, overlaps: Overlaps, reasons: Reasons) -> dict[int, str]:
    """By detection, of those in pictures of known size."""
    sizes = _image_sizes(truth)
    wrong = np.flatnonzero((reasons.detection == MISLOCATED) & (sizes[detections.image, 0] > 0))
    objects = xywh_to_xyxy(truth.objects.box)
    other = overlaps[~truth.objects.crowd[overlaps.object] & (overlaps.object != reasons.partner[overlaps.detection])]
    on_another = np.zeros(len(detections), dtype=bool)
    on_another[other.detection[other.iou >= 0.5]] = True
    boxes, true = xywh_to_xyxy(detections.box)[wrong], objects[reasons.partner[wrong]]
    causes = location_causes(boxes, true, on_another[wrong], sizes[detections.image[wrong]])
    return dict(zip(wrong.tolist(), causes, strict=True))


def _miss_causes(truth: Truth, reasons: Reasons) -> dict[int, str]:
    """By object, of those in pictures of known size."""
    objects, sizes = truth.objects, _image_sizes(truth)
    missed = np.flatnonzero((reasons.object == MISSED) & (sizes[objects.image, 0] > 0))
    boxes = xywh_to_xyxy(objects.box)
    own = np.flatnonzero(~objects.crowd)
    one, other = pairs_in_image(missed, objects.image, objects.image[own])
    one, other = one[one != own[other]], own[other][one != own[other]]
    sides = np.minimum(boxes[one, 2:], boxes[other, 2:]) - np.maximum(boxes[one, :2], boxes[other, :2])
    covered = np.prod(np.maximum(sides, 0), axis=1)
    whole = area(boxes)[one]
    crowded = np.zeros(len(objects), dtype=bool)
    crowded[one[(whole > 0) & (covered >= CROWDED * whole)]] = True
    causes = miss_causes(boxes[missed], crowded[missed], sizes[objects.image[missed]])
    return dict(zip(missed.tolist(), causes, strict=True))


def _image_sizes(truth: Truth) -> np.ndarray:
    """(images, 2) width and height, 0 where the file does not give them."""
    return np.array([size or (0, 0) for size in truth.sizes]).reshape(-1, 2)


def _shown_objects(truth: Truth) -> list[dict[str, Any]]:
    boxes = map(tuple, xywh_to_xyxy(truth.objects.box).tolist())
    names = (truth.names[category] for category in truth.objects.category.tolist())
    return [{"name": name, "box": box} for name, box in zip(names, boxes, strict=True)]


def _size_names(area: np.ndarray) -> list[str]:
    """Small, medium or large by COCO's absolute limits; an area on a limit gets the smaller name."""
    return [SIZES[1 + place] for place in np.searchsorted(SIZE_LIMITS[1:3, 1], area).tolist()]
