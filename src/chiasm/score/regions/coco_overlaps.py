"""How much every detection overlaps the objects of its image: computed once, for matching, reasons and causes alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.regions.coco_files import Regions

_PAIRS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs (P,) of a detection and an object of its image that overlap, by index, and their IoU.

    With a crowd IoU is the share of the detection that lies inside it, and only detections of its category count. A
    detection's pairs stand together, its objects in the order of the file.
    """

    detection: np.ndarray
    object: np.ndarray
    iou: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Overlaps:
        return Overlaps(self.detection[chosen], self.object[chosen], self.iou[chosen])


def overlaps(detections: Regions, objects: Regions, chosen: np.ndarray) -> Overlaps:
    """Of the detections `chosen`, ascending indices, with all objects."""
    chosen = chosen[np.argsort(detections.image[chosen], kind="stable")]
    parts = []
    blocks = 1 + len(chosen) * len(objects) // max(1, len(np.unique(objects.image))) // _PAIRS_AT_ONCE
    for some in np.array_split(chosen, blocks):
        detection, other = pairs_in_image(some, detections.image, objects.image)
        if detections.rle is None or objects.rle is None:
            iou = _box_iou(detections.box[detection], objects.box[other], objects.crowd[other])
        else:
            iou = _mask_iou(detections, objects, detection, other)
        same_name = detections.category[detection] == objects.category[other]
        kept = (iou > 0) & (same_name | ~objects.crowd[other])
        parts.append((detection[kept], other[kept], iou[kept]))
    return Overlaps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def pairs_in_image(chosen: np.ndarray, image: np.ndarray, other_image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every region of `chosen`, by index into `image`, with every region of the same image in `other_image`."""
    order = np.argsort(other_image, kind="stable")
    first, last = (np.searchsorted(other_image[order], image[chosen], side=side) for side in ("left", "right"))
    count = last - first
    start = np.cumsum(count) - count
    within = np.arange(count.sum()) - np.repeat(start - first, count)
    return np.repeat(chosen, count), order[within]


def _box_iou(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Row by row, (P, 4) left, top, width, height: (P,), in the steps of the backend and so with the same bits."""
    left, top, width, height = boxes.T
    other_left, other_top, other_width, other_height = others.T
    across = np.minimum(left + width, other_left + other_width) - np.maximum(left, other_left)
    down = np.minimum(top + height, other_top + other_height) - np.maximum(top, other_top)
    touch = (across > 0) & (down > 0)
    shared = across * down
    whole = width * height
    union = np.where(crowd, whole, whole + other_width * other_height - shared)
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=touch)


def _mask_iou(detections: Regions, objects: Regions, detection: np.ndarray, other: np.ndarray) -> np.ndarray:
    from faster_coco_eval import mask as backend

    assert detections.rle is not None
    assert objects.rle is not None
    parts = [np.zeros(0)]
    starts = np.flatnonzero(np.diff(detections.image[detection], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(detection)], strict=True):
        found, there = np.unique(detection[start:end]), np.unique(other[start:end])
        crowd = objects.crowd[there].astype(int).tolist()
        iou = backend.iou([detections.rle[i] for i in found], [objects.rle[i] for i in there], crowd)
        parts.append(np.asarray(iou).ravel())
    return np.concatenate(parts)
