"""COCO's annotation and result files, checked, as arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.boxes import Size
from chiasm.data.records import id_text, layout_of, place, read_json, records
from chiasm.errors import DataError
from chiasm.score.regions.rle import Rle, to_rle

Kind = Literal["bbox", "segm"]
_NONE = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes, and masks where they are scored, of all images: objects or detections.

    `image` and `category` are indices (N,) into the lists of `Truth`, `box` is (N, 4) left, top, width, height, `area`
    (N,) in pixels. `score` is empty for truth, `crowd` all False for detections, `rle` None unless masks are scored.
    """

    image: np.ndarray
    category: np.ndarray
    box: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    score: np.ndarray
    rle: tuple[Rle, ...] | None

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True)
class Truth:
    """Images in the order of their ids, which decides between equal scores, categories likewise, and the objects.
    A size is (width, height), None where the file does not give it."""

    images: tuple[str, ...]
    sizes: tuple[Size | None, ...]
    category_ids: tuple[str, ...]
    names: tuple[str, ...]
    objects: Regions


def read_truth(path: Path | str, kind: Kind) -> Truth:
    """An instances file: ``{"images": [...], "annotations": [...], "categories": [...]}``.

    An annotation without "area" has that of its box. Raises DataError, naming file and id, for missing parts, ids that
    are repeated or unknown, and boxes or masks that can't be read.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a COCO file with images, annotations and categories")
    images = _by_id(path, content, "images")
    categories = _by_id(path, content, "categories")
    annotations = _by_id(path, content, "annotations")
    names = tuple(str(category.get("name", key)) for key, category in categories.items())
    if len(set(names)) != len(names):
        raise DataError(f"{path}: two categories have the same name")
    sizes = tuple(_size(image) for image in images.values())
    keys = list(annotations)
    rows = _Rows(list(annotations.values()), lambda index: f"{path}: annotation {keys[index]}")
    image = rows.indices("image_id", tuple(images))
    box, rle = rows.boxes_and_masks(image, sizes, kind)
    area = np.array(rows.numbers("area", box[:, 2] * box[:, 3]), dtype=np.float64)
    crowd = np.array([bool(row.get("iscrowd", 0)) for row in rows.rows], dtype=bool)
    category = rows.indices("category_id", tuple(categories))
    return Truth(tuple(images), sizes, tuple(categories), names, Regions(image, category, box, area, crowd, _NONE, rle))


def read_results(path: Path | str, truth: Truth, kind: Kind) -> tuple[Regions, tuple[str, ...]]:
    """A results file ``[{image_id, category_id, bbox, score}]`` (or ``segmentation``), and notes for the reader.

    Raises DataError, naming file and entry, for an image or category that the truth does not have and for boxes, masks
    or scores that can't be read.
    """
    numbered = _numbered_rows(path)
    rows = _Rows([row for _, row in numbered], lambda index: place(path, numbered[index][0]))
    image = rows.indices("image_id", truth.images)
    category = rows.indices("category_id", truth.category_ids)
    score = np.array(rows.numbers("score"), dtype=np.float64)
    box, rle = rows.boxes_and_masks(image, truth.sizes, kind)
    area = box[:, 2] * box[:, 3]
    notes: tuple[str, ...] = ()
    if rle and rows.rows[0].get("bbox"):
        notes = (
            "The results hold boxes beside masks, so small, medium and large detections are told by the area of the "
            "box, as in pycocotools; leave the boxes out to use the area of the mask.",
        )
    elif rle:
        area = np.array([_area_of(mask) for mask in rle])
    return Regions(image, category, box, area, np.zeros(len(image), dtype=bool), score, rle), notes


def _numbered_rows(path: Path | str) -> list[tuple[int, dict[str, Any]]]:
    """As `records`, but a list in one go, which takes half as long; the backend needs all of it in memory anyway."""
    if layout_of(path) == "list":
        content = read_json(path)
        if set(map(type, content)) <= {dict}:
            return list(enumerate(content, start=1))
    return list(records(path))


class _Rows:
    """Rows of a file, read column by column: a whole column is checked at once, and row by row only to name the one at
    fault. `place` says where a row stands, given its index."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], place: Callable[[int], str]) -> None:
        self.rows, self._place = rows, place

    def indices(self, key: str, known: Sequence[str]) -> np.ndarray:
        """Of the ids under `key`, their places in `known`: (N,)."""
        index_of = {name: index for index, name in enumerate(known)}
        values = [row.get(key) for row in self.rows]
        hashed_by_value = set(map(type, values)) <= {int, str}  # otherwise True would be taken for 1
        found: dict[Any, int] = {}
        for index, value in enumerate(values):
            if hashed_by_value and value in found:
                continue
            try:
                name = id_text(value)
            except ValueError as error:
                raise DataError(f"{self._place(index)}: {key!r} {error}") from None
            if name not in index_of:
                few = ", ".join(known[:5])
                raise DataError(
                    f"{self._place(index)}: {key} {name} is not in the truth file, whose ids are {few}, ..."
                )
            found[value] = index_of[name]
        return np.array([found[value] for value in values], dtype=np.int64)

    def numbers(self, key: str, default: Sequence[float] | np.ndarray | None = None) -> list[float]:
        """`default`, a value a row, stands in where there is none."""
        values: list[Any] = [row.get(key) for row in self.rows]
        if default is not None and None in values:
            values = [given if value is None else value for value, given in zip(values, default, strict=True)]
        self._check(key, values, _finite, "a finite number")
        return values

    def boxes_and_masks(
        self, image: np.ndarray, sizes: Sequence[Size | None], kind: Kind
    ) -> tuple[np.ndarray, tuple[Rle, ...] | None]:
        """Boxes (N, 4), those around the masks where there are none, and the masks if they are scored."""
        boxes = [row.get("bbox") for row in self.rows]
        masks = None
        if kind == "segm":
            masks = tuple(self._mask(index, sizes[of_image]) for index, of_image in enumerate(image.tolist()))
            boxes = [box or _box_of(mask) for box, mask in zip(boxes, masks, strict=True)]
        self._check("bbox", boxes, _are_boxes, "[left, top, width, height] in pixels")
        return np.array(boxes, dtype=np.float64).reshape(-1, 4), masks

    def _mask(self, index: int, size: Size | None) -> Rle:
        if size is None:
            raise DataError(f"{self._place(index)}: its image has no width and height, which masks need")
        if "segmentation" not in self.rows[index]:
            raise DataError(f"{self._place(index)}: no 'segmentation', which segm scores")
        try:
            return to_rle(self.rows[index]["segmentation"], size)
        except DataError as error:
            raise DataError(f"{self._place(index)}: {error}") from None

    def _check(self, key: str, values: Sequence[Any], right: Callable[[Sequence[Any]], bool], expected: str) -> None:
        if not right(values):
            index = next(index for index, value in enumerate(values) if not right([value]))
            raise DataError(f"{self._place(index)}: {key!r} is {values[index]!r}, expected {expected}")


