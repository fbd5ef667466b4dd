"""Reference and candidate captions from the files the community has, told apart by their content.

JSON: COCO captions ``{"images", "annotations": [{image_id, caption}]}``, COCO results ``[{image_id, caption}]`` (also
as JSON lines), clipscore's ``{id: caption}`` and ``{id: [captions]}``, SPICE's ``[{image_id, test, refs}]`` and
Karpathy's ``{"images": [{filename, sentences: [{raw}]}]}``. Text: Flickr8k's ``photo.jpg#0<TAB>caption``, CSV with the
columns ``image,caption`` or, as the audio captioning tools have it, ``caption_predicted,caption_1,...``, and nlg-eval's
parallel lines, one caption a line, whose id is the number of the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.data.json_text import reason
from chiasm.data.records import id_text, layout_of, read_json, record_word, records
from chiasm.errors import DataError

EXPECTED = (
    "COCO captions or results, {id: caption} or {id: [captions]}, SPICE, Karpathy, Flickr8k tokens, "
    "CSV (image,caption or caption_predicted,caption_1), or one caption a line"
)
TOKEN_LINE = re.compile(r"[^\t]+#\d+\t")
_ID_COLUMNS = ("image_id", "image", "file_name", "fname", "id")

Pair = tuple[str, str]


def read_references(path: Path | str, karpathy_split: str | None = None) -> dict[str, list[str]]:
    """All captions of every image, by id, in the file's order.

    `karpathy_split` ("test") keeps one split of a Karpathy file; there an id is the photo's `cocoid`, or its file name
    where it has none. Raises DataError for a file of no known format, and for empty or missing ids and captions that
    are not text, naming file and place.
    """
    found: dict[str, list[str]] = {}
    for name, caption in _pairs(path, "references", karpathy_split):
        found.setdefault(name, []).append(caption)
    if not found:
        raise DataError(f"{path}: no caption in it")
    return found


def read_candidates(path: Path | str) -> dict[str, str]:
    """The one caption to be scored of every image, by id. An empty caption is kept.

    Raises DataError as `read_references` does, and for an image with two captions.
    """
    found: dict[str, str] = {}
    for name, caption in _pairs(path, "candidates", None):
        if name in found:
            raise DataError(f"{path}: a second caption for image {name!r}; a score needs exactly one an image")
        found[name] = caption
    if not found:
        raise DataError(f"{path}: no caption in it")
    return found


def _pairs(path: Path | str, role: str, karpathy_split: str | None) -> Iterator[Pair]:
    layout = layout_of(path)
    if layout in ("text", "empty") and Path(path).suffix.lower() not in (".json", ".jsonl"):
        return _text_pairs(path, role)
    if layout in ("one line", "object"):
        return _object_pairs(path, role, karpathy_split)
    return _record_pairs(path, role)


def _text(path: Path | str) -> str:
    try:
        # Only LF and CRLF end a line: universal newlines would also cut a caption at a lone CR.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    if not text.strip():
        raise DataError(f"{path} is empty; expected {EXPECTED}")
    return text


def _object_pairs(path: Path | str, role: str, karpathy_split: str | None) -> Iterator[Pair]:
    content = read_json(path, unique_keys=True)
    if "image_id" in content:
        yield from _record(content, str(path), role)
    elif isinstance(content.get("annotations"), list):
        for number, entry in enumerate(content["annotations"], start=1):
            yield _identified(entry, f"{path}, annotation {number}")
    elif isinstance(content.get("images"), list):
        yield from _karpathy_pairs(content["images"], path, karpathy_split)
    else:
        for name, value in content.items():
            captions = value if isinstance(value, list) and role == "references" else [value]
            for caption in captions:
                yield name, _caption(caption, f"{path}, id {name!r}")


def _karpathy_pairs(images: list[Any], path: Path | str, split: str | None) -> Iterator[Pair]:
    for number, image in enumerate(images, start=1):
        where = f"{path}, image {number}"
        if not isinstance(image, dict) or not isinstance(image.get("sentences"), list):
            raise DataError(f"{where}: expected an object with filename and sentences")
        if split is not None and image.get("split") != split:
            continue
        name = _id(image.get("cocoid", image.get("filename")), where)
        for sentence in image["sentences"]:
            yield name, _caption(sentence.get("raw") if isinstance(sentence, dict) else sentence, where)


def _record_pairs(path: Path | str, role: str) -> Iterator[Pair]:
    word = record_word(path)
    for number, row in records(path):
        yield from _record(row, f"{path}, {word} {number}", role)


def _record(row: dict[str, Any], where: str, role: str) -> Iterator[Pair]:
    if "test" in row and "refs" in row:
        name = _id(row.get("image_id"), where)
        for caption in row["refs"] if role == "references" else [row["test"]]:
            yield name, _caption(caption, where)
    else:
        yield _identified(row, where)


def _text_pairs(path: Path | str, role: str) -> Iterator[Pair]:
    text = _text(path)
    first = text.partition("\n")[0].rstrip("\r")
    columns = [column.strip() for column in first.split(",")]
    if "caption_predicted" in columns or "caption_1" in columns or ("caption" in columns and len(columns) > 1):
        yield from _table_pairs(text, path, role)
        return
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    tokens = TOKEN_LINE.match(first) is not None
    for number, line in enumerate(lines, start=1):
        if not tokens:
            yield str(number), line
        elif TOKEN_LINE.match(line):
            key, _, caption = line.partition("\t")
            yield key.rpartition("#")[0], caption
        else:
            raise DataError(f"{path}, line {number}: expected 'photo.jpg#0<TAB>caption', found {line[:80]!r}")


def _table_pairs(text: str, path: Path | str, role: str) -> Iterator[Pair]:
    # newline="" keeps a line break inside a quoted caption where it is.
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    columns = rows.fieldnames or []
    numbered = [column for column in columns if re.fullmatch(r"caption_\d+", column)]
    wanted = numbered if role == "references" else ["caption_predicted"]
    wanted = [column for column in wanted if column in columns] or ["caption"]
    if not set(wanted) <= set(columns):
        raise DataError(f"{path}: no column for {role} among {', '.join(columns)}")
    key = next((column for column in _ID_COLUMNS if column in columns), None)
    try:
        for number, row in enumerate(rows, start=1):
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where}: expected {len(columns)} columns; quote captions that hold a comma")
            name = str(number) if key is None else _id(row[key], where)
            yield from ((name, row[column]) for column in wanted)
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}") from None


def _identified(row: Any, where: str) -> Pair:
    if not isinstance(row, dict) or "image_id" not in row or "caption" not in row:
        found = ", ".join(map(repr, row)) if isinstance(row, dict) else repr(row)[:60]
        raise DataError(f"{where}: expected image_id and caption, found {found}. Known files: {EXPECTED}")
    return _id(row["image_id"], where), _caption(row["caption"], where)


def _id(value: Any, where: str) -> str:
    try:
        return id_text(value)
    except ValueError as error:
        raise DataError(f"{where}: the id {error}") from None


def _caption(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: a caption is {value!r}, expected text")
    return value


def aligned_references(paths: list[Path | str] | tuple[Path | str, ...]) -> dict[str, list[str]]:
    """References spread over several files, as nlg-eval has them: the n-th lines of all files belong together.

    Raises DataError for files of different length.
    """
    parts = [read_references(path) for path in paths]
    sizes = Counter(len(part) for part in parts)
    if len(sizes) > 1:
        lengths = ", ".join(f"{path}: {len(part)}" for path, part in zip(paths, parts, strict=True))
        raise DataError(f"reference files of different length ({lengths})")
    return {name: [caption for part in parts for caption in part.get(name, ())] for name in parts[0]}
