"""POPE, "Is there a ... in the image?" (Li et al. 2023, arXiv 2305.10355)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from chiasm.data.records import by_id, records
from chiasm.errors import ConfigError, DataError
from chiasm.score.answer_files import NO_PREDICTION, Missing, answers_in_order, answers_to, missing_note
from chiasm.score.baselines import beside_blind
from chiasm.score.bootstrap import parts, summarise
from chiasm.score.choice.yes_no import POPE_DIALECTS, YES_BY_DEFAULT
from chiasm.score.measure import Measure, Metric, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.tables import text_of

Dialect = Literal["official", "lmms", "vlmevalkit"]


@dataclass(frozen=True, slots=True)
class _Question:
    split: str
    id: str
    image: str
    text: str
    label: bool


def score_pope(
    questions: Sequence[Path | str],
    answers: Sequence[Path | str],
    llava_questions: Path | str | None = None,
    dialect: Dialect = "official",
    missing: Missing = "error",
    blind: Sequence[Path | str] | None = None,
) -> Score:
    """Accuracy, precision, recall, F1 and yes-ratio, for all questions and for each split.

    `questions` are files of ``{question_id, image, text, label}``, one for each split, which is named after its file
    ("coco_pope_random.json" is "random") or after its rows' ``category``. `answers` are as many files in the same
    order, ``{question_id, text}`` or ``{question, answer}`` in the order of the questions, as `answers_in_order` says.
    LLaVA numbers the questions of all splits anew; with its list of them, ``{question_id, image, text, category}``, as
    `llava_questions`, one file of answers serves all splits.

    With several splits there are also the means of their accuracies and of their F1, which papers report; all other
    values pool the questions. Intervals are by image, over all splits that share it. Precision is None where no answer
    is yes. The dialects: ``official`` counts every answer without "no" as yes; ``lmms`` and ``vlmevalkit`` as in those
    tool kits, where an unparsed answer is wrong, but lmms leaves it out of recall. `blind` are the answers of the same
    model without the pictures, for what `beside_blind` says.

    Raises DataError for answers that do not fit the questions in number, id or wording, and ConfigError for an unknown
    dialect or numbers of files that do not match.
    """
    if dialect not in POPE_DIALECTS:
        raise ConfigError(f"unknown dialect {dialect!r} of POPE; choose from {', '.join(POPE_DIALECTS)}")
    by_file = [_questions(path) for path in questions]
    asked = [question for file in by_file for question in file]
    twice = [name for name, count in Counter((question.split, question.id) for question in asked).items() if count > 1]
    if twice:
        raise DataError(f"question {twice[0][1]!r} of split {twice[0][0]!r} is in several files: {_names(questions)}")
    if llava_questions is not None:
        if len(answers) != 1:
            raise ConfigError(f"with LLaVA's list of questions there is one file of answers, not {len(answers)}")
        texts = _llava_texts(asked, questions, answers[0], llava_questions, missing)
    elif len(answers) != len(questions):
        raise ConfigError(f"{len(questions)} files of questions need as many files of answers, not {len(answers)}")
    else:
        texts = [text for file, path in zip(by_file, answers, strict=True) for text in _texts(file, path, missing)]
    items = [_item(question, text, dialect) for question, text in zip(asked, texts, strict=True)]
    values = summarise(items, _BY_SPLIT, slices=("split",))
    values += summarise(items, _means_of_splits(items))
    notes = (*missing_note(texts), *_dialect_notes(items, dialect))
    score = Score("pope", dialect, values + _baselines(items), tuple(items), notes)
    if blind is None:
        return score
    without = score_pope(questions, blind, llava_questions, dialect, missing)
    return beside_blind(score, without, {"accuracy": _BY_SPLIT["accuracy"]}, ("split",))


def _questions(path: Path | str) -> list[_Question]:
    split = Path(path).stem.removeprefix("coco_pope_")
    found = []
    for name, row in by_id(path, records(path), "question_id", "question").items():
        where = f"{path}, question_id {name!r}"
        label = text_of(row, ("label",), where).strip().lower()
        if label not in ("yes", "no"):
            raise DataError(f"{where}: the label is {label!r}, expected yes or no")
        image, text = text_of(row, ("image",), where), text_of(row, ("text",), where)
        found.append(_Question(str(row.get("category", split)), name, image, text, label == "yes"))
    if not found:
        raise DataError(f"{path}: no question in it")
    return found


def _texts(asked: Sequence[_Question], path: Path | str, missing: Missing) -> list[str | None]:
    pairs = [(question.image, question.text) for question in asked]
    return answers_in_order(path, pairs, missing, [question.id for question in asked])


def _llava_texts(
    asked: Sequence[_Question],
    questions: Sequence[Path | str],
    path: Path | str,
    listed_path: Path | str,
    missing: Missing,
) -> list[str | None]:
    listed = by_id(listed_path, records(listed_path), "question_id", "question")
    texts = answers_to(path, listed, listed_path, missing)
    found: dict[_Question, str | None] = {}
    for split in dict.fromkeys(question.split for question in asked):
        truths = [question for question in asked if question.split == split]
        names = [name for name, row in listed.items() if row.get("category") == split]
        if len(names) != len(truths):
            raise DataError(
                f"{listed_path} lists {len(names)} questions of category {split!r}, {_names(questions)} have "
                f"{len(truths)}: they are of different versions of POPE"
            )
        for truth, name in zip(truths, names, strict=True):
            if listed[name].get("image") != truth.image or truth.text.strip() not in str(listed[name].get("text")):
                raise DataError(
                    f"{listed_path}, question_id {name!r} is about {listed[name].get('image')!r}, but in its place "
                    f"{split} asks {truth.text!r} about {truth.image!r} (question_id {truth.id!r})"
                )
            found[truth] = texts[name]
    return [found[question] for question in asked]


def _item(question: _Question, text: str | None, dialect: Dialect) -> Item:
    said, rule = POPE_DIALECTS[dialect](text) if text is not None else (None, NO_PREDICTION)
    # lmms-eval counts a positive as missed only where the answer is no.
    left_out = dialect == "lmms" and said is None and text is not None
    statistics = {
        "questions": 1,
        "right": said == question.label,
        "yes_said": said is True,
        "yes_true": question.label and not left_out,
        "yes_right": said is True and question.label,
        "unparsed": said is None and text is not None,
    }
    return Item(
        id=f"{question.split}/{question.id}",
        image=question.image,
        prediction=text,
        parsed={True: "yes", False: "no", None: None}[said],
        truth="yes" if question.label else "no",
        statistics={
            **{name: float(value) for name, value in statistics.items()},
            **{f"{name}.{question.split}": float(statistics[name]) for name in _SPLIT_STATISTICS},
        },
        rule=rule if said is not None else "none",
        problem=None if said is not None else rule,
        slices={"split": question.split},
        prompt=question.text,
    )


_SPLIT_STATISTICS = ("questions", "right", "yes_said", "yes_true", "yes_right")

_BY_SPLIT = {
    "accuracy": share("right", "questions"),
    "precision": share("yes_right", "yes_said"),
    "recall": share("yes_right", "yes_true"),
    "f1": Measure(lambda s: 2 * s["yes_right"] / (s["yes_said"] + s["yes_true"]), "questions"),
    "yes_ratio": share("yes_said", "questions", better=None),
    "unparsed": share("unparsed", "questions", better=None),
}


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_pope`."""
    return _BY_SPLIT | _means_of_splits(items)


