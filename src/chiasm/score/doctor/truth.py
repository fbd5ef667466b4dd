"""What the truth says of the answers: which ids there are, of what form each is, and for boxes the pictures' sizes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from chiasm.data import json_stream
from chiasm.data.boxes import Size
from chiasm.data.records import id_text, layout_of, records
from chiasm.errors import DataError
from chiasm.score.captioning.formats import read_references
from chiasm.score.doctor.rows import LISTS, is_mme, mme_lines
from chiasm.score.tables import table_rows
from chiasm.score.vqa.daquar import read_triples

Form = Literal["yes/no", "option", "text", "caption", "box"]

ID_KEYS = ("question_id", "questionId", "index", "image_id", "sent_id", "ref_id", "ann_id", "identifier", "id", "image")
PAIR_KEYS = (("imgname", "query"), ("image", "question"), ("id", "question"))
"""ChartQA's, MME's and TIFA's: a picture or caption and a question, which together stand for an id."""

_TRUE_KEYS = ("label", "multiple_choice_answer", "answer")


@dataclass(slots=True)
class Truth:
    """`forms` of the answers by id, in the file's order; `options` are the options' texts by letter and `images` the
    pictures, of the ids that have them. `sizes` (width, height) by picture and `categories` are what boxes are checked
    against. Where not `has_ids`, those in `forms` are made up, and a `question_id` in the answers is a position,
    counted from 0."""

    forms: dict[str, Form] = field(default_factory=dict)
    options: dict[str, Mapping[str, str]] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    categories: set[str] = field(default_factory=set)
    images: dict[str, str] = field(default_factory=dict)
    has_ids: bool = True

    def by_image(self) -> Truth:
        """With images for ids, for answers that name the image instead of the question."""
        return Truth({self.images[name]: form for name, form in self.forms.items() if name in self.images})


def read_truth(path: Path | str) -> Truth:
    """The truth from any file that the scorers read: captions of every format, VQA, VizWiz, TextVQA, GQA, POPE,
    ChartQA, DocVQA, DAQUAR, MMBench, SEED-Bench, ScienceQA, COCO instances, and LLaVA's questions.

    Raises DataError for a file that can't be read or in which nothing has an id.
    """
    truth = _text_truth(path) if layout_of(path) == "text" else _json_truth(path)
    if not truth.forms:
        raise DataError(f"{path}: found no question, caption or picture with an id in it; is it a file of the truth?")
    return truth


def pair_id(row: Mapping[str, Any], keys: tuple[str, str], seen: Counter[str]) -> str:
    """The name of a picture and a question, with "#2", "#3" where `seen` has them already."""
    name = ": ".join(str(row[key]) for key in keys)
    seen[name] += 1
    return name if seen[name] == 1 else f"{name} #{seen[name]}"


def is_truth(row: Mapping[str, Any], answer_key: str | None) -> bool:
    """Whether a record has what only files of the truth have beside what would be its answer: people's answers, a
    label, the options of a question, several references, the area of an annotated object."""
    if answer_key in ("bbox", "segmentation"):
        return "score" not in row and not {"area", "iscrowd"}.isdisjoint(row)
    if answer_key == "text" and isinstance(row["text"], str) and not row["text"].rstrip().endswith("?"):
        return False
    if answer_key in (None, "text"):
        labelled = "label" in row and (answer_key == "text" or "query" in row or "sentence" in row)
        return labelled or "answers" in row or "multiple_choice_answer" in row
    if answer_key == "answer":
        several = _are_texts(row["answer"]) and len(row["answer"]) > 1
        return several or bool(_options(row)) or not {"fullAnswer", "types"}.isdisjoint(row)
    return False


