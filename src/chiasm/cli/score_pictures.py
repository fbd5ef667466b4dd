"""`chiasm score TASK` for generated and edited pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chiasm.cli.score_task import Ids, MissingWrong, Predictions, Truth, missing_as, task
from chiasm.score.result import Score

panel = "Generated and edited pictures"


@task(panel)
def pictures(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of generated pictures.")],
    gt: Annotated[Path | None, typer.Option("--gt", help="Folder of references of the same names and sizes.")] = None,
    lpips: Annotated[
        Literal["alex", "vgg", "squeeze"] | None,
        typer.Option(help="Also LPIPS by this network, with your own `lpips` package (pip install lpips)."),
    ] = None,
) -> Score:
    """PIQE of pictures; beside references also PSNR, SSIM, MS-SSIM and LPIPS."""
    from chiasm.score.generation.pictures import score_pictures

    return score_pictures(pred, gt, lpips)


@task(panel)
def t2i(
    gt: Annotated[Path, typer.Option("--gt", help="Features of real pictures, .npy (pictures, d).")],
    pred: Annotated[Path, typer.Option("--pred", help="Features of generated pictures, .npy.")],
    probabilities: Annotated[
        Path | None, typer.Option(help="Class probabilities, .npy, for the Inception Score.")
    ] = None,
) -> Score:
    """FID, KID and Inception Score from features that are already computed."""
    from chiasm.score.generation.distances import score_features

    return score_features(gt, pred, probabilities)


@task(panel)
def tifa(gt: Truth, pred: Predictions, missing_wrong: MissingWrong = False) -> Score:
    """TIFA of answered questions about generated pictures."""
    from chiasm.score.generation.tifa import score_tifa

    return score_tifa(gt, pred, missing_as(missing_wrong))


@task(panel)
def vqascore(
    pred: Annotated[
        Path | None, typer.Option("--pred", help="Rows {id, text, yes, no}; the last two are log-probabilities.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="Or rows {image, text} for --model to look at.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="chiasm-tiny, a model folder or a hub name.")] = "",
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures; that of --pairs without it.")] = None,
    question: Annotated[str | None, typer.Option(help="What to ask, with {text}; the paper's unless given.")] = None,
    answers: Annotated[tuple[str, str], typer.Option(help="How --model says yes and no.")] = ("Yes", "No"),
) -> Score:
    """VQAScore: how probably a model says that a picture shows a text, by a model or from its log-probabilities."""
    if pred is not None and pairs is None and not model:
        from chiasm.score.generation.logprob_files import score_vqascore_file

        return score_vqascore_file(pred)
    if pred is not None or pairs is None or not model:
        raise typer.BadParameter("give either --pred, or --pairs and --model")
    from chiasm.examine.vqascore import vqascore_by_model
    from chiasm.models.open import open_model
    from chiasm.score.generation.vqascore import QUESTION

    return vqascore_by_model(open_model(model), model, pairs, images, question or QUESTION, answers)


@task(panel)
def similarity(
    pred: Annotated[Path, typer.Option("--pred", help="Embeddings of the pictures, .npy (pictures, width).")],
    texts: Annotated[
        Path | None, typer.Option(help="Of their texts, for CLIP-T; of an edit, the target's text.")
    ] = None,
    gt: Annotated[Path | None, typer.Option("--gt", help="Of reference pictures, for CLIP-I.")] = None,
    sources: Annotated[Path | None, typer.Option(help="Of the pictures before the edit.")] = None,
    source_texts: Annotated[
        Path | None, typer.Option(help="Of their texts: with --sources and --texts, direction similarity.")
    ] = None,
    ids: Ids = None,
) -> Score:
    """CLIP-T, CLIP-I and direction similarity from embeddings; all files have a row a picture, in one order."""
    from chiasm.score.generation.similarity import score_similarity
    from chiasm.score.retrieval.array_files import read_ids, read_matrix

    made = read_matrix(pred)
    others = [None if path is None else read_matrix(path) for path in (texts, gt, sources, source_texts)]
    return score_similarity(read_ids(ids, len(made)), made, *others)


@task(panel)
def edit(
    before: Annotated[Path, typer.Option(help="Folder of the pictures before the edit.")],
    pred: Annotated[Path, typer.Option("--pred", help="Folder of the edited pictures, of the same names and sizes.")],
    gt: Annotated[Path, typer.Option("--gt", help="Folder of masks, white where the edit was asked for.")],
) -> Score:
    """Where edits changed the picture, against the masks they were asked to stay in, and how well the rest was kept."""
    from chiasm.score.generation.edit_folders import score_edit_folders

    return score_edit_folders(before, pred, gt)


@task(panel)
def compliance(
    pred: Annotated[
        Path,
        typer.Option(
            "--pred", help="Rows {id, wished, before_yes, before_no, after_yes, after_no} of log-probabilities."
        ),
    ],
) -> Score:
    """Whether edits did what they were asked: VQAScore of the wished text before and after."""
    from chiasm.score.generation.logprob_files import score_compliance_file

    return score_compliance_file(pred)
