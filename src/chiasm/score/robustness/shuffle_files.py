"""Multiple-choice questions with their options in another order: SEED-Bench's and ScienceQA's own files."""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from chiasm.data.records import id_text, read_json
from chiasm.errors import DataError
from chiasm.score.robustness.perturb import shuffled_options


def shuffle_options_file(path: Path | str, out: Path | str) -> int:
    """Write the questions of `path` with shuffled options to `out`; returns how many there are.

    Raises DataError for a file of another benchmark and ConfigError for a question with fewer than two options.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("questions"), list):
        questions = content["questions"]
        for number, row in enumerate(questions, start=1):
            name = _id(row, f"{path}, question {number}")
            _shuffle_seed(row, name, f"{path}, question_id {name!r}")
    elif isinstance(content, dict) and content:
        questions = content
        for name, problem in content.items():
            _shuffle_scienceqa(problem, name, f"{path}, problem {name!r}")
    else:
        raise DataError(f"{path}: expected SEED-Bench's questions or ScienceQA's problems.json")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return len(questions)


def _id(row: Any, where: str) -> str:
    try:
        return id_text(row["question_id"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{where}: no question_id ({error})") from None


def _shuffle_seed(row: dict[str, Any], name: str, where: str) -> None:
    keys = [f"choice_{letter}" for letter in ascii_lowercase if row.get(f"choice_{letter}") is not None]
    letters = ascii_uppercase[: len(keys)]
    answer = row.get("answer")
    if not isinstance(answer, str) or len(answer) != 1 or answer not in letters:
        raise DataError(f"{where}: the answer is {answer!r}, but the options are {', '.join(letters) or 'none'}")
    texts = [row[key] for key in keys]
    order = shuffled_options(texts, name)
    row |= {key: texts[place] for key, place in zip(keys, order, strict=True)}
    row["answer"] = letters[order.index(letters.index(answer))]


def _shuffle_scienceqa(problem: Any, name: str, where: str) -> None:
    choices, answer = (problem.get(key) if isinstance(problem, dict) else None for key in ("choices", "answer"))
    if not isinstance(choices, list) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise DataError(f"{where}: 'answer' {answer!r} is no index of 'choices' {choices!r}")
    order = shuffled_options(choices, name)
    problem |= {"choices": [choices[place] for place in order], "answer": order.index(answer)}
