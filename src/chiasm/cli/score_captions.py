"""`chiasm score TASK` for captions: overlap with references, hallucinated objects, embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.score_task import Ids, MissingWrong, Predictions, missing_as, task
from chiasm.score.result import Score

panel = "Captions"


@task(panel)
def captions(
    gt: Annotated[list[Path], typer.Option("--gt", help="References; several files are parallel lines.")],
    pred: Predictions,
    karpathy_split: Annotated[str | None, typer.Option(help="Of a Karpathy file, only this split.")] = None,
    meteor: Annotated[Path | None, typer.Option(help="Your own meteor-1.5.jar, to add METEOR; needs Java.")] = None,
    spice: Annotated[
        Path | None, typer.Option(help="Your own folder with spice-1.0.jar and its lib, to add SPICE; Java 8 to 14.")
    ] = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """BLEU, ROUGE-L, CIDEr-D and CIDEr with coco-caption's semantics; METEOR and SPICE by your own Java tools."""
    from chiasm.score.captioning.score import score_captions

    truth = gt[0] if len(gt) == 1 else gt
    return score_captions(
        truth,
        pred,
        missing=missing_as(missing_wrong),
        karpathy_split=karpathy_split,
        meteor_jar=meteor,
        spice_folder=spice,
    )


@task(panel)
def chair(
    gt: Annotated[Path, typer.Option("--gt", help="COCO instances: the objects that each picture has.")],
    pred: Predictions,
    references: Annotated[
        Path | None, typer.Option(help="Captions by people; objects they mention count as present too.")
    ] = None,
    words: Annotated[
        Path | None, typer.Option(help="JSON {class: [other names]}, for other classes than COCO's.")
    ] = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """CHAIR: mentioned objects that the picture does not have, by mention and by caption, and recall beside it."""
    from chiasm.score.captioning.chair import read_words, score_chair
    from chiasm.score.captioning.coco_words import COCO_WORDS

    vocabulary = read_words(words) if words else COCO_WORDS
    return score_chair(gt, pred, references, words=vocabulary, missing=missing_as(missing_wrong))


@task(panel)
def clipscore(
    images: Annotated[Path, typer.Option(help="Embeddings of the pictures, .npy (captions, width), a row a caption.")],
    pred: Annotated[Path, typer.Option("--pred", help="Embeddings of the captions, .npy in the same order.")],
    gt: Annotated[Path | None, typer.Option("--gt", help="Embeddings of references, for RefCLIPScore.")] = None,
    reference_of: Annotated[
        Path | None, typer.Option(help="JSON list: the row of each reference's caption; without it one each, in order.")
    ] = None,
    ids: Ids = None,
    model: Annotated[
        Path | None,
        typer.Option(help="A local transformers CLIP: then --images is a folder, and --pred and --gt are captions."),
    ] = None,
) -> Score:
    """CLIPScore and RefCLIPScore, from embeddings or by a CLIP of your own."""
    from chiasm.score.captioning.clipscore import score_clipscore_files

    if model is None:
        return score_clipscore_files(images, pred, gt, reference_of, ids)
    if ids or reference_of:
        raise typer.BadParameter(
            "--ids and --reference-of are for embeddings; with --model, ids tie the files together"
        )
    from chiasm.examine.clipscore import clipscore_by_model

    return clipscore_by_model(model, images, pred, gt)


@task(panel)
def bertscore(
    gt: Annotated[
        Path, typer.Option("--gt", help="References, .npz: tokens (tokens, width) named ID, or ID#0, ID#1, ...")
    ],
    pred: Annotated[Path, typer.Option("--pred", help="Captions, .npz: tokens (tokens, width) named ID.")],
    model: Annotated[
        Path | None, typer.Option(help="A local transformers checkpoint: then --gt and --pred are captions.")
    ] = None,
    layer: Annotated[int | None, typer.Option(min=0, help="With --model: whose states; 17 of RoBERTa-large.")] = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """BERTScore, from token embeddings or by a language model of your own."""
    if (model is None) != (layer is None) or (model and missing_wrong):
        raise typer.BadParameter("--model and --layer go together, and without --missing-wrong")
    if model is None or layer is None:
        from chiasm.score.captioning.bertscore import score_bertscore_files

        return score_bertscore_files(gt, pred, missing_as(missing_wrong))
    from chiasm.examine.bertscore import bertscore_by_model

    return bertscore_by_model(model, layer, pred, gt)
