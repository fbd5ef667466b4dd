"""`chiasm score TASK` for rankings, and for pictures and texts that should find each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.score_task import MissingWrong, Predictions, Truth, missing_as, task
from chiasm.score.result import Score

panel = "Retrieval"


@task(panel)
def retrieval(gt: Truth, pred: Predictions, missing_wrong: MissingWrong = False) -> Score:
    """P@K, R@K, hit@K, F1@K, MAP, MRR, NDCG and AUC-PR of a TREC run (or JSON) under judgements."""
    from chiasm.score.retrieval.ranking import score_run

    return score_run(gt, pred, missing=missing_as(missing_wrong))


@task(panel, "cross-modal")
def cross_modal(
    gt: Annotated[
        Path, typer.Option("--gt", help="JSON: the number of each text's picture, or pairs of picture and text.")
    ],
    similarity: Annotated[
        Path | None, typer.Option(help="How well each text fits each picture, .npy (pictures, texts).")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Or embeddings of the pictures, .npy (pictures, width) ...")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="... and of the texts, .npy (texts, width).")] = None,
    dot: Annotated[bool, typer.Option("--dot", help="Compare embeddings by dot product instead of cosine.")] = False,
    at: Annotated[list[int], typer.Option(min=1, help="K of hit@K and recall@K; may be repeated.")] = [1, 5, 10],  # noqa: B006
) -> Score:
    """Image-text retrieval both ways: hit@K (what CLIP papers call R@K), recall@K, MAP and MRR."""
    from chiasm.score.retrieval.array_files import read_matrix, read_pairs
    from chiasm.score.retrieval.cross_modal import score_embeddings, score_similarity

    if similarity and not (images or texts or dot):
        return score_similarity(read_matrix(similarity), read_pairs(gt), at)
    if images and texts and not similarity:
        return score_embeddings(read_matrix(images), read_matrix(texts), read_pairs(gt), at, cosine=not dot)
    raise typer.BadParameter("give either --similarity alone, or --images and --texts")
