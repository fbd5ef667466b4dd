"""`chiasm score TASK` for boxes, masks and points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.progress import progress
from chiasm.cli.score_task import MissingWrong, Predictions, Truth, missing_as, task
from chiasm.score.result import Score

if TYPE_CHECKING:
    from chiasm.score.regions.coco_files import Kind

panel = "Boxes and masks"

Replicates = Annotated[int, typer.Option(min=0, help="Resampled sets for the intervals; 0 leaves them out.")]


@task(panel, "coco-det")
def coco_det(gt: Truth, pred: Predictions, replicates: Replicates = 1000) -> Score:
    """COCO's AP and AR of boxes, and what each kind of error costs."""
    return _coco(gt, pred, "bbox", replicates)


@task(panel, "coco-seg")
def coco_seg(gt: Truth, pred: Predictions, replicates: Replicates = 1000) -> Score:
    """COCO's AP and AR of masks, and what each kind of error costs."""
    return _coco(gt, pred, "segm", replicates)


def _coco(gt: Path, pred: Path, kind: Kind, replicates: int) -> Score:
    from chiasm.score.regions.coco import score_coco

    if not replicates:
        return score_coco(gt, pred, kind, 0)
    with progress("resampled sets", replicates) as advance:
        return score_coco(gt, pred, kind, replicates, advance=advance)


@task(panel)
def refcoco(
    gt: Annotated[Path, typer.Option("--gt", help="refs(...).p or refs as JSON.")],
    instances: Annotated[Path, typer.Option(help="RefCOCO's instances.json.")],
    pred: Predictions,
    split: Annotated[str | None, typer.Option(help="val, testA, testB, ...; all where it is left out.")] = None,
    box_order: Annotated[str, typer.Option(help="Of predicted boxes: xywh or xyxy.")] = "xywh",
    text_dialect: Annotated[str | None, typer.Option(help="Box format of predictions that are a model's text.")] = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """RefCOCO(+/g): acc@.5 and others, mean IoU; mIoU and cIoU of masks."""
    from chiasm.score.regions.refcoco import score_refcoco

    return score_refcoco(
        gt,
        instances,
        pred,
        split=split,
        box_order=box_order,  # type: ignore[arg-type]
        text_dialect=text_dialect,
        missing=missing_as(missing_wrong),
    )


@task(panel)
def masks(gt: Truth, pred: Predictions, missing_wrong: MissingWrong = False) -> Score:
    """IoU, Dice, boundary F, cIoU and mIoU of masks."""
    from chiasm.score.regions.mask_files import score_masks

    return score_masks(gt, pred, missing_as(missing_wrong))


@task(panel)
def pointing(gt: Truth, pred: Predictions, missing_wrong: MissingWrong = False) -> Score:
    """The pointing game: is the most important point in the region? Attribution maps also have their energy and IoU."""
    from chiasm.score.regions.pointing import score_pointing

    return score_pointing(gt, pred, missing=missing_as(missing_wrong))
