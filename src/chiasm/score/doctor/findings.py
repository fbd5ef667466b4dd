"""What can be found, how bad it is, what it means and what to do about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]
"""An error stops a scorer or makes its number wrong; a warning costs points or is a trap in some tool."""

SHOWN = 5
"""Places named of each finding."""


class Kind(NamedTuple):
    severity: Severity
    means: str
    advice: str


KINDS: Mapping[str, Kind] = {
    "unreadable": Kind("error", "A part of the file can't be read.", "Write the file again, or mend the place."),
    "no records": Kind("error", "There is no record in the file.", "Look whether the run that wrote it has finished."),
    "truth file": Kind(
        "error", "This looks like a file of the truth, not of a model's answers.",
        "Name the file with the answers, and this one with --gt.",
    ),
    "another task": Kind(
        "error", "The answers are of another kind than the truth.", "Check that both files are of one benchmark."
    ),
    "byte order mark": Kind(
        "warning", "The file begins with a byte order mark, which many readers take for text.", "Save as plain UTF-8."
    ),
    "CRLF": Kind("warning", "Lines end in CR LF, and some tools keep the CR as text.", "Save with LF line ends."),
    "no id": Kind("error", "A record has no id.", "Give each its id, or name the key with --id-key."),
    "no ids": Kind(
        "warning", "No record has an id, so answers are tied to questions by their order alone.", "Write ids."
    ),
    "bad id": Kind("error", "An id is neither text nor a whole number.", "Write ids as the truth file has them."),
    "mixed id types": Kind(
        "warning", "Ids are of several types; here \"1\" and 1 are the same, but not in every tool.", "Write one type."
    ),
    "duplicate id": Kind("error", "An id is answered more than once.", "Keep one answer for each id."),
    "missing id": Kind(
        "error", "An id of the truth has no answer.", "Predict it, or count it as wrong with --missing-wrong."
    ),
    "extra id": Kind("error", "An id is not in the truth.", "Check that both files are of one dataset and split."),
    "wrong number": Kind(
        "error", "There are not as many answers as questions, and nothing but their order ties them.", "Write ids."
    ),
    "no answer": Kind("error", "A record has no answer.", "Give each its answer, or name the key with --answer-key."),
    "wrong type": Kind("error", "An answer is not of the type that it should be.", "Write texts as text."),
    "not finite": Kind("error", "A number is NaN or infinite.", "Find where the model or the writer overflowed."),
    "empty answer": Kind("warning", "An answer is empty and counts as wrong.", "Check the generation's limits."),
    "line break": Kind(
        "warning", "A text has several lines; tools that pass texts by line shift all later ones.", "Write spaces."
    ),
    "control character": Kind("warning", "A text has invisible control characters.", "Remove them."),
    "mojibake": Kind(
        "warning", "A text was decoded as the wrong encoding, as Ã© for é, or lost characters.", "Read and write UTF-8."
    ),
    "special token": Kind(
        "warning", "A token of the model's template is left in a text.", "Decode with skip_special_tokens=True."
    ),
    "chat wrapping": Kind(
        "warning", "An answer is wrapped in a sentence, which exact matching counts as wrong.",
        "Ask for a single word or phrase, or strip the wrapping.",
    ),
    "markdown": Kind("warning", "A text has Markdown marks in it.", "Strip them, or ask for plain text."),
    "trailing period": Kind(
        "warning", "A short answer ends in a period, which some scorers keep as part of it.", "Strip it."
    ),
    "neither yes nor no": Kind(
        "warning", "The truth is yes or no, but the answer names neither or both.", "Ask for yes or no only."
    ),
    "names no option": Kind(
        "warning", "The truth is one of several options, but the answer names none or more than one.",
        "Ask for the letter only.",
    ),
    "constant answer": Kind(
        "warning", "All answers are the same.", "Check that the model sees each picture and question."
    ),
    "nearly constant answer": Kind(
        "warning", "Nearly all answers are the same.", "Check that the model sees each picture and question."
    ),
    "cut off": Kind(
        "warning", "A caption stops in the middle of a sentence.", "Raise the limit of new tokens."
    ),
    "no score": Kind("error", "A detection has no score to be ranked by.", "Write the model's confidence as score."),
    "inverted box": Kind(
        "error", "A box has a negative width or height.", "Write [left, top, width, height] in pixels."
    ),
    "empty box": Kind("warning", "A box has no area and can't match anything.", "Leave it out."),
    "normalised boxes": Kind(
        "error", "All boxes lie between 0 and 1, where pixels are expected.", "Multiply by the picture's size."
    ),
    "corners": Kind(
        "error", "Boxes fit their pictures as two corners, but not as left, top, width, height.",
        "Write width and height in place of the second corner.",
    ),
    "outside the picture": Kind(
        "warning", "A box reaches outside its picture.", "Check the scale (of 1000, or of a resized picture?)."
    ),
    "unusable judgement": Kind("error", "A rating or preference can't be used.", "Write each as the place says."),
    "judged twice": Kind("error", "A rater judges the same output twice.", "Keep one judgement."),
    "constant rater": Kind(
        "warning", "A rater says the same of everything.", "Look whether the rater saw the outputs, and in which order."
    ),
    "unknown category": Kind("error", "A category is not in the truth.", "Map the model's classes to the truth's ids."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """`number` is the line or entry, `id` the id as text, None where there is none; `found` is what stands there."""

    number: int | None = None
    id: str | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """`places` are the first five of `count`."""

    kind: str
    severity: Severity
    count: int
    means: str
    advice: str
    places: tuple[Place, ...]


class Tally:
    """Counts each kind and keeps its first places."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[Place]] = defaultdict(list)

    def add(self, kind: str, number: int | None = None, id: str | None = None, found: str = "") -> None:
        self._counts[kind] += 1
        if len(self._places[kind]) < SHOWN:
            self._places[kind].append(Place(number, id, found))

    def add_many(self, kind: str, count: int, places: Iterable[Place]) -> None:
        """`places` are the first of them."""
        self._counts[kind] += count
        self._places[kind] = [*self._places[kind], *places][:SHOWN]

    def count(self, kind: str) -> int:
        return self._counts[kind]

    def forget(self, kind: str) -> None:
        """For a kind that turns out to have another cause."""
        self._counts.pop(kind, None)
        self._places.pop(kind, None)

    def findings(self) -> tuple[Finding, ...]:
        """Errors before warnings, each in the order of `KINDS`."""
        found = [
            Finding(name, kind.severity, self._counts[name], kind.means, kind.advice, tuple(self._places[name]))
            for name, kind in KINDS.items()
            if name in self._counts
        ]
        return tuple(sorted(found, key=lambda finding: finding.severity))
