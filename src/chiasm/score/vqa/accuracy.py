"""VQA accuracy of a results file: VQAv2, TextVQA, VizWiz and whatever has their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from chiasm.data.records import paired
from chiasm.errors import ConfigError
from chiasm.score.answer_files import NO_PREDICTION, Missing, answer_rows, answers_of
from chiasm.score.answers import normalise
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.vqa.annotations import Annotation, read_annotations
from chiasm.score.vqa.image_names import by_question
from chiasm.score.vqa.normalise import Cached
from chiasm.score.vqa.prompts import named_by_image, ocr_note, with_question_ids
from chiasm.score.vqa.questions import EMPTY_ANSWER, problem_of, unanswered
from chiasm.score.vqa.soft_accuracy import BY_EQUALITY, DIALECTS, Dialect, Judge, Verdict

PEOPLE = 10


def score_vqa(
    annotations: Path | str,
    results: Path | str,
    questions: Path | str | None = None,
    dialect: Dialect = "official",
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> Score:
    """Accuracy in [0, 1] of `results` in one dialect; see `chiasm.score.vqa.soft_accuracy.Judge` for the dialects.

    `annotations`, `questions` and `results` are files as `read_annotations` and `answers_of` take them. Values are
    ``accuracy``, overall and by answer type and question type where the file has them, and, in a dialect that needs
    answer ids which the file lacks, ``accuracy_with_answer_ids``. Beside them stands what the majority answer would
    score, and, given `blind`, the answers of the same model without the pictures, what `beside_blind` says. Raises
    DataError for files that do not fit, and ConfigError for an unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"unknown VQA dialect {dialect!r}; there are {', '.join(DIALECTS)}")
    return _scores([dialect], annotations, results, questions, missing, replicates, blind)[dialect]