def _means_of_splits(items: Sequence[Item]) -> dict[str, Measure]:
    splits = sorted({item.slices["split"] for item in items})
    if len(splits) < 2:
        return {}

    def mean(metric: Metric) -> Metric:
        def of_splits(sums: Mapping[str, np.ndarray]) -> np.ndarray:
            parts = [metric({name: sums[f"{name}.{split}"] for name in _SPLIT_STATISTICS}) for split in splits]
            return cast(np.ndarray, sum(parts)) / len(parts)

        return of_splits

    return {f"{name}.mean_of_splits": Measure(mean(_BY_SPLIT[name].of), "questions") for name in ("accuracy", "f1")}


def _baselines(items: Sequence[Item]) -> tuple[Value, ...]:
    """What saying yes to everything and what tossing a coin would score on these questions."""
    values = []
    for where, chosen in parts(items, ["split"]):
        n = len(chosen)
        positives = sum(items[index].truth == "yes" for index in chosen) / n
        scores = {
            "baseline.all_yes.accuracy": positives,
            "baseline.all_yes.f1": 2 * positives / (1 + positives),
            "baseline.chance.accuracy": 0.5,
            "baseline.chance.f1": positives / (positives + 0.5),
        }
        values += [Value(name, value, n, method="baseline", slice=where) for name, value in scores.items()]
    return tuple(values)


def _dialect_notes(items: Sequence[Item], dialect: Dialect) -> tuple[str, ...]:
    if dialect == "official":
        defaults = sum(item.rule == YES_BY_DEFAULT for item in items)
        reason = "have none of the words yes, No, no and not in their first sentence; POPE's own rule reads them as yes"
        return (f"{defaults} answers {reason}.",) if defaults else ()
    if dialect == "lmms":
        return ("The yes-ratio is of the answers; lmms-eval itself prints that of the labels.",)
    return ("VLMEvalKit prints F1 as 'Overall' and counts an unparsed answer as no in precision and recall.",)


def _names(paths: Sequence[Path | str]) -> str:
    return ", ".join(map(str, paths))
