"""COCO's twelve numbers from faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chiasm.score.regions.coco_accumulate import METRICS
from chiasm.score.regions.coco_files import Kind, Regions, Truth
from chiasm.score.regions.coco_matching import MOST_DETECTIONS, Matches


def official(
    truth: Truth, detections: Regions, matches: Matches, kind: Kind
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """The twelve numbers by name, and each category's AP by its name; None where there is nothing to find.

    The backend matches and sums for itself; of `matches` it takes the IoUs, which are the same as its own. It visits
    every category of every image, empty or not. Categories are scored apart, so each is given its own images in a row:
    the n-th image of a category is the n-th that has something of it.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    nth, object_nth = _places_in_category(detections, truth.objects, len(truth.images))
    tables = _iou_tables(detections, truth.objects, matches, nth, object_nth)

    class Evaluation(COCOeval_faster):
        def computeIoU(self, imgId: int, catId: int) -> Any:
            return tables[imgId, catId]

    most = 1 + max(nth.max(initial=0), object_nth.max(initial=0))
    known, found = (
        COCO(_dataset(truth.names, regions, image, most))
        for regions, image in ((truth.objects, object_nth), (detections, nth))
    )
    evaluation = Evaluation(known, found, kind, print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    all_sizes = evaluation.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, categories
    return (
        {name: _defined(value) for name, value in zip(METRICS, evaluation.stats, strict=True)},
        {name: _defined(value) for name, value in zip(truth.names, all_sizes.mean(axis=(0, 1)), strict=True)},
    )


def _places_in_category(detections: Regions, objects: Regions, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each detection and each object, the place of its image among those that have something of its category."""
    category = np.concatenate([detections.category, objects.category])
    image = np.concatenate([detections.image, objects.image])
    groups, group = np.unique(category * images + image, return_inverse=True)
    first = np.searchsorted(groups, category * images)
    place = group - first
    return place[: len(detections)], place[len(detections) :]


def _iou_tables(
    detections: Regions, objects: Regions, matches: Matches, nth: np.ndarray, object_nth: np.ndarray
) -> Mapping[tuple[int, int], np.ndarray]:
    """By the backend's ids of image and category: detections by falling score, objects in the order of the file."""
    categories = 1 + max(detections.category.max(initial=0), objects.category.max(initial=0))
    taking_part = np.flatnonzero(matches.rank < MOST_DETECTIONS)
    groups, height = np.unique((nth * categories + detections.category)[taking_part], return_counts=True)
    object_group = object_nth * categories + objects.category
    order = np.argsort(object_group, kind="stable")
    first, last = (np.searchsorted(object_group[order], groups, side=side) for side in ("left", "right"))
    width = last - first
    column = np.empty(len(objects), dtype=np.int64)
    column[order] = np.arange(len(objects))
    start = np.cumsum(np.r_[0, height * width])

    pairs = matches.overlaps
    pairs = pairs[detections.category[pairs.detection] == objects.category[pairs.object]]
    of_pair = np.searchsorted(groups, object_group[pairs.object])
    cell = matches.rank[pairs.detection] * width[of_pair] + column[pairs.object] - first[of_pair]
    every = np.zeros(start[-1])
    every[start[of_pair] + cell] = pairs.iou
    return {
        (group // categories + 1, group % categories + 1): every[begin : begin + rows * columns].reshape(rows, columns)
        for group, begin, rows, columns in zip(
            groups.tolist(), start[:-1].tolist(), height.tolist(), width.tolist(), strict=True
        )
    }


def _dataset(names: Sequence[str], regions: Regions, image: np.ndarray, images: int) -> dict[str, Any]:
    """What the backend reads. Ids are numbered anew from 1, because it takes 0 for "matched to nothing" and wants whole
    numbers, and the order of images and categories is kept."""
    columns: dict[str, Any] = {
        "id": range(1, len(regions) + 1),
        "image_id": (image + 1).tolist(),
        "category_id": (regions.category + 1).tolist(),
        "bbox": regions.box.tolist(),
        "area": regions.area.tolist(),
        "iscrowd": regions.crowd.astype(int).tolist(),
    }
    if len(regions.score):
        columns["score"] = regions.score.tolist()
    if regions.rle is not None:
        columns["segmentation"] = regions.rle
    # The size of an image matters only to polygons, and masks come as run lengths.
    return {
        "images": [{"id": i + 1, "width": 0, "height": 0} for i in range(images)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "annotations": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }


def _defined(value: float) -> float | None:
    return None if value == -1 else float(value)


def _silent(*_: object) -> None:
    pass
