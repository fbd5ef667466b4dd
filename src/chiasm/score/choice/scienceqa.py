"""ScienceQA: multiple choice with two to five options, some with a picture (Lu et al. 2022, arXiv 2209.09513)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from chiasm.data.records import layout_of, paired, read_json
from chiasm.errors import DataError
from chiasm.score.answer_files import Missing, answers_to, missing_note
from chiasm.score.baselines import beside_blind
from chiasm.score.bootstrap import summarise
from chiasm.score.choice.multiple_choice import PREDICTED, baselines, choice_item, measures
from chiasm.score.result import Score
from chiasm.score.tables import is_xlsx

_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_SLICES_OF_TABLE = ("subject", "text", "image", "context", "grade")


def score_scienceqa(
    problems: Path | str,
    predictions: Path | str,
    split: str | None = "test",
    images_only: bool = False,
    missing: Missing = "error",
    blind: Path | str | None = None,
) -> Score:
    """Accuracy over all questions and by the slices of the paper's table.

    `problems` is ScienceQA's ``problems.json``, ``{id: {choices, answer, image, hint, subject, grade, split}}``;
    `split` picks one of its splits, None all; `images_only` keeps the questions with a picture. `predictions` are
    rows ``{question_id, text}`` or one JSON object with ``outputs``, ``{id: text}``, or ``results``, ``{id: index of
    the option}`` (``outputs`` wins). Slices: `subject` (NAT, SOC, LAN), `text` and `image` (with, without), `context`
    (none, some) and `grade` (1-6, 7-12). `blind` are the predictions of the same model without the pictures, for what
    `beside_blind` says.

    Raises DataError for predictions that do not fit the problems and for malformed problems.
    """
    chosen = _problems(problems, split, images_only)
    texts = _texts(predictions, chosen, problems, missing)
    items = []
    for name, problem in chosen.items():
        options = dict(zip(ascii_uppercase, map(str, problem["choices"]), strict=False))
        truth = ascii_uppercase[problem["answer"]]
        question = str(problem.get("question", ""))
        items.append(choice_item(name, name, texts[name], options, truth, _slices(problem), question=question))
    values = summarise(items, measures(items), slices=_SLICES_OF_TABLE)
    notes = missing_note(texts.values())
    score = Score("scienceqa", "letter", values + baselines(items, _SLICES_OF_TABLE), tuple(items), notes)
    if blind is None:
        return score
    accuracy = {"accuracy": measures(items)["accuracy"]}
    without = score_scienceqa(problems, blind, split, images_only, missing)
    return beside_blind(score, without, accuracy, _SLICES_OF_TABLE)


def _problems(path: Path | str, split: str | None, images_only: bool) -> dict[str, dict[str, Any]]:
    content = read_json(path, unique_keys=True)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected ScienceQA's problems.json, an object of problems by id")
    chosen = {}
    for name, problem in content.items():
        if not isinstance(problem, dict):
            raise DataError(f"{path}, problem {name!r}: expected an object, found {problem!r}")
        choices, answer = problem.get("choices"), problem.get("answer")
        if not isinstance(choices, list) or not isinstance(answer, int) or not 0 <= answer < len(choices):
            raise DataError(f"{path}, problem {name!r}: 'answer' {answer!r} is no index of 'choices' {choices!r}")
        if (split is None or problem.get("split") == split) and (problem.get("image") or not images_only):
            chosen[name] = problem
    if not chosen:
        raise DataError(f"{path}: no problem of split {split!r}{' with a picture' if images_only else ''}")
    return chosen


def _texts(
    path: Path | str, chosen: Mapping[str, Mapping[str, Any]], problems: Path | str, missing: Missing
) -> dict[str, str | None]:
    results = _results(path)
    if results is None:
        return answers_to(path, chosen, problems, missing, PREDICTED)
    paired(chosen, results, problems, path, missing)
    texts: dict[str, str | None] = {}
    for name in chosen:
        answer = results.get(name)
        if isinstance(answer, int) and not isinstance(answer, bool):
            # The authors' script writes the index of the option, and -1 where it read none.
            answer = ascii_uppercase[answer] if 0 <= answer < len(ascii_uppercase) else ""
        if answer is not None and not isinstance(answer, str):
            raise DataError(f"{path}, problem {name!r}: the answer is {answer!r}, expected text or an option's index")
        texts[name] = answer
    return texts


def _results(path: Path | str) -> dict[str, Any] | None:
    """The authors' answers by id, which stand in an object beside what they score; None where there is none."""
    if is_xlsx(path) or layout_of(path) not in ("object", "one line"):
        return None
    content = read_json(path)
    return next((content[key] for key in ("outputs", "results") if isinstance(content.get(key), dict)), None)


def _slices(problem: Mapping[str, Any]) -> dict[str, str]:
    text, image = bool(problem.get("hint")), bool(problem.get("image"))
    slices = {
        "text": "with" if text else "without",
        "image": "with" if image else "without",
        "context": "some" if text or image else "none",
    }
    if "subject" in problem:
        slices["subject"] = _SUBJECTS.get(problem["subject"], str(problem["subject"]))
    grade = str(problem.get("grade", "")).removeprefix("grade")
    if grade.isdecimal():
        slices["grade"] = "1-6" if int(grade) <= 6 else "7-12"
    return slices
