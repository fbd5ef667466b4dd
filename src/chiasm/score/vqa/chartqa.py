"""ChartQA's relaxed accuracy: a number may be 5 % off (Masry et al. 2022, arXiv:2203.10244, section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from chiasm.data.records import place, records
from chiasm.errors import ConfigError, DataError
from chiasm.score.answer_files import Missing, answers_in_order, numbered
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, Metric, share
from chiasm.score.result import Item, Score
from chiasm.score.vqa.questions import problem_of, unanswered

TOLERANCE = 0.05
RULES = ("strict", "lenient")

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)


def strict(prediction: str, label: str) -> bool:
    """The rule as the community's scorers have it: two numbers as Python's ``float`` reads them ("%" divides by 100)
    within 5 % of the label; where either is no number, or the label is 0, the texts are equal but for case.

    "1,000" and "$5" are no numbers to it, and "5%" is not 5.
    """
    said, true = _float(prediction), _float(label)
    if said is not None and true:
        return abs(said - true) / abs(true) <= TOLERANCE
    return prediction.lower() == label.lower()


def lenient(prediction: str, label: str) -> bool:
    """As `strict`, or right after currency signs, thousands separators, white space and a final period are dropped, and
    after a "%" is dropped that only one of the two has. A label of 0 wants a 0."""
    if strict(prediction, label):
        return True
    said, true = _plain(prediction), _plain(label)
    if _DECIMAL.fullmatch(said.rstrip("%")) and _DECIMAL.fullmatch(true.rstrip("%")):
        number, target = float(said.rstrip("%")), float(true.rstrip("%"))
        return abs(number - target) <= TOLERANCE * abs(target)
    return bool(said) and said == true


def score_chartqa(
    questions: Sequence[Path | str],
    predictions: Sequence[Path | str],
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Sequence[Path | str] | None = None,
) -> Score:
    """Relaxed accuracy in [0, 1] by the strict and the lenient rule.

    `questions` are lists of ``{imgname, query, label}``, one file for each part, which is "human" or "augmented" if its
    name says so and else has the file's name; `predictions` are as many files in the same order, tied to the questions
    as `answers_in_order` says. Values are over all questions, by part, and, where there are several parts, the mean of
    the parts. `blind` are the predictions of the same model without the pictures, for what `beside_blind` says.

    Raises DataError for files that do not fit, and ConfigError for numbers of files that do not match and for two files
    of one part.
    """
    if not questions or len(predictions) != len(questions):
        raise ConfigError(f"{len(questions)} files of questions need as many files of answers, not {len(predictions)}")
    parts = [_part(path) for path in questions]
    if len(set(parts)) < len(parts):
        raise ConfigError(f"{', '.join(map(str, questions))} are parts of the same name, {max(parts, key=parts.count)}")
    files = zip(parts, questions, predictions, strict=True)
    items = tuple([item for part, asked, said in files for item in _items(part, asked, said, missing)])
    values = summarise(items, _accuracies(), ["part"], replicates)
    values += summarise(items, _means_of_parts(items), replicates=replicates)
    values += majority_values(
        items,
        [item.truth for item in items],
        lambda label: (label,),
        {
            "relaxed_accuracy.strict": lambda said, label: float(strict(said, label)),
            "relaxed_accuracy.lenient": lambda said, label: float(lenient(said, label)),
        },
        ["part"] if len(parts) > 1 else (),
        only_given=False,
    )
    format_only = sum(item.slices["outcome"] == "format only" for item in items)
    note = f"{format_only} of {len(items)} answers are wrong by the strict rule only for their format."
    score = Score("chartqa", "strict and lenient", values, items, (note, *unanswered(items)))
    if blind is None:
        return score
    without = score_chartqa(questions, blind, missing, replicates)
    return beside_blind(score, without, _accuracies(), ["part"] if len(parts) > 1 else (), replicates)


def _part(path: Path | str) -> str:
    name = Path(path).stem
    return next((part for part in ("human", "augmented") if part in name.lower()), name)


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_chartqa`."""
    return _accuracies() | _means_of_parts(items)


def _accuracies() -> dict[str, Measure]:
    return {f"relaxed_accuracy.{rule}": share(rule, "questions") for rule in RULES}


def _means_of_parts(items: Sequence[Item]) -> dict[str, Measure]:
    parts = sorted({item.slices["part"] for item in items})
    if len(parts) < 2:
        return {}

    def mean(rule: str) -> Metric:
        return lambda sums: np.mean([sums[f"{rule}.{part}"] / sums[f"questions.{part}"] for part in parts], axis=0)

    return {f"relaxed_accuracy.{rule}.mean_of_parts": Measure(mean(rule), "questions") for rule in RULES}


def _items(part: str, questions: Path | str, predictions: Path | str, missing: Missing) -> list[Item]:
    rows = list(records(questions))
    for number, row in rows:
        for key in ("imgname", "query", "label"):
            if not isinstance(row.get(key), str):
                raise DataError(f"{place(questions, number)}: {key!r} is {row.get(key)!r:.60}, expected text")
    asked = [(row["imgname"], row["query"]) for _, row in rows]
    answers = answers_in_order(predictions, asked, missing)
    return [
        _item(part, name, row, answer) for name, (_, row), answer in zip(numbered(asked), rows, answers, strict=True)
    ]


def _item(part: str, name: str, row: dict[str, str], said: str | None) -> Item:
    right = {
        "strict": said is not None and strict(said, row["label"]),
        "lenient": said is not None and lenient(said, row["label"]),
    }
    problem = problem_of(said)
    statistics = {"questions": 1.0, f"questions.{part}": 1.0}
    for rule, is_right in right.items():
        statistics |= {rule: float(is_right), f"{rule}.{part}": float(is_right)}
    slices = {"part": part, "outcome": problem or _outcome(said or "", row["label"], right)}
    return Item(
        f"{part}: {name}",
        row["imgname"],
        said,
        said and _plain(said),
        row["label"],
        statistics,
        "as is",
        problem,
        slices,
        row["query"],
    )


def _outcome(said: str, label: str, right: Mapping[str, bool]) -> str:
    if right["strict"]:
        return "right"
    if right["lenient"]:
        return "format only"
    numbers = [_DECIMAL.fullmatch(_plain(text).rstrip("%")) for text in (said, label)]
    return "number off" if all(numbers) else "another answer"


def _float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _plain(text: str) -> str:
    text = "".join(text.casefold().split()).rstrip(".").lstrip("$€£¥").rstrip("€")
    return _THOUSANDS.sub("", text)
