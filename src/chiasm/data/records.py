"""Reading annotation and prediction files: JSON, JSON lines, and the ids that tie the two together.

What other tools write is accepted where it has only one meaning: a byte order mark, CRLF line ends, blank lines and
trailing commas. Everything else is a DataError that names file, line and id.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from chiasm.data import json_stream
from chiasm.data.json_text import keys_of, parse, reason, shortened, without_duplicates
from chiasm.errors import DataError

Layout = Literal["empty", "text", "list", "lines", "one line", "object"]


def read_json(path: Path | str, unique_keys: bool = False) -> Any:
    """The content of a JSON file.

    `unique_keys` is for files whose keys are ids: an object that has a key twice is then an error, where JSON readers
    otherwise keep the last and drop the others in silence. Raises DataError, with the line where there is one.
    """
    content = _read(path)
    hook = without_duplicates if unique_keys else None
    try:
        return parse(content, hook)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: {reason(error)}") from None
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise DataError(f"{path}, line {line}: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {reason(error)}") from None


def records(
    path: Path | str, problems: list[str] | None = None, within: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON list or of JSON lines, with the number that `place` turns into words, counted from 1.

    Which of the two it is shows in the first characters. A file that is one object may hold its list under one of the
    keys `within`, as ``{"annotations": [...]}``; the first such list counts. Of a file of any size no more is in memory
    than one record and one block of text. Raises DataError at the first record that can't be read; if `problems` is
    given, the message is appended to it instead and reading goes on as far as it can.
    """
    report = _raise if problems is None else problems.append
    layout = layout_of(path)
    try:
        container = _container(path, within) if layout in ("one line", "object") else None
    except DataError as error:
        report(str(error))
        return
    if layout == "empty":
        report(f"{path} is empty; expected a JSON list or one JSON object a line")
    elif layout == "list":
        yield from _list_records(path, json_stream.entries(path), report)
    elif container is not None:
        yield from _list_records(path, _entries_under(path, container), report)
    elif layout == "object":
        under = f" under {' or '.join(map(repr, within))}" if within else ""
        report(f"{path} holds one JSON object; expected a JSON list{under} or one JSON object a line")
    else:
        yield from _line_records(path, report)


def by_id(path: Path | str, rows: Iterable[tuple[int, dict[str, Any]]], key: str, what: str) -> dict[str, dict]:
    """The rows of `records(path)` by the text of their id; see `with_ids`."""
    return dict(with_ids(path, rows, key, what))


