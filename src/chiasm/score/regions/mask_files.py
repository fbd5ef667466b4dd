"""Masks in files scored pair by pair: IoU, Dice, mIoU over categories, and the two boundary measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.records import by_id, paired, records
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, mean_of_ratios, means
from chiasm.score.regions.masks import boundary_f, boundary_iou, overlap
from chiasm.score.regions.rle import decode
from chiasm.score.result import Item, Score


def score_masks(
    truth: Path | str,
    predictions: Path | str,
    missing: Literal["error", "wrong"] = "error",
    replicates: int = 2000,
    seed: int = 0,
) -> Score:
    """Mean IoU, Dice, boundary F and boundary IoU of masks, cIoU, and mIoU over categories.

    `truth` has rows ``{id, image, category, width, height, segmentation}``, `predictions` rows ``{id, segmentation}``,
    segmentations as in COCO (an empty mask is run lengths of zeros). One row a picture and category makes the "mIoU" of
    semantic segmentation: the mean over categories of summed intersections over summed unions. "cIoU" sums over all
    rows, the other numbers are means of rows. Where both masks of a row are empty its scores are 1, and a note counts
    such rows. Raises DataError for files that can't be read or do not fit each other.
    """
    true = by_id(truth, records(truth), "id", "mask")
    said = by_id(predictions, records(predictions), "id", "mask")
    paired(true.keys(), said.keys(), truth, predictions, missing)
    items = tuple(_item(truth, predictions, key, row, said.get(key)) for key, row in true.items())
    values = summarise(items, _BY_CATEGORY, ("category",), replicates, seed)
    values += summarise(items, {"mIoU": _over_categories(items)}, (), replicates, seed)
    return Score("masks", "both empty = 1", values, items, _notes(items))


_BY_CATEGORY = {
    **means(("IoU", "Dice", "boundary F", "boundary IoU"), "masks"),
    "cIoU": Measure(lambda sums: sums["intersection"] / sums["union"], "masks"),
}


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_masks`."""
    return _BY_CATEGORY | {"mIoU": _over_categories(items)}


def _over_categories(items: Sequence[Item]) -> Measure:
    names = sorted({item.slices["category"] for item in items})
    return mean_of_ratios(names, "intersection", "union", "masks")


def _item(
    truth: Path | str, predictions: Path | str, key: str, row: Mapping[str, Any], said: Mapping[str, Any] | None
) -> Item:
    size = row.get("width"), row.get("height")
    if not all(type(side) is int and side > 0 for side in size):
        raise DataError(f"{truth}: mask {key}: width and height are {size}, expected whole numbers of pixels")
    mask = _decoded(f"{truth}: mask {key}", row, size)
    predicted = np.zeros_like(mask) if said is None else _decoded(f"{predictions}: mask {key}", said, size)
    intersection, union = overlap(predicted, mask)
    category = str(row.get("category", "all"))
    reason = "missed" if mask.any() and not predicted.any() else "nothing there" if union and not mask.any() else ""
    iou = intersection / union if union else 1.0
    return Item(
        id=key,
        image=str(row.get("image", key)),
        prediction=said,
        parsed={"pixels": int(np.count_nonzero(predicted))},
        truth={"category": category, "pixels": int(np.count_nonzero(mask))},
        statistics={
            "masks": 1.0,
            "IoU": iou,
            "Dice": 2 * intersection / (union + intersection) if union else 1.0,
            "boundary F": boundary_f(predicted, mask),
            "boundary IoU": boundary_iou(predicted, mask),
            "intersection": float(intersection),
            "union": float(union),
            "both empty": float(not union),
            f"intersection: {category}": float(intersection),
            f"union: {category}": float(union),
        },
        problem=None if said is not None else "no prediction",
        slices={"category": category, "reason": reason or ("found" if iou >= 0.5 else "wrong place")},
    )


def _decoded(where: str, row: Mapping[str, Any], size: tuple[Any, Any]) -> np.ndarray:
    try:
        return decode(row.get("segmentation"), size)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _notes(items: tuple[Item, ...]) -> tuple[str, ...]:
    notes = []
    if empty := int(sum(item.statistics["both empty"] for item in items)):
        notes.append(f"In {empty} of {len(items)} rows both masks are empty, which counts as 1.")
    if absent := sum(item.problem is not None for item in items):
        notes.append(f"{absent} of {len(items)} rows have no prediction and count as empty masks.")
    return tuple(notes)