def is_triples(path: Path | str) -> bool:
    """Whether a file begins as DAQUAR's questions do: question, answer and image, a line each."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in islice(file, 3)]
    return len(lines) == 3 and lines[0].endswith("?") and re.fullmatch(r"image\d+", lines[2]) is not None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _json_truth(path: Path | str) -> Truth:
    truth, pairs = Truth(), Counter[str]()
    for section, row in _entries(path):
        if section == "images" and "sentences" not in row:
            _add_picture(row, truth)
        elif section == "categories":
            truth.categories.add(str(row.get("id")))
        else:
            name = _name(section, row, pairs)
            if name is not None:
                form = truth.forms[name] = _form(row)
                if "image_id" in row or "image" in row:
                    truth.images[name] = str(row.get("image_id", row.get("image")))
                if form == "option":
                    truth.options[name] = _options(row)
    truth.has_ids = not pairs
    if "box" in truth.forms.values():  # a picture may have none
        truth.forms = dict.fromkeys([*truth.sizes, *truth.forms], "box")
    return truth


def _entries(path: Path | str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry with the key of the object that it stands under, "" in a list or lines."""
    if layout_of(path) in ("list", "lines"):
        for _, row in records(path):
            yield "", row
        return
    for key, value in json_stream.members(path):
        if isinstance(value, dict):
            yield key, value
        elif key not in LISTS and _are_texts(value):
            yield key, {"caption": value}  # clipscore's references


def _name(section: str, row: Mapping[str, Any], pairs: Counter[str]) -> str | None:
    if "sentences" in row:  # Karpathy's
        return str(row.get("cocoid", row.get("filename")))
    if section and section not in (*LISTS, "images"):
        # An object by id, as GQA and ScienceQA have it; COCO's has "info" and "licenses" beside its lists.
        return section if "answer" in row or "caption" in row else None
    if "imgname" in row and "query" in row:
        return pair_id(row, PAIR_KEYS[0], pairs)
    if "element_type" in row and "id" in row and "question" in row:
        return pair_id(row, PAIR_KEYS[2], pairs)
    for key in ID_KEYS:
        if key in row:
            try:
                return id_text(row[key])
            except ValueError:
                return None
    return None


def _form(row: Mapping[str, Any]) -> Form:
    if "caption" in row or "sentences" in row or "refs" in row:
        return "caption"
    if "bbox" in row or "segmentation" in row:
        return "box"
    if _options(row):
        return "option"
    true = next((row[key] for key in _TRUE_KEYS if isinstance(row.get(key), str)), None)
    if true is None and isinstance(row.get("answers"), list):
        people = [one.get("answer") if isinstance(one, dict) else one for one in row["answers"]]
        true = Counter(map(str, people)).most_common(1)[0][0] if people else ""
    return "yes/no" if true is not None and true.strip().lower() in ("yes", "no") else "text"


def _options(row: Mapping[str, Any]) -> dict[str, str]:
    """Options by letter: MMBench's columns A, B, ..., SEED-Bench's choice_a, ..., ScienceQA's list of choices."""
    choices = row.get("choices")
    if isinstance(choices, list):
        return dict(zip(ascii_uppercase, map(str, choices), strict=False))
    for prefix in ("", "choice_"):
        found = {letter: row.get(prefix + (letter.lower() if prefix else letter)) for letter in ascii_uppercase[:8]}
        texts = {letter: str(text) for letter, text in found.items() if text not in (None, "")}
        if len(texts) > 1:
            return texts
    return {}


def _add_picture(row: Mapping[str, Any], truth: Truth) -> None:
    width, height = row.get("width"), row.get("height")
    if isinstance(width, int) and isinstance(height, int):
        truth.sizes[str(row.get("id"))] = (width, height)


def _text_truth(path: Path | str) -> Truth:
    if is_mme(path):
        pairs = Counter[str]()
        whole = (row for _, row in mme_lines(path) if len(row) > 2)
        return Truth(forms={pair_id(row, PAIR_KEYS[1], pairs): "yes/no" for row in whole}, has_ids=False)
    table = _table(path)
    if table:
        return Truth(forms=dict.fromkeys(table, "option"), options=table)
    triples = _triples(path)
    if triples:
        return Truth(forms={str(number): "text" for number in range(triples)}, has_ids=False)
    return Truth(forms=dict.fromkeys(read_references(path), "caption"))


def _table(path: Path | str) -> dict[str, Mapping[str, str]]:
    """Options by index of a table such as MMBench's; empty for any other text."""
    try:
        rows = (row for _, row in table_rows(path))
        return {str(row["index"]): _options(row) for row in rows if "index" in row and _options(row)}
    except DataError:
        return {}


def _triples(path: Path | str) -> int:
    """How many of DAQUAR's questions there are; 0 for any other text."""
    try:
        triples = read_triples(path)
    except DataError:
        return 0
    return len(triples) if all(re.fullmatch(r"image\d+", triple.image) for triple in triples) else 0
