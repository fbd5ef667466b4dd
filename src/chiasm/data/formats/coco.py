"""COCO: objects in boxes and captions on everyday photos (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.boxes import as_boxes, clip, xywh_to_xyxy
from chiasm.data.formats.photos import existing_folder, fingerprint, read_text, split_present
from chiasm.data.images import list_images
from chiasm.data.suggest import did_you_mean
from chiasm.errors import DataError
from chiasm.types import Example, Object, Question

Record = dict[str, Any]


class Coco:
    """The photos of one split, sorted by file name, which is the id.

    `folder` holds the photos in ``{split}/`` and ``annotations/instances_{split}.json`` and/or
    ``captions_{split}.json``. Boxes are cut at the picture's border. A photo that the instances file doesn't list has
    objects None, also when no file lists it at all. Where objects are known there are `existence_questions`.

    `missing` names the listed photos that are not on disk; they are left out with a warning. Raises DataError for
    missing, malformed or contradictory files, naming file and id.
    """

    scene_names: tuple[str, ...] | None = None

    def __init__(self, folder: str | Path, *, split: str = "val2017") -> None:
        folder = existing_folder(folder)
        photo_folder = folder / split
        if not photo_folder.is_dir():
            subfolders = [path.name for path in folder.iterdir() if path.is_dir()]
            raise DataError(f"{folder}: no folder of photos {split!r}{did_you_mean(split, subfolders)}")
        instances, captions = (folder / "annotations" / f"{kind}_{split}.json" for kind in ("instances", "captions"))
        self._annotations = [path for path in (instances, captions) if path.is_file()]
        if not self._annotations:
            raise DataError(f"{folder}/annotations: neither {instances.name} nor {captions.name} is here")
        self.name = f"coco:{split}"
        self.object_names: tuple[str, ...] | None = None
        objects: dict[str, tuple[Object, ...]] = {}
        texts: dict[str, tuple[str, ...]] = {}
        if instances in self._annotations:
            self.object_names, objects = _read_instances(instances)
        if captions in self._annotations:
            texts = _read_captions(captions)

        listed = {name: photo_folder / name for name in sorted(objects.keys() | texts.keys())}
        present, self.missing = split_present(listed, photo_folder)
        on_disk = {path.relative_to(photo_folder).as_posix(): path for path in list_images([photo_folder])}
        self._photos = dict(sorted((on_disk | present).items()))
        self._examples = [
            Example(id=name, image=path, objects=objects.get(name), captions=texts.get(name, ()))
            for name, path in self._photos.items()
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int, /) -> Example:
        example = self._examples[index]
        if example.objects is None or self.object_names is None:
            return example
        present: dict[str, list[int]] = {}
        for index, thing in enumerate(example.objects):
            present.setdefault(thing.name, []).append(index)
        return replace(example, questions=existence_questions(example.id, present, self.object_names))

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint(self._annotations, self._photos)


def existence_questions(
    example_id: str, present: Mapping[str, Sequence[int]], names: Iterable[str]
) -> tuple[Question, ...]:
    """Six questions "Is there a cup in the image?", yes and no in turn, as in POPE's random split (arXiv:2305.10355).

    The three names asked for that are `present` (name -> the objects called so) and the three of `names` that are not
    are drawn by a hash of photo and name, so they never change. A photo with fewer names on either side gets as many
    pairs as there are.
    """

    def draw(name: str) -> bytes:
        return hashlib.sha256(f"{example_id}/{name}".encode()).digest()

    there = sorted(present, key=draw)[:3]
    absent = sorted(set(names) - set(present), key=draw)[: len(there)]
    return tuple(
        Question(
            id=f"{example_id}/{name}",
            text=f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name} in the image?",
            answers=(answer,),
            kind="existence",
            variant="random",
            choices=("yes", "no"),
            about=tuple(present.get(name, ())),
        )
        for pair in zip(there, absent, strict=False)
        for name, answer in zip(pair, ("yes", "no"), strict=True)
    )


def _read_instances(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[Object, ...]]]:
    """Category names in the order of their ids, and the objects of every listed photo by its file name."""
    data = _read_json(path)
    categories: dict[int, str] = {}
    for where, category in _records(path, data, "categories"):
        categories[_field(where, category, "id", int)] = _field(where, category, "name", str)
    if len(set(categories.values())) != len(categories):
        raise DataError(f"{path}: two categories have the same name")
    photos = {record["id"]: record for record in _read_photos(path, data)}
    by_photo: dict[int, list[tuple[str, list[float], bool]]] = defaultdict(list)
    for where, annotation in _records(path, data, "annotations"):
        photo = _photo_id(where, annotation, photos)
        category = _field(where, annotation, "category_id", int)
        if category not in categories:
            raise DataError(f"{where}: no category has id {category}")
        box = _check_xywh(where, _field(where, annotation, "bbox", list), photos[photo])
        by_photo[photo].append((categories[category], box, bool(annotation.get("iscrowd", 0))))
    objects = {
        photo["file_name"]: _objects(by_photo[photo["id"]], (photo["width"], photo["height"]))
        for photo in photos.values()
    }
    return tuple(name for _, name in sorted(categories.items())), objects


def _objects(annotated: list[tuple[str, list[float], bool]], size: tuple[int, int]) -> tuple[Object, ...]:
    if not annotated:
        return ()
    boxes = as_boxes(clip(xywh_to_xyxy(np.array([box for _, box, _ in annotated], dtype=np.float64)), size))
    return tuple(Object(name, box, crowd=crowd) for (name, _, crowd), box in zip(annotated, boxes, strict=True))


def _check_xywh(where: str, box: list[Any], photo: Record) -> list[float]:
    """A box with no area passes: COCO has a few. One that misses the picture contradicts the picture's size."""
    if len(box) != 4 or any(type(value) not in (int, float) for value in box):
        raise DataError(f"{where}: expected bbox [x, y, width, height], got {box}")
    x, y, width, height = box
    if not (width >= 0 and height >= 0 and -width <= x <= photo["width"] and -height <= y <= photo["height"]):
        raise DataError(f"{where}: bbox {box} does not lie in its {photo['width']}x{photo['height']} photo")
    return box


