"""What a model answered, from the files that the tools of the field write: one reader for all questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.data import json_stream
from chiasm.data.json_text import keys_of, reason
from chiasm.data.records import by_id, first_character, layout_of, paired, place, read_json
from chiasm.errors import DataError
from chiasm.score.tables import delimiter_of, is_xlsx, table_rows, text_of

Missing = Literal["error", "wrong"]
"""What becomes of a question without an answer: an error, or a wrong answer that the notes count."""

ID_KEYS = ("question_id", "questionId", "identifier", "index", "image")
TEXT_KEYS = ("prediction", "answer", "text")
"""A table that has both columns, as VLMEvalKit's, keeps the truth under "answer"."""
NO_PREDICTION = "no prediction"

_EXPECTED = 'expected a row an answer, such as {"question_id": 7, "prediction": "red"}, as JSON or as a table'
_IMAGE_KEYS = ("imgname", "image")
_WORDING_KEYS = ("query", "question")

Rows = Sequence[tuple[int, dict[str, Any]]]


def answer_rows(path: Path | str, columns: Sequence[str] = ()) -> Rows:
    """All rows of a file as `table_rows` has them, or those of one JSON object ``{id: answer}``; at least one.

    Raises DataError for a file without rows, and as `table_rows` does.
    """
    if not is_xlsx(path) and layout_of(path) in ("object", "one line"):
        key, value = next(json_stream.members(path), ("", None))
        if isinstance(value, str) and key not in (*ID_KEYS, *TEXT_KEYS):
            pairs = enumerate(read_json(path, unique_keys=True).items(), start=1)
            return [(number, {ID_KEYS[0]: name, TEXT_KEYS[0]: text}) for number, (name, text) in pairs]
    rows = list(table_rows(path, columns))
    if not rows:
        raise DataError(f"{path} holds no answers; {_EXPECTED}")
    return rows


def answers_of(path: Path | str, rows: Rows, text_keys: Sequence[str] = TEXT_KEYS) -> dict[str, str]:
    """Answers by question id. The id is under the first of `ID_KEYS` that the first row has, the text of each row under
    the first of `text_keys` that it has.

    So an entry may be VQA's ``{question_id, answer}``, LLaVA's ``{question_id, text}``, DocVQA's ``{questionId,
    answer}``, GQA's ``{questionId, prediction}``, VizWiz's ``{image, answer}``, or a row of VLMEvalKit's tables,
    ``index, question, answer, prediction``. Raises DataError for a missing or repeated id and for an answer that is not
    text, naming file, entry and id.
    """
    number, first = rows[0]
    id_key = next((key for key in ID_KEYS if key in first), None)
    if id_key is None or not any(key in first for key in text_keys):
        what, keys = ("id", ID_KEYS) if id_key is None else ("answer", text_keys)
        raise DataError(
            f"{place(path, number)}: no {what} under {', '.join(map(repr, keys))}, only {keys_of(first)}; {_EXPECTED}"
        )
    numbers = (number for number, _ in rows)
    found = by_id(path, rows, id_key, "answer")
    return {
        name: _text(path, number, row, text_keys, name)
        for number, (name, row) in zip(numbers, found.items(), strict=True)
    }


def answers_to(
    path: Path | str,
    truth_ids: Collection[str],
    truth_path: Path | str,
    missing: Missing = "error",
    text_keys: Sequence[str] = TEXT_KEYS,
    columns: Sequence[str] = (),
) -> dict[str, str | None]:
    """The text answered to each of `truth_ids`, in their order, None where ``missing="wrong"`` lets one be missing.

    `columns` are those of a table without a header. Raises DataError as `answers_of` and `paired` do.
    """
    if not truth_ids:
        raise DataError(f"{truth_path}: no question in it")
    answers = answers_of(path, answer_rows(path, columns), text_keys)
    paired(truth_ids, answers, truth_path, path, missing)
    return {name: answers.get(name) for name in truth_ids}


