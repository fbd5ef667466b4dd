"""`chiasm score TASK` for yes or no, multiple choice, and answers that count in pairs."""

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

panel = "Yes or no, and choice"

Table = Annotated[Path, typer.Option("--pred", help="One table with everything: JSON lines, CSV or TSV.")]


@task(panel)
def pope(
    gt: Truths,
    pred: PredictionsOfEach,
    llava_questions: Annotated[
        Path | None, typer.Option(help="LLaVA's own list, if its answers are numbered by it.")
    ] = None,
    dialect: Dialect = "official",
    blind: BlindOfEach = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """POPE by split: accuracy, precision, recall, F1, yes-ratio. Dialects: official, lmms, vlmevalkit."""
    from chiasm.score.choice.pope import score_pope

    return score_pope(gt, pred, llava_questions, dialect, missing_as(missing_wrong), blind)  # type: ignore[arg-type]


@task(panel)
def mme(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of TASK.txt with truth and answers, or one table.")],
    dialect: Dialect = "official",
    blind: Blind = None,
) -> Score:
    """MME: accuracy, accuracy+, and the perception and cognition sums. Dialects: official, lmms."""
    from chiasm.score.choice.mme import score_mme

    return score_mme(pred, dialect, blind)  # type: ignore[arg-type]


@task(panel)
def mmbench(gt: Truth, pred: Predictions, blind: Blind = None, missing_wrong: MissingWrong = False) -> Score:
    """MMBench, circular and vanilla."""
    from chiasm.score.choice.mmbench import score_mmbench

    return score_mmbench(gt, pred, missing_as(missing_wrong), blind)


@task(panel)
def seed(
    gt: Truth,
    pred: Predictions,
    dialect: Dialect = "letter",
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """SEED-Bench by data type and question type. Dialects: letter, first_character."""
    from chiasm.score.choice.seed import score_seed

    return score_seed(gt, pred, dialect, missing_as(missing_wrong), blind)  # type: ignore[arg-type]


@task(panel)
def scienceqa(
    gt: Truth,
    pred: Predictions,
    split: Annotated[str, typer.Option(help="Which split of problems.json.")] = "test",
    images_only: Annotated[bool, typer.Option(help="Only questions with a picture.")] = False,
    blind: Blind = None,
    missing_wrong: MissingWrong = False,
) -> Score:
    """ScienceQA by subject, context and grade."""
    from chiasm.score.choice.scienceqa import score_scienceqa

    return score_scienceqa(gt, pred, split, images_only, missing_as(missing_wrong), blind)


@task(panel)
def nlvr2(gt: Truth, pred: Predictions, blind: Blind = None, missing_wrong: MissingWrong = False) -> Score:
    """NLVR2: accuracy of pairs, and consistency of sentences."""
    from chiasm.score.choice.pairs import score_nlvr2

    return score_nlvr2(gt, pred, missing_as(missing_wrong), blind)


@task(panel)
def groups(pred: Table) -> Score:
    """Accuracy of answers and of whole groups, for tests in pairs as MME's: rows {id, group, answer, prediction}."""
    from chiasm.score.choice.pairs import score_groups

    return score_groups(pred)


@task(panel)
def winoground(pred: Table) -> Score:
    """Winoground's text, image and group score: rows {id, c0_i0, c0_i1, c1_i0, c1_i1} of caption-picture scores."""
    from chiasm.score.choice.contrast import score_winoground

    return score_winoground(pred)


@task(panel)
def sugarcrepe(pred: Table) -> Score:
    """SugarCrepe by type: rows {id, positive, negative, type, image} of how well each caption fits."""
    from chiasm.score.choice.contrast import score_sugarcrepe

    return score_sugarcrepe(pred)