def with_ids(
    path: Path | str, rows: Iterable[tuple[int, dict[str, Any]]], key: str, what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of `records(path)` after the text of its id, ``row[key]``, so that "1" and 1 meet.

    `what` names a row in messages ("answer", "caption"). Raises DataError for a row without an id, with an id that is
    neither text nor a whole number, and for a second row with the same id.
    """
    numbers: dict[str, int] = {}
    for number, row in rows:
        if key not in row:
            raise DataError(f"{place(path, number)}: this {what} has no {key!r}, only {keys_of(row)}")
        try:
            name = id_text(row[key])
        except ValueError as error:
            raise DataError(f"{place(path, number)}: {key!r} of this {what} {error}") from None
        if name in numbers:
            first = f"{record_word(path)} {numbers[name]}"
            raise DataError(f"{place(path, number)}: a second {what} for {key} {name!r}, after that of {first}")
        numbers[name] = number
        yield name, row


def id_text(value: Any) -> str:
    """An id as text: 7, 7.0 and "7" are the same id. Raises ValueError for anything that can't be an id."""
    if isinstance(value, str):
        if value:
            return value
        raise ValueError("is empty text, not an id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    raise ValueError(f"is {value!r}, expected text or a whole number")


def paired(
    truth_ids: Collection[str],
    prediction_ids: Collection[str],
    truth_path: Path | str,
    prediction_path: Path | str,
    missing: Literal["error", "wrong"] = "error",
) -> None:
    """Check that every true id has a prediction and every prediction a truth.

    Raises DataError with both counts and the first five of each. With ``missing="wrong"`` a missing prediction is
    allowed (the caller counts it as wrong and says so); a prediction for an unknown id never is.
    """
    known, predicted = set(truth_ids), set(prediction_ids)
    without = [name for name in truth_ids if name not in predicted]
    extra = [name for name in prediction_ids if name not in known]
    complaints = []
    if without and missing == "error":
        complaints.append(f"no prediction for {len(without)} of {len(known)} ids ({_first_five(without)})")
    if extra:
        complaints.append(f"{len(extra)} of {len(predicted)} predictions are for unknown ids ({_first_five(extra)})")
    if not complaints:
        return
    if known and predicted and known.isdisjoint(predicted):
        complaints.append("no id is in both files: are they of the same dataset and split?")
    elif not extra:
        complaints.append('predict them, or count them as wrong (--missing-wrong, in Python missing="wrong")')
    raise DataError(f"{prediction_path} does not fit {truth_path}: " + "; ".join(complaints))


def place(path: Path | str, number: int) -> str:
    """Where record `number` is, for messages: "FILE, line 7" in JSON lines, "FILE, entry 7" in a JSON list."""
    return f"{path}, {record_word(path)} {number}"


def record_word(path: Path | str) -> Literal["line", "entry"]:
    """What the numbers of `records` count."""
    try:
        return "line" if layout_of(path) == "lines" else "entry"
    except DataError:  # packed, as an Excel file is, which has other readers
        return "entry"


def layout_of(path: Path | str) -> Layout:
    """How a file begins. "one line" is one object on one line, which may be JSON lines of a single record; "text" is
    neither a list nor an object.

    Raises DataError for a file that can't be opened or is UTF-16 text.
    """
    first = first_character(path)
    if first != "{":
        return "list" if first == "[" else "text" if first else "empty"
    (_, end), *others = islice(_edges_of_lines(path), 2)
    if not others:
        return "one line"
    # A second object begins lines even where the first is damaged, unless it is the first of a list.
    second_is_object = others[0][0] == b"{"
    whole = end.endswith(b"}") or (end.endswith(b"},") and second_is_object)
    return "lines" if whole or (second_is_object and not end.endswith(b"[")) else "object"


def first_character(path: Path | str) -> str:
    """The first character that is no blank, "[" for a JSON list and "{" for an object or JSON lines; "" if none is."""
    try:
        with open(path, "rb") as file:
            while start := file.read(4096):
                if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise DataError(f"{path} is UTF-16 text; save the file as UTF-8")
                _refuse_packed(path, start)
                if start := start.removeprefix(codecs.BOM_UTF8).lstrip():
                    return start[:1].decode("latin-1")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    return ""


def _edges_of_lines(path: Path | str) -> Iterator[tuple[bytes, bytes]]:
    """The first character and the last two of every line that is not blank, however long the line is."""
    with open(path, "rb") as file:
        start, end = b"", b""
        while piece := file.readline(1 << 16):
            kept = (piece if start else piece.removeprefix(codecs.BOM_UTF8)).strip()
            if kept:
                start, end = start or kept[:1], (end + kept)[-2:]
            if start and piece.endswith(b"\n"):
                yield start, end
                start, end = b"", b""
        if start:
            yield start, end


def _entries_under(path: Path | str, container: str) -> Iterator[Any]:
    for key, value in json_stream.members(path):
        if key == container:
            yield from value if isinstance(value, list) else [value]


def _container(path: Path | str, within: Collection[str]) -> str | None:
    return next((key for key, _ in json_stream.members(path) if key in within), None) if within else None


def _list_records(
    path: Path | str, entries: Iterable[Any], report: Callable[[str], None]
) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, entry in enumerate(entries, start=1):
            if isinstance(entry, dict):
                yield number, entry
            else:
                report(f"{path}, entry {number}: expected an object {{...}}, found {shortened(entry)}")
    except DataError as error:
        report(str(error))


def _line_records(path: Path | str, report: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    # Lines end at LF alone: a CR, U+2028 or form feed inside a text must not begin a new record.
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        try:
            entry = parse(line.removesuffix(b","))
        except (ValueError, RecursionError) as error:
            report(f"{path}, line {number}: {reason(error) if line[:1] in b'{[' else _no_json(line)}")
            continue
        if isinstance(entry, dict):
            yield number, entry
        else:
            report(f"{path}, line {number}: expected an object {{...}}, found {shortened(entry)}")


def _no_json(line: bytes) -> str:
    found = shortened(line.decode("utf-8", "replace"))
    return f"expected a JSON list, or one JSON object a line, found {found}"


def _lines(path: Path | str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            yield (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).strip()


def _read(path: Path | str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    if not content.strip():
        raise DataError(f"{path} is empty; expected JSON")
    _refuse_packed(path, content)
    return content


def _refuse_packed(path: Path | str, start: bytes) -> None:
    for mark, what in ((b"\x1f\x8b", "gzip-compressed"), (b"PK\x03\x04", "a zip archive or an Excel file")):
        if start.startswith(mark):
            raise DataError(f"{path} is {what}; unpack it or save it as JSON")


def _raise(message: str) -> None:
    raise DataError(message)


def _first_five(names: Collection[str]) -> str:
    return ", ".join(map(repr, list(names)[:5])) + (", ..." if len(names) > 5 else "")
