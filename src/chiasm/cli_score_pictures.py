"""`chiasm score TASK` for boxes, masks, rankings and generated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chiasm.cli_score import AsJson, FailIf, MissingWrong, Out, Predictions, Truth, missing_as, publish, score_app

if TYPE_CHECKING:
    from chiasm.score.result import Score


@score_app.command("coco-det")
def coco_det(
    gt: Truth,
    pred: Predictions,
    replicates: Annotated[int, typer.Option(min=0, help="Resampled sets for the intervals; 0 leaves them out.")] = 1000,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """COCO's AP and AR of boxes, and what each kind of error costs."""
    _coco(gt, pred, "bbox", replicates, out, as_json, fail_if)


@score_app.command("coco-seg")
def coco_seg(
    gt: Truth,
    pred: Predictions,
    replicates: Annotated[int, typer.Option(min=0, help="Resampled sets for the intervals; 0 leaves them out.")] = 1000,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """COCO's AP and AR of masks, and what each kind of error costs."""
    _coco(gt, pred, "segm", replicates, out, as_json, fail_if)


def _coco(
    gt: Path,
    pred: Path,
    kind: Literal["bbox", "segm"],
    replicates: int,
    out: Path | None,
    as_json: bool,
    fail_if: list[str] | None,
) -> None:
    def make() -> Score:
        from chiasm.score.regions.coco import score_coco

        return score_coco(gt, pred, kind, replicates)

    publish(make, {"truth": gt, "predictions": pred}, out, as_json, fail_if, {"replicates": replicates})


@score_app.command()
def refcoco(
    gt: Annotated[Path, typer.Option("--gt", help="refs(...).p or refs as JSON.")],
    instances: Annotated[Path, typer.Option(help="RefCOCO's instances.json.")],
    pred: Predictions,
    split: Annotated[str | None, typer.Option(help="val, testA, testB, ...; all where it is left out.")] = None,
    box_order: Annotated[str, typer.Option(help="Of predicted boxes: xywh or xyxy.")] = "xywh",
    text_dialect: Annotated[str | None, typer.Option(help="Box format of predictions that are a model's text.")] = None,
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """RefCOCO(+/g): acc@.5 and others, mean IoU; mIoU and cIoU of masks."""
    options = {
        "split": split,
        "box_order": box_order,
        "text_dialect": text_dialect,
        "missing": missing_as(missing_wrong),
    }

    def make() -> Score:
        from chiasm.score.regions.refcoco import score_refcoco

        return score_refcoco(gt, instances, pred, **options)  # type: ignore[arg-type]

    publish(make, {"truth": gt, "instances": instances, "predictions": pred}, out, as_json, fail_if, options)


@score_app.command()
def pictures(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of generated pictures.")],
    gt: Annotated[Path | None, typer.Option("--gt", help="Folder of references of the same names and sizes.")] = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """PIQE of pictures; beside references also PSNR, SSIM and MS-SSIM."""

    def make() -> Score:
        from chiasm.score.generation.pictures import score_pictures

        return score_pictures(pred, gt)

    publish(make, {}, None, as_json, fail_if)


@score_app.command()
def t2i(
    gt: Annotated[Path, typer.Option("--gt", help="Features of real pictures, .npy (pictures, d).")],
    pred: Annotated[Path, typer.Option("--pred", help="Features of generated pictures, .npy.")],
    probabilities: Annotated[
        Path | None, typer.Option(help="Class probabilities, .npy, for the Inception Score.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """FID, KID and Inception Score from features that are already computed."""

    def make() -> Score:
        from chiasm.score.generation.distances import score_features

        return score_features(gt, pred, probabilities)

    publish(make, {"truth": gt, "predictions": pred, "probabilities": probabilities}, out, as_json, fail_if)
