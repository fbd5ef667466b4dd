"""Finding the pictures of scored items, and thumbnails of them that fit into a page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from chiasm.data.images import SUFFIXES, open_image
from chiasm.data.records import read_json
from chiasm.errors import DataError, ImageError
from chiasm.types import ImageSource

SIDE = 320
QUALITY = 78


def thumbnail(source: ImageSource) -> tuple[str, tuple[int, int] | None]:
    """A JPEG as data URI, at most `SIDE` pixels wide and high, and the size of the original (width, height).

    Empty and None if the picture can't be opened.
    """
    try:
        image = open_image(source)
    except ImageError:
        return "", None
    size = image.size
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), size


def find_pictures(names: Iterable[str], folder: Path | None, annotations: Iterable[Path]) -> dict[str, Path]:
    """The files of those pictures that can be found; `names` are what scored items call them.

    A name is the path of a file, or within `folder` a file's name, with or without suffix, or the id at the end of it
    (COCO's 139 is 000000000139.jpg), or else an id to which the "images" of a COCO file among `annotations` give a
    name. Raises ImageError if `folder` is no folder or has no pictures.
    """
    wanted = list(dict.fromkeys(names))
    if folder is None:
        return {name: path for name in wanted if (path := Path(name)).suffix.lower() in SUFFIXES and _is_file(path)}
    by_name = _files_by_name(folder)
    found = {name: by_name[key] for name in wanted if (key := Path(name).name.lower()) in by_name}
    if len(found) < len(wanted):
        for name, file in _coco_files(annotations).items():
            if (key := Path(file).name.lower()) in by_name:
                found.setdefault(name, by_name[key])
    return {name: found[name] for name in wanted if name in found}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a path, or a null byte in it
        return False


def _files_by_name(folder: Path) -> dict[str, Path]:
    """By file name, by name without suffix, and by the number a name ends in if no other file ends in it."""
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder of pictures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ImageError(f"{folder}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")
    numbered: dict[str, list[Path]] = {}
    for path in files:
        if number := re.search(r"\d+$", path.stem):
            numbered.setdefault(str(int(number[0])), []).append(path)
    by_name = {number: paths[0] for number, paths in numbered.items() if len(paths) == 1}
    by_name |= {path.stem.lower(): path for path in files}
    return by_name | {path.name.lower(): path for path in files}


def _coco_files(annotations: Iterable[Path]) -> dict[str, str]:
    """Picture id -> file name, from every file with COCO's "images"; files of other formats have nothing to say."""
    found: dict[str, str] = {}
    for path in annotations:
        try:
            content: Any = read_json(path)
        except DataError:
            continue
        images = content.get("images") if isinstance(content, Mapping) else None
        for image in images if isinstance(images, list) else ():
            if isinstance(image, Mapping) and isinstance(image.get("file_name"), str):
                found[str(image.get("id"))] = image["file_name"]
    return found
