"""A model's answers by question id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.data.json_text import keys_of
from chiasm.data.records import by_id, paired
from chiasm.errors import DataError
from chiasm.score.choice.tables import table_rows

Missing = Literal["error", "wrong"]
"""What becomes of a question without an answer: an error, or a wrong answer that the notes count."""

NOT_ANSWERED = "no answer in the file"


def answers_by_id(
    path: Path | str,
    id_key: str,
    text_keys: Sequence[str],
    truth_ids: Collection[str],
    truth_path: Path | str,
    missing: Missing = "error",
    columns: Sequence[str] = (),
) -> dict[str, str | None]:
    """The text answered to each of `truth_ids`, None where ``missing="wrong"`` lets an answer be missing.

    The first of `text_keys` that a row has holds its text. `columns` are those of a table without a header. Raises
    DataError as `by_id` and `paired` do, for a row without text and for a file without rows.
    """
    if not truth_ids:
        raise DataError(f"{truth_path}: no question in it")
    rows = by_id(path, table_rows(path, columns), id_key, "answer")
    if not rows:
        texts = " or ".join(map(repr, text_keys))
        raise DataError(f"{path}: no answer in it; expected rows with {id_key!r} and {texts}")
    paired(truth_ids, rows, truth_path, path, missing)
    return {
        name: text_of(rows[name], text_keys, f"{path}, {id_key} {name!r}") if name in rows else None
        for name in truth_ids
    }


def text_of(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    """The text under the first of `keys` that `row` has. Raises DataError if there is none or it is not text."""
    key = next((key for key in keys if key in row), None)
    if key is None:
        raise DataError(f"{where}: no {' or '.join(map(repr, keys))}, only {keys_of(row)}")
    if not isinstance(row[key], str):
        raise DataError(f"{where}: {key!r} is {row[key]!r}, expected text")
    return row[key]


def missing_note(texts: Collection[str | None]) -> tuple[str, ...]:
    """The sentence that says how many answers were missing; none if all are there."""
    count = sum(text is None for text in texts)
    return (f"{count} of {len(texts)} questions have no answer and count as wrong.",) if count else ()