def _finite(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {int, float, np.float64} and all(map(math.isfinite, values))


def _are_boxes(values: Sequence[Any]) -> bool:
    if not set(map(type, values)) <= {list} or not set(map(len, values)) <= {4}:
        return False
    numbers = [*chain.from_iterable(values)]
    return _finite(numbers) and min(numbers[2::4] + numbers[3::4], default=0) >= 0


def _by_id(path: Path | str, content: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    """The entries of a section by the text of their ids; whole numbers in their order, then other ids in theirs."""
    entries = content.get(section)
    if not isinstance(entries, list):
        raise DataError(f"{path}: no list {section!r}; is this a COCO instances file?")
    found: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or "id" not in entry:
            raise DataError(f"{path}: entry {number} of {section} has no 'id'")
        try:
            key = id_text(entry["id"])
        except ValueError as error:
            raise DataError(f"{path}: the id of entry {number} of {section} {error}") from None
        if key in found:
            raise DataError(f"{path}: id {key} appears twice in {section}")
        found[key] = entry
    if section == "annotations":
        return found
    return dict(sorted(found.items(), key=lambda pair: _id_order(pair[0])))


def _id_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)


def _size(image: Mapping[str, Any]) -> Size | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0 else None


def _box_of(rle: Rle) -> list[float]:
    from faster_coco_eval import mask as backend

    return [float(value) for value in backend.toBbox(rle)]


def _area_of(rle: Rle) -> float:
    from faster_coco_eval import mask as backend

    return float(backend.area(rle))
