"""Multiple-choice questions with their options in another order: SEED-Bench's and ScienceQA's own files."""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from chiasm.data.records import id_text, read_json
from chiasm.errors import DataError
from chiasm.score.robustness.perturb import shuffled_options


def shuffle_options_file(path: Path | str, out: Path | str, orders: Path | str) -> int:
    """Write the questions of `path` with shuffled options to `out` and the orders, for `options.read_orders`, to
    `orders`; returns how many questions there are.

    Raises DataError for a file of another benchmark and ConfigError for a question with fewer than two options.
    """
    content = read_json(path)
    found: dict[str, tuple[int, ...]] = {}
    if isinstance(content, dict) and isinstance(content.get("questions"), list):
        for number, row in enumerate(content["questions"], start=1):
            name = _id(row, f"{path}, question {number}")
            found[name] = _shuffle_seed(row, name, f"{path}, question_id {name!r}")
    elif isinstance(content, dict) and content:
        for name, problem in content.items():
            found[name] = _shuffle_scienceqa(problem, name, f"{path}, problem {name!r}")
    else:
        raise DataError(f"{path}: expected SEED-Bench's questions or ScienceQA's problems.json")
    for target, written in ((out, content), (orders, found)):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(json.dumps(written, ensure_ascii=False), "utf-8")
    return len(found)


def _id(row: Any, where: str) -> str:
    try:
        return id_text(row["question_id"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{where}: no question_id ({error})") from None


def _shuffle_seed(row: dict[str, Any], name: str, where: str) -> tuple[int, ...]:
    keys = [f"choice_{letter}" for letter in ascii_lowercase if row.get(f"choice_{letter}") is not None]
    letters = ascii_uppercase[: len(keys)]
    answer = row.get("answer")
    if not isinstance(answer, str) or len(answer) != 1 or answer not in letters:
        raise DataError(f"{where}: the answer is {answer!r}, but the options are {', '.join(letters) or 'none'}")
    texts = [row[key] for key in keys]
    order = shuffled_options(texts, name)
    row |= {key: texts[place] for key, place in zip(keys, order, strict=True)}
    row["answer"] = letters[order.index(letters.index(answer))]
    return order


def _shuffle_scienceqa(problem: Any, name: str, where: str) -> tuple[int, ...]:
    choices, answer = (problem.get(key) if isinstance(problem, dict) else None for key in ("choices", "answer"))
    if not isinstance(choices, list) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise DataError(f"{where}: 'answer' {answer!r} is no index of 'choices' {choices!r}")
    order = shuffled_options(choices, name)
    problem |= {"choices": [choices[place] for place in order], "answer": order.index(answer)}
    return order
