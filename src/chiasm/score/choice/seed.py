"""SEED-Bench: four options, twelve types of question about pictures and videos (Li et al. 2023, arXiv 2307.16125)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from chiasm.data.records import by_id, read_json
from chiasm.errors import ConfigError, DataError
from chiasm.score.answer_files import Missing, answers_to, missing_note
from chiasm.score.baselines import beside_blind
from chiasm.score.bootstrap import summarise
from chiasm.score.choice.multiple_choice import (
    PREDICTED,
    baselines,
    choice_item,
    first_character,
    measures,
    named_option,
)
from chiasm.score.result import Score
from chiasm.score.tables import text_of

Dialect = Literal["letter", "first_character"]
_SLICES = ("data_type", "question_type")
_PARSERS = {"letter": named_option, "first_character": first_character}


def score_seed(
    questions: Path | str,
    predictions: Path | str,
    dialect: Dialect = "letter",
    missing: Missing = "error",
    blind: Path | str | None = None,
) -> Score:
    """Accuracy over all questions, and by `data_type` (image, video) and `question_type`.

    `questions` is SEED-Bench's own JSON, ``{"questions": [{question_id, data_id, data_type, question_type_id, answer,
    choice_a, ...}], "question_type": {name: id}}``; `predictions` are ``{question_id, prediction}`` (or ``text``).
    The dialect ``letter`` reads an answer as `named_option` does; ``first_character`` is lmms-eval's. The paper itself
    ranks the options by likelihood, which can't be told from text. Intervals are by picture or video, `data_id`.
    `blind` are the predictions of the same model without the pictures, for what `beside_blind` says.

    Raises DataError for predictions that do not fit the questions and for malformed questions, ConfigError for an
    unknown dialect.
    """
    if dialect not in _PARSERS:
        raise ConfigError(f"unknown dialect {dialect!r} of SEED-Bench; choose from {', '.join(_PARSERS)}")
    content = read_json(questions)
    if not isinstance(content, dict) or not isinstance(content.get("questions"), list):
        raise DataError(f'{questions}: expected {{"questions": [...], "question_type": {{...}}}} as SEED-Bench has it')
    type_names = {number: name for name, number in content.get("question_type", {}).items()}
    rows = by_id(questions, enumerate(content["questions"], start=1), "question_id", "question")
    texts = answers_to(predictions, rows, questions, missing, PREDICTED)
    items = []
    for name, row in rows.items():
        where = f"{questions}, question_id {name!r}"
        options = _options(row)
        truth = text_of(row, ("answer",), where)
        if truth not in options:
            raise DataError(f"{where}: the answer is {truth!r}, but the options are {', '.join(options) or 'none'}")
        type_id = row.get("question_type_id")
        slices = {"question_type": type_names.get(type_id, str(type_id))}
        if "data_type" in row:
            slices["data_type"] = str(row["data_type"])
        image = str(row.get("data_id", name))
        question = str(row.get("question", ""))
        items.append(choice_item(name, image, texts[name], options, truth, slices, _PARSERS[dialect], question))
    values = summarise(items, measures(items), slices=_SLICES)
    score = Score("seed", dialect, values + baselines(items, _SLICES), tuple(items), missing_note(texts.values()))
    if blind is None:
        return score
    accuracy = {"accuracy": measures(items)["accuracy"]}
    return beside_blind(score, score_seed(questions, blind, dialect, missing), accuracy, _SLICES)


def _options(row: Mapping[str, Any]) -> dict[str, str]:
    found = {letter.upper(): row.get(f"choice_{letter}") for letter in "abcdefgh"}
    return {letter: str(text) for letter, text in found.items() if text is not None}
