"""Referring expressions in the layout of refer (Yu et al. 2016): refs with sentences, and a COCO instances file."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from chiasm.data.boxes import Size
from chiasm.data.json_text import reason
from chiasm.data.records import id_text, read_json
from chiasm.errors import DataError
from chiasm.types import Box

Unit = Literal["sent_id", "ref_id", "ann_id"]
"""What one prediction is for, by the key that names it."""
UNIT_NAMES: dict[Unit, str] = {"sent_id": "sentence", "ref_id": "reference", "ann_id": "object"}
UNITS = tuple(UNIT_NAMES)


@dataclass(frozen=True, slots=True)
class Expression:
    """What one prediction is compared with. `size` is the picture's (width, height), `segmentation` as in COCO,
    `others` are the boxes of the picture's other objects that are referred to."""

    image: str
    split: str
    text: str
    category: str
    size: Size
    box: Box
    segmentation: Any
    others: tuple[Box, ...] = ()


def read_expressions(
    refs: Path | str, instances: Path | str, unit: Unit, split: str | None = None
) -> dict[str, Expression]:
    """Expressions by the id of `unit`, those of one `split` (val, testA, ...) or all.

    `refs` is refer's list ``[{ref_id, ann_id, image_id, split, sentences: [{sent_id, raw}]}]`` as JSON, or the original
    pickle ``refs(unc).p``: of that only plain lists, dicts, texts and numbers are read, and nothing in it can run.
    Raises DataError, naming file and id, for missing parts, unknown annotations and an unknown split.
    """
    entries = _read_pickle(Path(refs)) if Path(refs).suffix in (".p", ".pkl", ".pickle") else read_json(refs)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{refs}: expected a list of refs with ref_id, ann_id and sentences")
    annotations, images, categories = _read_instances(instances)
    found: dict[str, Expression] = {}
    splits = set()
    for number, entry in enumerate(entries, start=1):
        where = f"{refs}, entry {number}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object with ref_id, ann_id and sentences")
        splits.add(str(entry.get("split", "")))
        if split is not None and entry.get("split") != split:
            continue
        annotation = annotations.get(_id(where, entry, "ann_id"))
        if annotation is None:
            raise DataError(f"{where}: annotation {entry['ann_id']} is not in {instances}")
        for key, text in _texts(where, entry, unit):
            if key in found and unit != "ann_id":
                raise DataError(f"{where}: {unit} {key} appears twice")
            image = images.get(_id(where, annotation, "image_id"))
            if image is None:
                raise DataError(f"{where}: image {annotation['image_id']} is not in {instances}")
            found[key] = Expression(
                image=_id(where, annotation, "image_id"),
                split=str(entry.get("split", "")),
                text=text,
                category=categories.get(str(annotation.get("category_id")), ""),
                size=image,
                box=_box(f"{instances}: annotation {entry['ann_id']}", annotation.get("bbox")),
                segmentation=annotation.get("segmentation"),
            )
    if not found:
        raise DataError(f"{refs}: no refs of split {split!r}; it has {', '.join(sorted(splits))}")
    in_image: dict[str, dict[Box, None]] = {}
    for expression in found.values():
        in_image.setdefault(expression.image, {})[expression.box] = None
    return {
        key: replace(expression, others=tuple(box for box in in_image[expression.image] if box != expression.box))
        for key, expression in found.items()
    }


def _texts(where: str, entry: dict[str, Any], unit: Unit) -> list[tuple[str, str]]:
    sentences = entry.get("sentences", [])
    if not isinstance(sentences, list) or any(not isinstance(sentence, dict) for sentence in sentences):
        raise DataError(f"{where}: 'sentences' must be a list of objects")
    texts = [str(sentence.get("raw") or sentence.get("sent") or "") for sentence in sentences]
    if unit != "sent_id":
        return [(_id(where, entry, unit), " / ".join(texts))]
    return [(_id(where, sentence, "sent_id"), text) for sentence, text in zip(sentences, texts, strict=True)]


def _read_instances(path: Path | str) -> tuple[dict[str, dict[str, Any]], dict[str, Size], dict[str, str]]:
    content = read_json(path)
    try:
        annotations = {id_text(row["id"]): row for row in content["annotations"]}
        images = {id_text(row["id"]): (int(row["width"]), int(row["height"])) for row in content["images"]}
        categories = {str(row["id"]): str(row["name"]) for row in content.get("categories", [])}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected a COCO file with annotations (id, image_id, bbox) and images (id, width, height); "
            f"{type(error).__name__}: {error}"
        ) from None
    return annotations, images, categories


def _id(where: str, entry: dict[str, Any], key: str) -> str:
    try:
        return id_text(entry.get(key))
    except ValueError as error:
        raise DataError(f"{where}: {key!r} {error}") from None


def _box(where: str, xywh: Any) -> Box:
    try:
        left, top, width, height = map(float, xywh)
        return Box(left, top, left + width, top + height)
    except (TypeError, ValueError):
        raise DataError(f"{where}: bbox is {xywh!r}, expected [left, top, width, height]") from None


class _PlainUnpickler(pickle.Unpickler):
    """Builds nothing but Python's own containers, texts and numbers: every class or function a pickle names is
    refused, and without those a pickle can't run anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(f"it names {module}.{name}, and only plain lists, dicts, texts and numbers are read")


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            # The published files were written by Python 2, whose texts are bytes.
            return _PlainUnpickler(file, encoding="latin-1").load()
    except DataError as error:
        raise DataError(f"{path}: {error}; convert it to JSON") from None
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path}: not a readable pickle ({type(error).__name__}: {error})") from None
