"""MMBench: multiple choice, asked again with its options rotated (Liu et al. 2023, arXiv 2307.06281)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chiasm.data.records import by_id
from chiasm.errors import DataError
from chiasm.score.answer_files import Missing, answers_to, missing_note
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.choice.multiple_choice import PREDICTED, choice_item
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.tables import table_rows, text_of

COPY = 1_000_000
"""A question's copies have its index plus 1, 2, ... times this."""

_SLICES = ("category", "l2-category")


@dataclass(frozen=True, slots=True)
class _Row:
    index: str
    first_pass: str
    image: str
    options: Mapping[str, str]
    answer: str
    slices: Mapping[str, str]


def score_mmbench(
    truth: Path | str, predictions: Path | str, missing: Missing = "error", blind: Path | str | None = None
) -> Score:
    """`accuracy.vanilla`, the first pass alone, and `accuracy.circular`, where a question counts as right only if all
    of its passes are.

    `truth` has the columns ``index, A, B, ..., answer`` and may have ``category, l2-category, image``; `predictions`
    have ``index, prediction`` and whatever else. Either is TSV, CSV, JSON lines or, with openpyxl, xlsx, and one file
    may be both. The copies of a question have its index plus multiples of 1,000,000 and there are as many as options;
    a truth without copies gives the vanilla value only. Both are in 0..1, by category and l2-category as well.
    Intervals are by picture. `blind` are the predictions of the same model without the pictures, for what
    `beside_blind` says.

    Raises DataError for a question whose answer is none of its options or whose passes are incomplete, and for
    predictions that do not fit the truth.
    """
    rows = _rows(truth)
    passes: dict[str, list[_Row]] = defaultdict(list)
    for row in rows.values():
        passes[row.first_pass].append(row)
    circular = any(len(copies) > 1 for copies in passes.values())
    _check_passes(passes, circular, truth)
    texts = answers_to(predictions, rows, truth, missing, PREDICTED)
    items = [item for copies in passes.values() for item in _question_items(copies, texts)]
    notes = [*missing_note(texts.values())]
    if not circular:
        notes.append("There is one pass for each question, so this is the vanilla value; the official one is circular.")
    score = Score(
        "mmbench",
        "circular and vanilla" if circular else "vanilla",
        summarise(items, measures(items), slices=_SLICES) + _baselines(items, list(passes.values()), circular),
        tuple(items),
        tuple(notes),
    )
    if blind is None:
        return score
    accuracies = {name: measure for name, measure in measures(items).items() if name.startswith("accuracy.")}
    return beside_blind(score, score_mmbench(truth, blind, missing), accuracies, _SLICES)


def _rows(path: Path | str) -> dict[str, _Row]:
    raw = by_id(path, _without_pictures(path), "index", "question")
    found: dict[str, _Row] = {}
    for index, row in raw.items():
        where = f"{path}, index {index!r}"
        if not index.isdecimal():
            raise DataError(f"{where}: expected a whole number")
        options = {name: str(row[name]) for name in row if len(name) == 1 and name.isupper() and _is_filled(row[name])}
        answer = text_of(row, ("answer",), where).strip()
        if answer not in options:
            raise DataError(f"{where}: the answer is {answer!r}, but the options are {', '.join(options) or 'none'}")
        # In the files with all passes a copy has the index of the row with the picture instead of the picture.
        image = str(row.get("image", "")) or index
        image = str(raw[image].get("image")) if image in raw and image != index else image
        slices = {key: str(row[key]) for key in _SLICES if row.get(key)}
        found[index] = _Row(index, str(int(index) % COPY), image, options, answer, slices)
    return found


def _without_pictures(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with a hash of the picture, which tells pictures apart as well and leaves the file out of memory."""
    for number, row in table_rows(path):
        picture = str(row.get("image", ""))
        if len(picture) > 64:
            row["image"] = hashlib.sha256(picture.encode()).hexdigest()
        yield number, row


def _is_filled(cell: Any) -> bool:
    """A question with fewer options than the table has columns leaves the others empty, which pandas writes as nan."""
    return cell is not None and cell == cell and str(cell).strip() not in ("", "nan")


def _check_passes(passes: Mapping[str, Sequence[_Row]], circular: bool, path: Path | str) -> None:
    wrong = {
        first: copies
        for first, copies in passes.items()
        if (circular and len(copies) != len(copies[0].options)) or first not in {row.index for row in copies}
    }
    if wrong:
        first, copies = next(iter(wrong.items()))
        raise DataError(
            f"{path}: {len(wrong)} of {len(passes)} questions do not have one pass for each option; the first is index "
            f"{first} with {len(copies[0].options)} options and the passes {', '.join(row.index for row in copies)}"
        )


def _question_items(copies: Sequence[_Row], texts: Mapping[str, str | None]) -> list[Item]:
    items = [choice_item(row.index, row.image, texts[row.index], row.options, row.answer, row.slices) for row in copies]
    all_right = all(item.statistics["right"] for item in items)
    return [replace(item, statistics=_statistics(item, item.id == copies[0].first_pass, all_right)) for item in items]


def _statistics(item: Item, is_first: bool, all_right: bool) -> dict[str, float]:
    """The first pass carries its question's circular result, so that sums count every question once."""
    right = item.statistics["right"]
    return {
        "passes": 1.0,
        "passes_right": right,
        "right": right,
        "unparsed": item.statistics["unparsed"],
        "questions": float(is_first),
        "vanilla_right": float(is_first) * right,
        "circular_right": float(is_first and all_right),
    }


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_mmbench`; those over several passes only where there are several."""
    vanilla = {
        "accuracy.vanilla": share("vanilla_right", "questions"),
        "unparsed": share("unparsed", "passes", better=None),
    }
    if len(items) == sum(item.statistics["questions"] for item in items):
        return vanilla
    return {
        "accuracy.circular": share("circular_right", "questions"),
        "accuracy.all_passes": share("passes_right", "passes"),
        **vanilla,
    }


def _baselines(items: Sequence[Item], passes: Sequence[Sequence[_Row]], circular: bool) -> tuple[Value, ...]:
    """Guessing each pass anew: 1 / N of N options, and all N passes with probability N ** -N. And the letter that is
    most often right in the first pass, which is never right in all passes."""
    options = [len(copies[0].options) for copies in passes]
    n = len(options)
    values = [Value("baseline.chance.accuracy.vanilla", sum(1 / k for k in options) / n, n, method="baseline")]
    if circular:
        chance = sum(float(k) ** -k for k in options) / n
        values.append(Value("baseline.chance.accuracy.circular", chance, n, method="baseline"))
    first = [item for item in items if item.statistics["questions"]]
    rules = {"accuracy.vanilla": lambda letter, truth: float(letter == truth)}
    majority = majority_values(first, [item.truth for item in first], lambda letter: (letter,), rules, _SLICES)
    return (*values, *majority)