def score_vqa_in_every_dialect(
    annotations: Path | str,
    results: Path | str,
    questions: Path | str | None = None,
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> dict[Dialect, Score]:
    """`score_vqa` in all dialects, from one reading of the files: how much of a number is its scorer."""
    return _scores(DIALECTS, annotations, results, questions, missing, replicates, blind)


def judge_all(truth: Sequence[Annotation], predictions: Mapping[str, str], dialect: Dialect) -> list[Verdict | None]:
    """A verdict for each question, None for one without a prediction."""
    return _verdicts(truth, predictions, Judge(dialect))


def _verdicts(truth: Sequence[Annotation], predictions: Mapping[str, str], judge: Judge) -> list[Verdict | None]:
    verdicts: list[Verdict | None] = []
    for question in truth:
        said = predictions.get(question.id)
        verdicts.append(None if said is None else judge(said, question.answers, question.records))
    return verdicts


def _scores(
    dialects: Sequence[Dialect],
    annotations: Path | str,
    results: Path | str,
    questions: Path | str | None,
    missing: Missing,
    replicates: int,
    blind: Path | str | None,
) -> dict[Dialect, Score]:
    truth = read_annotations(annotations, questions)
    said = _read(truth, annotations, results, missing)
    scores = {dialect: _score(truth, *said, dialect, replicates) for dialect in dialects}
    if blind is None:
        return scores
    said = _read(truth, annotations, blind, missing)
    return {
        dialect: beside_blind(
            score,
            _score(truth, *said, dialect, replicates),
            measures(score.items),
            _type_keys(score.items),
            replicates,
        )
        for dialect, score in scores.items()
    }


def _read(
    truth: Sequence[Annotation], annotations: Path | str, results: Path | str, missing: Missing
) -> tuple[dict[str, str], str | None]:
    rows = answer_rows(results)
    if named_by_image(rows, truth):
        rows = with_question_ids(results, rows, truth)
    predictions = by_question(answers_of(results, rows), truth)
    paired([question.id for question in truth], predictions, annotations, results, missing)
    return predictions, ocr_note(rows)


def _score(
    truth: Sequence[Annotation], predictions: Mapping[str, str], note: str | None, dialect: Dialect, replicates: int
) -> Score:
    light, judge = Cached(normalise), Judge(dialect)
    verdicts = _verdicts(truth, predictions, judge)
    without_ids = dialect in BY_EQUALITY and any(question.records is not None for question in truth)
    items = tuple(
        [
            _item(question, predictions.get(question.id), verdict, judge if without_ids else None, light)
            for question, verdict in zip(truth, verdicts, strict=True)
        ]
    )
    keys = _type_keys(items)
    values = summarise(items, measures(items), keys, replicates) + _majority(truth, items, judge, keys)
    notes = _notes(truth, items, dialect, without_ids)
    return Score("vqa", dialect, values, items, tuple(notes if note is None else [*notes, note]))


def _type_keys(items: Sequence[Item]) -> list[str]:
    return [key for key in ("answer_type", "question_type") if any(key in item.slices for item in items)]


def _majority(
    truth: Sequence[Annotation], items: Sequence[Item], judge: Judge, keys: Sequence[str]
) -> tuple[Value, ...]:
    """Baselines of the answer that most people give."""

    def score(text: str, question: Annotation) -> float:
        return judge(text, question.answers, question.records).score

    return majority_values(
        items,
        truth,
        attrgetter("answers"),
        {"accuracy": score},
        keys,
        judge.normalised,
        only_given=judge.dialect != "substring",
    )


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_vqa`."""
    found = {"accuracy": share("score", "questions")}
    if any("score_with_answer_ids" in item.statistics for item in items):
        found["accuracy_with_answer_ids"] = share("score_with_answer_ids", "questions")
    return found


def _item(question: Annotation, said: str | None, verdict: Verdict | None, judge: Judge | None, light: Cached) -> Item:
    """`judge` is given where answers have no ids, so that what can be attained can't be told from the answers alone."""
    statistics = {"questions": 1.0, "score": verdict.score if verdict else 0.0}
    if judge is not None:
        statistics["score_with_answer_ids"] = verdict.score_with_ids if verdict else 0.0
        statistics["attainable"] = judge.attainable(question.answers, question.records)
    slices = {"outcome": _outcome(question, said, verdict, light)}
    if question.answer_type:
        slices["answer_type"] = question.answer_type
    if question.question_type:
        slices["question_type"] = question.question_type
    # Some people answer "a" or "the", which the rules turn into nothing, so that an empty answer can have points.
    problem = None if statistics["score"] else problem_of(said)
    rule = "raw text, since all people agree" if verdict and verdict.raw else "normalised"
    return Item(
        question.id,
        question.image,
        said,
        verdict and verdict.parsed,
        question.answers,
        statistics,
        rule,
        problem,
        slices,
        question.question,
    )


def _outcome(question: Annotation, said: str | None, verdict: Verdict | None, light: Cached) -> str:
    """Where the points went, as the slice "outcome"."""
    if verdict is None or said is None:
        return NO_PREDICTION
    if verdict.score == 1:
        return "right"
    if verdict.matches:
        return f"{verdict.matches} of {len(question.answers)} people say so"
    if not said.strip():
        return EMPTY_ANSWER
    plain = light[said]
    if any(light[answer] == plain for answer in question.answers):
        return "format only"
    return "nobody says so"


def _notes(truth: Sequence[Annotation], items: Sequence[Item], dialect: Dialect, without_ids: bool) -> list[str]:
    notes = []
    count = sum(question.records is not None for question in truth)
    if without_ids:
        notes.append(
            f"{count} of {len(truth)} questions have answers without an answer_id of their own. The {dialect} scorer "
            "leaves out every record that equals the held-out one, so that people who said the same are left out "
            'together and points are lost; "accuracy_with_answer_ids" is the value once each answer has an id.'
        )
    unlike = sum(len(question.answers) != PEOPLE for question in truth)
    if unlike and dialect not in ("exact", "substring"):
        notes.append(
            f"{unlike} of {len(truth)} questions do not have {PEOPLE} answers, for which the rule of thirds is meant."
        )
    if dialect in ("simple", "exact", "substring"):
        notes.append(f"{dialect!r} is not the VQA accuracy: it does not leave one person out.")
    if dialect == "substring":
        notes.append('A part of a word counts as right ("1" for "10"); an empty answer does not.')
    return notes + unanswered(items)