def _read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """The captions of every listed photo by its file name."""
    data = _read_json(path)
    photos = {record["id"]: record["file_name"] for record in _read_photos(path, data)}
    captions: dict[str, list[str]] = {name: [] for name in photos.values()}
    for where, annotation in _records(path, data, "annotations"):
        text = _field(where, annotation, "caption", str).strip()
        if not text:
            raise DataError(f"{where}: the caption is empty")
        captions[photos[_photo_id(where, annotation, photos)]].append(text)
    return {name: tuple(texts) for name, texts in captions.items()}


def _read_photos(path: Path, data: Record) -> list[Record]:
    names: set[str] = set()
    photos = []
    for where, record in _records(path, data, "images"):
        for key, kind in (("file_name", str), ("width", int), ("height", int)):
            _field(where, record, key, kind)
        if record["file_name"] in names:
            raise DataError(f"{where}: {record['file_name']} is listed twice")
        if record["width"] < 1 or record["height"] < 1:
            raise DataError(f"{where}: a photo of {record['width']}x{record['height']} pixels")
        names.add(record["file_name"])
        photos.append(record)
    return photos


def _read_json(path: Path) -> Record:
    try:
        data = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict):
        raise DataError(f"{path}: expected a JSON object with images and annotations")
    return data


def _records(path: Path, data: Record, section: str) -> Iterable[tuple[str, Record]]:
    """The entries of a section, each with the words that name it in an error. Ids must be there and differ."""
    entries = data.get(section)
    if not isinstance(entries, list):
        raise DataError(f"{path}: no list {section!r}")
    seen: set[int] = set()
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: entry {index} of {section} is not an object")
        number = _field(f"{path}: entry {index} of {section}", entry, "id", int)
        where = f"{path}: id {number} in {section}"
        if number in seen:
            raise DataError(f"{where} appears twice")
        seen.add(number)
        yield where, entry


def _field(where: str, entry: Record, key: str, kind: type) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind):
        raise DataError(f"{where}: {key!r} is missing or no {kind.__name__}: {value!r}")
    return value


def _photo_id(where: str, annotation: Record, photos: Collection[int]) -> int:
    number = _field(where, annotation, "image_id", int)
    if number not in photos:
        raise DataError(f"{where}: no photo has id {number}")
    return number
