"""Pictures to take features of: what the command line names, opened and known by their content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from chiasm.data.formats.photos import fingerprint
from chiasm.data.images import list_images, open_image
from chiasm.data.open import open_dataset
from chiasm.errors import DataError, ImageError
from chiasm.types import Dataset, Example, as_path

Item = dict[str, Any]


class PictureFiles:
    """Files, and the pictures below folders, in the order given; an id is the path as it was written."""

    object_names: tuple[str, ...] | None = None
    scene_names: tuple[str, ...] | None = None

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._paths = list(dict.fromkeys(list_images(paths)))
        self.name = f"{len(self._paths)} files"

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> Example:
        return Example(id=self._paths[index].as_posix(), image=self._paths[index])

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint([], {path.as_posix(): path for path in self._paths})


def open_pictures(sources: Sequence[str]) -> Dataset:
    """One dataset or folder by its text (`open_dataset`), or any number of files and folders."""
    if len(sources) == 1 and not Path(sources[0]).is_file():
        return open_dataset(sources[0])
    return PictureFiles(sources)


@dataclass(frozen=True)
class Opened:
    """A picture, or None where it could not be opened, and its line of items.jsonl:

    id       as the dataset names it
    path     its file, None where it has none
    sha256   of the file's bytes; of the pixels where there is no file, None where it could not be read
    pixels   SHA-256 of size and upright RGB pixels: equal for one picture in two files
    problem  why there are no features; None where there are
    """

    image: Image.Image | None
    item: Item


def open_item(example: Example, size: int | None = None) -> Opened:
    """Open the example's picture, resized to `size` x `size` pixels where that is given."""
    path = as_path(example.image)
    item: Item = {"id": example.id, "path": None if path is None else str(path), "sha256": None, "pixels": None}
    try:
        content = example.image if path is None else path.read_bytes()
        if path is not None:
            item["sha256"] = hashlib.sha256(content).hexdigest()
        image = open_image(content, name=example.id)
    except (ImageError, OSError) as error:
        return Opened(None, {**item, "problem": str(error)})
    pixels = hashlib.sha256(f"{image.width} x {image.height}\n".encode() + image.tobytes()).hexdigest()
    item |= {"sha256": item["sha256"] or pixels, "pixels": pixels, "problem": None}
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return Opened(image, item)


def check_ids(items: Iterable[Item]) -> None:
    """Raises DataError if two pictures have one id."""
    seen: set[str] = set()
    for item in items:
        if item["id"] in seen:
            raise DataError(f"two pictures have the id {item['id']!r}; features are looked up by id, which must differ")
        seen.add(item["id"])


def duplicates(items: Iterable[Item]) -> list[list[str]]:
    """Groups of ids whose pictures are equal pixel for pixel, in order; most pictures are in none."""
    groups: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if item["pixels"] is not None:
            groups[item["pixels"]].append(item["id"])
    return [group for group in groups.values() if len(group) > 1]
