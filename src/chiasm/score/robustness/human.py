"""Human consistency of answers: how well would one person score among the others, and does a model err where they
disagree?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from chiasm.data.records import layout_of, records
from chiasm.errors import ConfigError, DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score
from chiasm.score.robustness.rank_correlation import correlation_value, kendall, spearman
from chiasm.score.vqa.accuracy import score_vqa
from chiasm.score.vqa.annotations import Annotation, read_annotations
from chiasm.score.vqa.soft_accuracy import DIALECTS, Dialect, Judge


def score_human_answers(
    annotations: Path | str,
    predictions: Path | str | None = None,
    questions: Path | str | None = None,
    dialect: Dialect = "official",
    seed: int = 0,
) -> Score:
    """Every person's answer scored against the other people's, by the VQA rules of `dialect`; a model's beside it.

    Values in [0, 1]: human, the mean over questions and people, each judged by the others (by min(1, matches / 3), or
    whether there is a match, in the dialects `exact` and `substring`), and agreement, the share of pairs of people who
    say the same; both by answer type too, where the file has it. With `predictions`, files as for `score_vqa`: model,
    its accuracy; model_minus_human in [-1, 1]; and the rank correlations spearman and kendall (tau-b) in [-1, 1]
    between the model's score on a question and how far people agree on it. Intervals are by image. People are told
    apart by their place, also in a dialect that otherwise needs answer ids. Questions with fewer than two answers are
    left out and counted in a note.

    Raises DataError for unreadable files, ids that don't fit, and no question with two answers, and ConfigError for an
    unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"unknown VQA dialect {dialect!r}; there are {', '.join(DIALECTS)}")
    truth = read_annotations(annotations, questions)
    usable = [question for question in truth if len(question.answers) >= 2]
    if not usable:
        raise DataError(f"{annotations}: no question has two answers, so nobody can be compared with the others")
    judge = Judge(dialect)
    items = tuple(_item(question, judge) for question in usable)
    measures = {"human": share("human", "questions"), "agreement": share("agreement", "questions")}
    if predictions is not None:
        items = _with_model(items, score_vqa(annotations, predictions, questions, dialect))
        measures["model"] = share("model", "questions")
        measures["model_minus_human"] = Measure(
            lambda sums: (sums["model"] - sums["human"]) / sums["questions"], "questions"
        )
    values = summarise(items, measures, ["answer_type"], seed=seed)
    notes = [f"Each of the people is scored against the others as {dialect} compares answers."]
    if len(usable) < len(truth):
        notes.append(f"{len(truth) - len(usable)} of {len(truth)} questions have one answer only and are left out.")
    if predictions is not None:
        model, people = (np.array([item.statistics[key] for item in items]) for key in ("model", "agreement"))
        pictures = [item.image for item in items]
        correlations = tuple(
            correlation_value(name, of, model, people, pictures, seed)
            for name, of in (("spearman", spearman), ("kendall", kendall))
        )
        values += correlations
        if correlations[0].value is None:
            notes.append("All questions have the same agreement or the same score, so there is no rank correlation.")
    return Score("human answers", dialect, values, items, tuple(notes))


def has_people_answers(path: Path | str) -> bool:
    """Whether a file is one of questions with people's answers, rather than of captions."""
    if layout_of(path) == "text":
        return False
    rows = records(path, problems=[], within=("annotations", "data", "questions"))
    return any("answers" in row for _, row in islice(rows, 1))


def others_who_agree(answers: Sequence[str], judge: Judge) -> list[int]:
    """For each person, how many of the others gave an answer that the judge's dialect takes for the same."""
    matches = {
        # Compared with all, as a model's answer is; a person always agrees with themselves.
        answer: judge(answer, answers).matches - judge(answer, [answer]).matches
        for answer in set(answers)
    }
    return [matches[answer] for answer in answers]


def _item(question: Annotation, judge: Judge) -> Item:
    people = len(question.answers)
    counts = Counter(others_who_agree(question.answers, judge))
    needed = 1 if judge.dialect in ("exact", "substring") else 3
    statistics = {
        "questions": 1.0,
        "human": sum(min(1.0, others / needed) * times for others, times in counts.items()) / people,
        "agreement": sum(others * times for others, times in counts.items()) / (people * (people - 1)),
    }
    slices = {"answer_type": question.answer_type} if question.answer_type else {}
    return Item(
        question.id, question.image, None, None, question.answers, statistics, slices=slices, prompt=question.question
    )


def _with_model(items: Sequence[Item], score: Score) -> tuple[Item, ...]:
    """The people's items, each with what a model said and got."""
    by_id = {item.id: item for item in score.items}
    found = []
    for item in items:
        said = by_id[item.id]
        points = said.statistics.get("score_with_answer_ids", said.statistics["score"])
        statistics = {**item.statistics, "model": points}
        found.append(replace(said, statistics=statistics, slices=item.slices))
    return tuple(found)
