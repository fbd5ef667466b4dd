"""One's own photos and questions: a file with a question a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chiasm.data.formats.photos import existing_folder, fingerprint, split_present
from chiasm.data.json_text import keys_of, shortened
from chiasm.data.records import place, records
from chiasm.errors import DataError
from chiasm.types import Example, Question


class Questions:
    """Photos with their questions, one example a photo, in the order of the file. An id is the photo's name there.

    `file` is JSON lines or a JSON list of ``{"image": "kitchen/1.jpg", "question": "...", "answer": "..."}``. An answer
    is one text or the list of all accepted ones. ``"kind": "colour"`` groups questions in tables, and may be left out.
    Photos are below the folder `images`, that of the file if none is named.

    `missing` names the photos that are not on disk; they are left out with a warning. Raises DataError for a malformed
    row, naming its line, for a question that comes twice about a photo, and where no photo is on disk.
    """

    object_names: tuple[str, ...] | None = None
    scene_names: tuple[str, ...] | None = None

    def __init__(self, file: str | Path, *, images: str | Path | None = None) -> None:
        self._file = Path(file).expanduser()
        self.name = f"questions:{self._file.name}"
        folder = self._file.parent if images is None else existing_folder(images)
        questions: dict[str, dict[str, Question]] = {}
        for number, row in records(self._file):
            where = place(self._file, number)
            photo, asked = _text(row, "image", where), _text(row, "question", where)
            of_photo = questions.setdefault(photo, {})
            if asked in of_photo:
                raise DataError(f"{where}: {asked!r} is asked about {photo} twice")
            kind = _text(row, "kind", where) if "kind" in row else ""
            of_photo[asked] = Question(f"{photo}/{len(of_photo)}", asked, _answers(row, where), kind)
        self._photos, self.missing = split_present({photo: folder / photo for photo in questions}, folder)
        self._examples = [
            Example(id=photo, image=path, questions=tuple(questions[photo].values()))
            for photo, path in self._photos.items()
        ]
        if not self._examples:
            raise DataError(f"{self._file}: no questions")

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int, /) -> Example:
        return self._examples[index]

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint([self._file], self._photos)


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if key not in row:
        raise DataError(f"{where}: no {key!r}, only {keys_of(row)}")
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key!r} is {shortened(value)}, expected text")
    return value.strip()


def _answers(row: dict[str, Any], where: str) -> tuple[str, ...]:
    if not isinstance(row.get("answer"), list):
        return (_text(row, "answer", where),)
    answers = tuple(_text({"answer": one}, "answer", where) for one in row["answer"])
    if not answers:
        raise DataError(f"{where}: 'answer' is an empty list")
    return answers