def answers_in_order(
    path: Path | str, asked: Sequence[tuple[str, str]], missing: Missing = "error", ids: Sequence[str] = ()
) -> list[str | None]:
    """Answers to questions that are known by their order, image and wording, given as (image, question); None where
    one is missing.

    A file is tied to them by ``question_id`` (one of `ids`; without them the position, from 0), else by the image and
    the question (the n-th of the same pair goes with the n-th), else by order, and then an answer that repeats the
    question must repeat the one in its place. Text that is no table is one answer a line.
    """
    if _is_plain_text(path):
        text = read_text(path)
        if not text.strip():
            raise DataError(f"{path} is empty; expected an answer a line, a table, or JSON")
        lines = text.removesuffix("\n").split("\n")
        _as_many(path, lines, asked)
        return [line.removesuffix("\r") for line in lines]
    rows = answer_rows(path)
    first = rows[0][1]
    image_key = next((key for key in _IMAGE_KEYS if key in first), None)
    wording_key = next((key for key in _WORDING_KEYS if key in first), None)
    if "question_id" in first or "questionId" in first or ("index" in first and wording_key is None):
        names = list(ids) or [str(place) for place in range(len(asked))]
        answers = answers_of(path, rows)
    else:
        names = numbered(asked)
        said = numbered([(str(row.get(image_key or "")), str(row.get(wording_key or ""))) for _, row in rows])
        if said[0] not in names:
            return list(_by_order(path, rows, asked, wording_key))
        answers = {
            name: _text(path, number, row, TEXT_KEYS, name) for name, (number, row) in zip(said, rows, strict=True)
        }
    paired(names, answers, "the questions", path, missing)
    return [answers.get(name) for name in names]


def numbered(asked: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each (image, question), with "#2", "#3" where the same question is asked again of an image."""
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for image, question in asked:
        seen[image, question] += 1
        again = seen[image, question]
        names.append(f"{image}: {question}" + (f" #{again}" if again > 1 else ""))
    return names


def missing_note(texts: Collection[str | None]) -> tuple[str, ...]:
    """The sentence that says how many answers were missing; none if all are there."""
    count = sum(text is None for text in texts)
    return (f"{NO_PREDICTION}: {count} of {len(texts)} questions, counted as wrong.",) if count else ()


def read_text(path: Path | str) -> str:
    """A text file as it is, line ends included, without its byte order mark. Raises DataError if it is not UTF-8."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None


def _is_plain_text(path: Path | str) -> bool:
    """A table's first line names columns of answers and of questions; in a file of an answer a line it is an answer."""
    if is_xlsx(path) or first_character(path) in ("{", "["):
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().rstrip("\r\n").split(delimiter_of(path))
    return set(TEXT_KEYS).isdisjoint(header) or {*ID_KEYS, *_IMAGE_KEYS, *_WORDING_KEYS}.isdisjoint(header)


def _as_many(path: Path | str, answers: Collection[Any], asked: Collection[Any]) -> None:
    if len(answers) != len(asked):
        raise DataError(
            f"{path} has {len(answers)} answers without ids for {len(asked)} questions; one is needed for each, in "
            "order"
        )


def _by_order(path: Path | str, rows: Rows, asked: Sequence[tuple[str, str]], wording_key: str | None) -> list[str]:
    _as_many(path, rows, asked)
    answers = []
    for (number, row), (_, question) in zip(rows, asked, strict=True):
        wording = row.get(wording_key) if wording_key else None
        if isinstance(wording, str) and question.strip() not in wording:
            raise DataError(
                f"{place(path, number)} answers {wording!r}, but the question in that place is {question!r}: answers "
                "without question_id must be in the order of the questions"
            )
        answers.append(_text(path, number, row, TEXT_KEYS, ""))
    return answers


def _text(path: Path | str, number: int, row: Mapping[str, Any], keys: Sequence[str], name: str) -> str:
    for key in keys:
        if key in row:
            if isinstance(text := row[key], str):
                return text
            break
    # To tell a line from an entry, the file is opened again: for an error alone.
    return text_of(row, keys, place(path, number) + (f", id {name!r}" if name else ""))
