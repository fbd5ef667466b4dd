"""Reads a file of predictions to its end and lists every problem in it."""

from __future__ import annotations

import codecs
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from chiasm.data.json_text import shortened
from chiasm.score.doctor import people
from chiasm.score.doctor.boxes import Boxes
from chiasm.score.doctor.findings import SHOWN, Finding, Place, Tally
from chiasm.score.doctor.ids import Ids
from chiasm.score.doctor.numbers import number_keys, number_problems
from chiasm.score.doctor.rows import Word, is_mme, rows
from chiasm.score.doctor.texts import Texts
from chiasm.score.doctor.truth import ID_KEYS, PAIR_KEYS, Form, Truth, is_triples, is_truth, pair_id, read_truth

ANSWER_KEYS = (
    "prediction", "answer", "caption", "text", "caption_predicted", "response", "output", "bbox", "segmentation",
    "point",
)  # fmt: skip
CAPTIONS = ("caption", "caption_predicted")
REGIONS = ("bbox", "segmentation", "point")
"""Answers of which a picture may have any number."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """`records` counts what could be read, `word` is what the numbers of places count; `id_key` and `answer_key` are
    where ids and answers were found, None if they were not, or if answers are several numbers. Errors stand before
    warnings."""

    path: str
    records: int
    word: Word
    id_key: str | None
    answer_key: str | None
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def check_predictions(
    path: Path | str, truth: Path | str | None = None, id_key: str | None = None, answer_key: str | None = None
) -> Checkup:
    """Every problem of a file of predictions; what each kind means is in `findings.KINDS`.

    The file is JSON (a list, ``{id: answer}``, or an object with one of these in it), JSON lines, CSV, TSV, xlsx, one
    answer a line, one of MME's, or a table of people's ratings or preferences.

    Unless `id_key` and `answer_key` are given, they are the first of `ID_KEYS` and `ANSWER_KEYS` that the first
    record has. `truth` is any file that the scorers take as truth: it says which ids there should be, which answers
    should be yes or no or an option's letter, and how large pictures are. In memory are the ids and one record.

    Raises DataError for a file that can't be opened or is no UTF-8 text, and for a truth that can't be read.
    """
    tally, unreadable = Tally(), list[str]()
    named = [key for key in (id_key, answer_key) if key is not None]
    word, found = rows(path, frozenset((*ID_KEYS, *ANSWER_KEYS, *people.KEYS, *named)), unreadable)
    if truth is None and is_mme(path):
        truth = path  # every line of MME's has the truth in it
    known = read_truth(truth) if truth is not None else None
    look = _Look(tally, known, id_key, answer_key)
    _check_bytes(path, tally)
    first = list(islice(found, 1))
    labelled = any(is_truth(row, _first_key(ANSWER_KEYS, row)) for _, row in first)
    if answer_key is None and (labelled or (word == "line" and is_triples(path))):
        tally.add("truth file")
        return Checkup(str(path), 1 + sum(1 for _ in found), word, None, None, tally.findings())
    judged = people.judgements_in(first[0][1]) if first and answer_key is None else None
    if judged is not None:
        records = people.check_judgements(chain(first, found), judged, tally)
        for message in unreadable:
            tally.add("unreadable", found=message)
        return Checkup(str(path), records, word, "item", None, tally.findings())
    for number, row in chain(first, found):
        look.add(number, row)
    look.finish()
    if look.records == 0 and not unreadable:
        tally.add("no records")
    for message in unreadable:
        tally.add("unreadable", found=message.removeprefix(str(path)).lstrip(":, "))
    return Checkup(str(path), look.records, word, look.id_key, look.answer_key, tally.findings())


class _Look:
    """The checks of a file, one record after the other."""

    def __init__(self, tally: Tally, truth: Truth | None, id_key: str | None, answer_key: str | None) -> None:
        self.records, self.id_key, self.answer_key = 0, id_key, answer_key
        self._key_given = answer_key is not None
        self._tally, self._truth = tally, truth
        self._pairs: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._first_of_type: defaultdict[str, list[Place]] = defaultdict(list)

    def _begin(self, row: dict[str, Any]) -> None:
        """What the first record says of all."""
        self.id_key = self.id_key or _first_key(ID_KEYS, row)
        self._number_keys = () if self.answer_key else number_keys(row)
        if not self._number_keys:
            self.answer_key = self.answer_key or _first_key(ANSWER_KEYS, row)
        pairs = (keys for keys in PAIR_KEYS if self.id_key in (None, keys[0]) and all(key in row for key in keys))
        self._pair_keys = next(pairs, None) if self._truth is None or not self._truth.has_ids else None
        if self._truth is not None and not self._truth.has_ids and not self._pair_keys and self.id_key is not None:
            forms = self._truth.forms.values()
            self._truth = Truth(forms={str(place): form for place, form in enumerate(forms)}, has_ids=False)
        many = self.answer_key in REGIONS
        first = str(row.get(self.id_key or ""))
        if self._truth is not None and first not in self._truth.forms and first in self._truth.images.values():
            # LLaVA's answers name the image though it may have several questions, which the prompts tell apart.
            many = len(set(self._truth.images.values())) < len(self._truth.images)
            self._truth = self._truth.by_image()
        forms_of_all = set(self._truth.forms.values()) if self._truth else set()
        self._usual: Form = forms_of_all.pop() if len(forms_of_all) == 1 else "text"
        if self._truth is None and self.answer_key in CAPTIONS:
            self._usual = "caption"
        if self._usual == "caption" and self.answer_key in REGIONS:
            self._tally.add("another task", found="the answers are boxes or masks, the truth is captions")
        self._ids = Ids(self._tally, self._truth, many)
        self._texts, self._boxes = Texts(self._tally), Boxes(self._tally, self._truth)

    def add(self, number: int, row: dict[str, Any]) -> None:
        if self.records == 0:
            self._begin(row)
        self.records += 1
        if self._pair_keys:
            given = all(key in row for key in self._pair_keys)
            name = self._ids.add(number, pair_id(row, self._pair_keys, self._pairs) if given else None, given)
        else:
            name = self._ids.add(number, row.get(self.id_key or ""), self.id_key in row)
        for key in _not_finite(row):
            if key != self.id_key:
                self._tally.add("not finite", number, name, f"{key!r} is {shortened(row[key])}")
        if self._number_keys:
            for kind, found in number_problems(row, self._number_keys):
                self._tally.add(kind, number, name, found)
            return
        answer_key = self.answer_key if self._key_given or self.answer_key in row else _first_key(ANSWER_KEYS, row)
        if answer_key is None or answer_key not in row:
            self._tally.add("no answer", number, name, f"it has {', '.join(row)}"[:80])
            return
        answer = row[answer_key]
        if answer_key in REGIONS:
            self._boxes.add(number, name, row)
            return
        self._note_type(number, name, answer)
        if isinstance(answer, str):
            form: Form = self._usual
            options: Mapping[str, str] = {}
            if self._truth is not None and name is not None:
                form, options = self._truth.forms.get(name, form), self._truth.options.get(name, {})
            self._texts.add(number, name, answer, form, options)
        elif answer in (None, []):
            self._tally.add("empty answer", number, name, repr(answer))

    def finish(self) -> None:
        if self.records == 0:
            return
        repeated = self._tally.count("duplicate id")
        if self.answer_key in CAPTIONS and repeated > self.records / 2:
            self._tally.forget("duplicate id")
            self._tally.add("truth file", found=f"{self.records} captions of {self.records - repeated} pictures")
        self._ids.finish()
        self._texts.finish()
        self._boxes.finish()
        self._report_types()

    def _note_type(self, number: int, name: str | None, answer: Any) -> None:
        what = _type_name(answer)
        self._types[what] += 1
        if len(self._first_of_type[what]) < SHOWN:
            self._first_of_type[what].append(Place(number, name, shortened(answer)))

    def _report_types(self) -> None:
        """Text is what answers should be, or else what most of them are, but never lists or objects; None is an empty
        answer of any type."""
        del self._types["null"]
        usual = "text" if "text" in self._types else max(self._types, key=self._types.__getitem__, default="")
        for what, count in self._types.items():
            if what != usual or what in ("a list", "an object"):
                self._tally.add_many("wrong type", count, self._first_of_type[what])


def _first_key(keys: Sequence[str], row: Mapping[str, Any]) -> str | None:
    return next((key for key in keys if key in row), None)


def _check_bytes(path: Path | str, tally: Tally) -> None:
    with open(path, "rb") as file:
        start = file.read(1 << 20)
    if start.startswith(codecs.BOM_UTF8):
        tally.add("byte order mark", 1)
    if b"\r\n" in start:
        tally.add("CRLF", 1 + start[: start.index(b"\r\n")].count(b"\n"))


def _not_finite(row: dict[str, Any]) -> Iterator[str]:
    return (key for key, value in row.items() if not _is_finite(value))


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")
