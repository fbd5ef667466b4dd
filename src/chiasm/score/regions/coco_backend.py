"""COCO's twelve numbers from faster-coco-eval."""

from __future__ import annotations

from typing import Any

from chiasm.score.regions.coco_accumulate import METRICS
from chiasm.score.regions.coco_files import Kind, Regions, Truth


def official(truth: Truth, detections: Regions, kind: Kind) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """The twelve numbers by name, and each category's AP by its name; None where there is nothing to find."""
    from faster_coco_eval import COCO, COCOeval_faster

    evaluation = COCOeval_faster(
        COCO(_dataset(truth, truth.objects)), COCO(_dataset(truth, detections)), kind, print_function=_silent
    )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    all_sizes = evaluation.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, categories
    return (
        {name: _defined(value) for name, value in zip(METRICS, evaluation.stats, strict=True)},
        {name: _defined(value) for name, value in zip(truth.names, all_sizes.mean(axis=(0, 1)), strict=True)},
    )


def _dataset(truth: Truth, regions: Regions) -> dict[str, Any]:
    """What the backend reads. Ids are numbered anew from 1, because it takes 0 for "matched to nothing" and wants whole
    numbers, and the order of images and categories is kept."""
    annotations: list[dict[str, Any]] = [
        {
            "id": index + 1,
            "image_id": int(regions.image[index]) + 1,
            "category_id": int(regions.category[index]) + 1,
            "bbox": regions.box[index].tolist(),
            "area": float(regions.area[index]),
            "iscrowd": int(regions.crowd[index]),
        }
        for index in range(len(regions))
    ]
    for index, row in enumerate(annotations):
        if len(regions.score):
            row["score"] = float(regions.score[index])
        if regions.rle is not None:
            row["segmentation"] = regions.rle[index]
    sizes = [size or (0, 0) for size in truth.sizes]
    return {
        "images": [{"id": i + 1, "width": width, "height": height} for i, (width, height) in enumerate(sizes)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(truth.names)],
        "annotations": annotations,
    }


def _defined(value: float) -> float | None:
    return None if value == -1 else float(value)


def _silent(*_: object) -> None:
    pass
