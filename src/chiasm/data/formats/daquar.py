"""DAQUAR: questions that people asked about indoor photos (Malinowski and Fritz 2014, arXiv:1410.0210)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from chiasm.data.formats.photos import existing_folder, fingerprint, read_text, split_present
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError, DataError
from chiasm.types import Example, Question

PARTS = ("all", "train", "heldout")

_HELD_OUT_ONE_IN = 10

# First match wins; anything else is "other". The questions are typed by hand: "how manu", "what solor", "waht".
_KINDS = (
    ("count", re.compile(r"how m?an\w*\b")),
    ("color", re.compile(r"\w+ (is |are )?(the )?[cs]olou?rs?\b|what is the (\w+ ){1,2}colou?r (of|\?)")),
    ("place", re.compile(r"where\b")),
    ("existence", re.compile(r"(is|are|does|do|has|have|can) ")),
    ("object", re.compile(r"(wh?at|waht|which|name)")),
)


class Daquar:
    """Photos with their questions, one example a photo.

    `folder` holds ``qa.894.raw.{split}.format_triple`` (question, answer and photo on three lines) and ``images/``.
    An answer is kept as it stands, also where it lists several things ("book, scissor"). Question kinds are count,
    color, place, existence, object and other, told from the words. `part` is "train" or "heldout", which share no
    photo and are drawn by a hash of the photo's name (one in ten is held out, whatever else is there), or "all".

    `missing` names the photos with questions that are not on disk; they are left out with a warning. Raises DataError
    for missing or malformed files, ConfigError for an unknown part.
    """

    object_names: tuple[str, ...] | None = None
    scene_names: tuple[str, ...] | None = None

    def __init__(self, folder: str | Path, *, split: str = "train", part: str = "all") -> None:
        if part not in PARTS:
            raise ConfigError(f"DAQUAR has no part {part!r}{did_you_mean(part, PARTS)}")
        folder = existing_folder(folder)
        self.name = f"daquar:{split}/{part}"
        self._triples = folder / f"qa.894.raw.{split}.format_triple"
        questions = {
            photo: asked for photo, asked in _read_triples(self._triples).items() if part in ("all", part_of(photo))
        }
        if not questions:
            raise DataError(f"{self._triples}: no questions in part {part!r}")
        photos = {photo: _photo_path(folder / "images", photo) for photo in questions}
        self._photos, self.missing = split_present(photos, folder)
        self._examples = [
            Example(id=photo, image=path, questions=questions[photo]) for photo, path in self._photos.items()
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int, /) -> Example:
        return self._examples[index]

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint([self._triples], self._photos)


def part_of(photo: str) -> str:
    """ "heldout" for one photo in ten, by the SHA-256 of its name, else "train"."""
    number = int.from_bytes(hashlib.sha256(photo.encode()).digest()[:8], "big")
    return "heldout" if number % _HELD_OUT_ONE_IN == 0 else "train"


def kind_of(question: str) -> str:
    """What a question asks for: count, color, place, existence, object or other."""
    return next((kind for kind, words in _KINDS if words.match(question.lower())), "other")


def _read_triples(path: Path) -> dict[str, tuple[Question, ...]]:
    """Questions by photo name ("image3"), both in the order of the file."""
    lines = read_text(path).removesuffix("\n").split("\n")
    if len(lines) % 3:
        raise DataError(f"{path}: {len(lines)} lines are not whole triples of question, answer and photo")
    by_photo: dict[str, list[Question]] = {}
    for start in range(0, len(lines), 3):
        text, answer, photo = (line.strip() for line in lines[start : start + 3])
        if not text or not answer:
            raise DataError(f"{path}, line {start + 1}: a question and its answer must not be empty")
        if not re.fullmatch(r"image\d+", photo):
            raise DataError(f"{path}, line {start + 3}: expected a photo such as 'image3', got {photo!r}")
        asked = by_photo.setdefault(photo, [])
        asked.append(Question(id=f"{photo}/{len(asked)}", text=text, answers=(answer,), kind=kind_of(text)))
    return {photo: tuple(asked) for photo, asked in by_photo.items()}


def _photo_path(folder: Path, photo: str) -> Path:
    """The collection is spread as PNG and, smaller, as JPEG."""
    png = folder / f"{photo}.png"
    return png if png.is_file() else folder / f"{photo}.jpg"
