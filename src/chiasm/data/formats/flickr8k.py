"""Flickr8k: photos with five captions each (Hodosh, Young and Hockenmaier 2013, doi:10.1613/jair.3994)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from chiasm.data.formats.photos import existing_folder, fingerprint, read_text, split_present
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError, DataError
from chiasm.types import Example

SPLITS = ("train", "dev", "test")


class Flickr8k:
    """Photos with their captions, in the order of the split's list. An id is a file name.

    `folder` holds ``Images/``, the list ``Flickr_8k.{split}Images.txt`` and the captions, either all of them in
    ``Flickr8k.token.txt`` or those of the split in ``captions.{split}.csv`` (columns image, caption; it also stands in
    for a missing list).

    `missing` names the photos of the split that are not on disk; they are left out with a warning. Raises DataError
    for missing or malformed files and photos without a caption, ConfigError for an unknown split.
    """

    object_names: tuple[str, ...] | None = None
    scene_names: tuple[str, ...] | None = None

    def __init__(self, folder: str | Path, *, split: str = "train") -> None:
        if split not in SPLITS:
            raise ConfigError(f"Flickr8k has no split {split!r}{did_you_mean(split, SPLITS)}")
        folder = existing_folder(folder)
        self.name = f"flickr8k:{split}"
        tokens, table = folder / "Flickr8k.token.txt", folder / f"captions.{split}.csv"
        listed = folder / f"Flickr_8k.{split}Images.txt"
        source = tokens if tokens.is_file() else table
        captions = _read_tokens(source) if source == tokens else _read_table(source)
        # Without a list, only the table of captions says what belongs to the split.
        names = list(captions) if source == table and not listed.is_file() else _read_list(listed)
        for name in names:
            if name not in captions:
                raise DataError(f"{source}: no caption for {name}")
        self._annotations = [path for path in (source, listed) if path.is_file()]
        self._photos, self.missing = split_present({name: folder / "Images" / name for name in names}, folder)
        self._examples = [
            Example(id=name, image=path, captions=tuple(captions[name])) for name, path in self._photos.items()
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int, /) -> Example:
        return self._examples[index]

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint(self._annotations, self._photos)


def _read_tokens(path: Path) -> dict[str, list[str]]:
    """Lines ``photo.jpg#0<TAB>caption``."""
    captions: dict[str, list[str]] = {}
    seen: set[str] = set()
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        key, tab, caption = line.partition("\t")
        name, hash_sign, _ = key.rpartition("#")
        if not (tab and hash_sign and name and caption.strip()):
            raise DataError(f"{path}, line {number}: expected 'photo.jpg#0<TAB>caption', got {line[:80]!r}")
        if key in seen:
            raise DataError(f"{path}, line {number}: {key} appears twice")
        seen.add(key)
        captions.setdefault(name, []).append(caption.strip())
    return captions


def _read_table(path: Path) -> dict[str, list[str]]:
    """CSV with the columns image and caption."""
    rows = csv.reader(io.StringIO(read_text(path)), strict=True)
    captions: dict[str, list[str]] = {}
    try:
        if next(rows, None) != ["image", "caption"]:
            raise DataError(f"{path}, line 1: expected the columns image,caption")
        for row in rows:
            if len(row) != 2 or not row[0] or not row[1].strip():
                raise DataError(f"{path}, line {rows.line_num}: expected an image and a caption, got {row}")
            captions.setdefault(row[0], []).append(row[1].strip())
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}") from None
    return captions


def _read_list(path: Path) -> list[str]:
    """One photo a line."""
    names: dict[str, int] = {}
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        name = line.strip()
        if not name or "/" in name:
            raise DataError(f"{path}, line {number}: expected the name of a photo, got {line!r}")
        if name in names:
            raise DataError(f"{path}, line {number}: {name} is already on line {names[name]}")
        names[name] = number
    return list(names)
