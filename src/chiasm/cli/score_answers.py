"""`chiasm score TASK` for answers to open questions: the VQA family, documents, charts, DAQUAR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.score_task import (
    Blind,
    BlindOfEach,
    Dialect,
    MissingWrong,
    Predictions,
    PredictionsOfEach,
    Truth,
    Truths,
    missing_as,
    task,
)
from chiasm.score.result import Score

panel = "Answers"

Questions = Annotated[Path | None, typer.Option(help="The questions file, where answers are tied by it.")]
EveryDialect = Annotated[bool, typer.Option("--dialects", help="Score in every dialect, side by side.")]


@task(panel)
def vqa(
    gt: Truth,
    pred: Predictions,
    questions: Questions = None,
    dialect: Dialect = "official",
    dialects: EveryDialect = False,
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score | list[Score]:
    """VQAv2 and its like. Dialects: official, lmms, evalai, vlmevalkit, vizwiz, simple, exact, substring."""
    from chiasm.score.vqa.accuracy import score_vqa, score_vqa_in_every_dialect

    missing = missing_as(missing_wrong)
    if dialects:
        return list(score_vqa_in_every_dialect(gt, pred, questions, missing, blind=blind).values())
    return score_vqa(gt, pred, questions, dialect, missing, blind=blind)  # type: ignore[arg-type]


@task(panel)
def textvqa(
    gt: Truth,
    pred: Predictions,
    dialect: Dialect = "evalai",
    dialects: EveryDialect = False,
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score | list[Score]:
    """TextVQA's own file or a VQA one, by MMF's and LLaVA's rule (evalai) or any dialect of `vqa`."""
    return vqa(gt, pred, None, dialect, dialects, blind, missing_wrong)


@task(panel)
def vizwiz(
    gt: Truth,
    pred: Predictions,
    answerability: Annotated[
        Path | None, typer.Option(help="Scores {image, answerable}; else those in --pred, else its answers' text.")
    ] = None,
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """VizWiz: accuracy as its challenge computes it, and how well unanswerable questions are told."""
    from chiasm.score.vqa.vizwiz import score_vizwiz

    return score_vizwiz(gt, pred, answerability, missing_as(missing_wrong), blind=blind)


@task(panel)
def gqa(
    gt: Truth,
    pred: Predictions,
    choices: Annotated[Path | None, typer.Option(help="GQA's choices file, for validity and plausibility.")] = None,
    dialect: Dialect = "official",
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """GQA: accuracy, consistency, validity, plausibility, distribution. Dialects: official, llava, lmms."""
    from chiasm.score.vqa.gqa import score_gqa

    return score_gqa(gt, pred, choices, dialect, missing_as(missing_wrong), blind=blind)  # type: ignore[arg-type]


@task(panel)
def docvqa(gt: Truth, pred: Predictions, blind: Blind = None, missing_wrong: MissingWrong = False) -> Score:
    """ANLS of DocVQA, by the official rule and by the paper's."""
    from chiasm.score.vqa.anls import score_anls

    return score_anls(gt, pred, missing_as(missing_wrong), blind=blind)


@task(panel)
def infovqa(gt: Truth, pred: Predictions, blind: Blind = None, missing_wrong: MissingWrong = False) -> Score:
    """ANLS of InfographicVQA, by answer type too."""
    return docvqa(gt, pred, blind, missing_wrong)


@task(panel)
def chartqa(
    gt: Truths, pred: PredictionsOfEach, blind: BlindOfEach = None, missing_wrong: MissingWrong = False
) -> Score:
    """ChartQA's relaxed accuracy, strict and lenient side by side, of each part (human, augmented) and their mean."""
    from chiasm.score.vqa.chartqa import score_chartqa

    return score_chartqa(gt, pred, missing_as(missing_wrong), blind=blind)


@task(panel)
def daquar(gt: Truth, pred: Predictions, blind: Blind = None, missing_wrong: MissingWrong = False) -> Score:
    """DAQUAR's accuracy and WUPS; WUPS needs WordNet (nltk's data, or Debian's wordnet-base)."""
    from chiasm.score.vqa.daquar import score_daquar

    return score_daquar(gt, pred, missing=missing_as(missing_wrong), blind=blind)
