"""COCO's annotation and result files, checked, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.boxes import Size
from chiasm.data.records import id_text, place, read_json, records
from chiasm.errors import DataError
from chiasm.score.regions.rle import Rle, to_rle

Kind = Literal["bbox", "segm"]


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
    rows = _by_id(path, content, "annotations")
    names = tuple(str(category.get("name", key)) for key, category in categories.items())
    if len(set(names)) != len(names):
        raise DataError(f"{path}: two categories have the same name")
    sizes = tuple(_size(image) for image in images.values())
    reader = _RegionReader(tuple(images), sizes, tuple(categories), kind)
    for key, row in rows.items():
        reader.add(f"{path}: annotation {key}", row, area=row.get("area"), crowd=bool(row.get("iscrowd", 0)))
    return Truth(tuple(images), sizes, tuple(categories), names, reader.regions())


def read_results(path: Path | str, truth: Truth, kind: Kind) -> tuple[Regions, tuple[str, ...]]:
    """A results file ``[{image_id, category_id, bbox, score}]`` (or ``segmentation``), and notes for the reader.

    Raises DataError, naming file and entry, for an image or category that the truth does not have and for boxes, masks
    or scores that can't be read.
    """
    reader = _RegionReader(truth.images, truth.sizes, truth.category_ids, kind)
    notes: tuple[str, ...] = ()
    box_area = False
    for number, row in records(path):
        if not len(reader):
            box_area = kind == "bbox" or bool(row.get("bbox"))
        where = _Place(path, number)
        score: Any = row.get("score")
        if type(score) not in (int, float) or not math.isfinite(score):
            raise DataError(f"{where}: 'score' is {score!r}, expected a finite number")
        reader.add(where, row, score=float(score), box_area=box_area)
    if kind == "segm" and box_area:
        notes = (
            "The results hold boxes beside masks, so small, medium and large detections are told by the area of the "
            "box, as in pycocotools; leave the boxes out to use the area of the mask.",
        )
    return reader.regions(), notes


class _Place:
    """Where a row stands, put into words only when there is something to say about it."""

    def __init__(self, path: Path | str, number: int) -> None:
        self._path, self._number = path, number

    def __str__(self) -> str:
        return place(self._path, self._number)


class _RegionReader:
    """Collects regions row by row."""

    def __init__(
        self, images: Sequence[str], sizes: Sequence[Size | None], categories: Sequence[str], kind: Kind
    ) -> None:
        self._images = {name: index for index, name in enumerate(images)}
        self._categories = {name: index for index, name in enumerate(categories)}
        self._sizes, self._kind = sizes, kind
        self._rows: list[tuple[int, int, Sequence[float], float, bool, float]] = []
        self._rles: list[Rle] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        where: object,
        row: Mapping[str, Any],
        area: Any = None,
        crowd: bool = False,
        score: float = 0.0,
        box_area: bool = True,
    ) -> None:
        """`area` None: that of the box, or of the mask if not `box_area`."""
        image = _known(where, row, "image_id", self._images)
        category = _known(where, row, "category_id", self._categories)
        box: Any = row.get("bbox")
        if self._kind == "segm":
            size = self._sizes[image]
            if size is None:
                raise DataError(f"{where}: its image has no width and height, which masks need")
            if "segmentation" not in row:
                raise DataError(f"{where}: no 'segmentation', which segm scores")
            try:
                rle = to_rle(row["segmentation"], size)
            except DataError as error:
                raise DataError(f"{where}: {error}") from None
            self._rles.append(rle)
            if not box:
                box = _box_of(rle)
            if not box_area:
                area = _area_of(rle)
        _check_box(where, box)
        if area is None:
            area = box[2] * box[3]
        if type(area) not in (int, float) or not math.isfinite(area):
            raise DataError(f"{where}: 'area' is {area!r}, expected a finite number")
        self._rows.append((image, category, box, area, crowd, score))

    def regions(self) -> Regions:
        images, categories, boxes, areas, crowds, scores = zip(*self._rows, strict=True) if self._rows else [()] * 6
        return Regions(
            np.array(images, dtype=np.int64),
            np.array(categories, dtype=np.int64),
            np.array(boxes, dtype=np.float64).reshape(-1, 4),
            np.array(areas, dtype=np.float64),
            np.array(crowds, dtype=bool),
            np.array(scores, dtype=np.float64),
            tuple(self._rles) if self._kind == "segm" else None,
        )


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


def _known(where: object, row: Mapping[str, Any], key: str, indices: Mapping[str, int]) -> int:
    try:
        name = id_text(row.get(key))
    except ValueError as error:
        raise DataError(f"{where}: {key!r} {error}") from None
    if name not in indices:
        few = ", ".join(list(indices)[:5])
        raise DataError(f"{where}: {key} {name} is not in the truth file, whose ids are {few}, ...")
    return indices[name]


def _size(image: Mapping[str, Any]) -> Size | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0 else None


def _check_box(where: object, box: Any) -> None:
    right_form = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not right_form or not all(map(math.isfinite, box)) or box[2] < 0 or box[3] < 0:
        raise DataError(f"{where}: 'bbox' is {box!r}, expected [left, top, width, height] in pixels")


def _box_of(rle: Rle) -> list[float]:
    from faster_coco_eval import mask as backend

    return [float(value) for value in backend.toBbox(rle)]


def _area_of(rle: Rle) -> float:
    from faster_coco_eval import mask as backend

    return float(backend.area(rle))
