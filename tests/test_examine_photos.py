"""A real detector's boxes on real photos: the same counts as an independent matching of the raw files."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment

from chiasm.data.formats.coco import Coco
from chiasm.data.images import open_image
from chiasm.examine.run import examine
from chiasm.report.html import write_report
from chiasm.types import Box, Detection, Object

THRESHOLD = 0.3


class RecordedDetector:
    """Replays a COCO results file; knows a photo by its pixels."""

    name = "fastestdet"
    scene = language = warn = None

    def __init__(self, folder: Path) -> None:
        annotations = json.loads((folder / "annotations" / "instances_val2017.json").read_text())
        self.names = {category["id"]: category["name"] for category in annotations["categories"]}
        self.found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for record in json.loads((folder / "predictions" / "fastestdet_val2017.json").read_text()):
            if record["score"] >= THRESHOLD:
                self.found[record["image_id"]].append(record)
        self.ids = {
            _digest(open_image(folder / "val2017" / photo["file_name"])): photo["id"] for photo in annotations["images"]
        }
        self.truth = [a for a in annotations["annotations"] if not a["iscrowd"]]
        self.crowded = {a["image_id"] for a in annotations["annotations"] if a["iscrowd"]}

    @property
    def detector(self) -> "RecordedDetector":
        return self

    def describe(self) -> dict[str, Any]:
        return {"threshold": THRESHOLD}

    def detect(self, images: list[Image.Image]) -> list[Detection]:
        return [
            Detection(
                tuple(
                    Object(self.names[r["category_id"]], _box(r), r["score"])
                    for r in self.found[self.ids.get(_digest(image), -1)]
                )
            )
            for image in images
        ]

    def ground(self, images: Any, phrases: Any) -> Any:
        raise AssertionError("COCO has no referring expressions")


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def _box(record: dict[str, Any]) -> Box:
    x, y, width, height = record["bbox"]
    return Box(x, y, x + width, y + height)


def true_positives(detector: RecordedDetector, image: int) -> int:
    """Largest one-to-one matching within each category, from the xywh numbers of the files."""
    total = 0
    for category in detector.names:
        said = [r["bbox"] for r in detector.found[image] if r["category_id"] == category]
        meant = [a["bbox"] for a in detector.truth if a["image_id"] == image and a["category_id"] == category]
        good = np.zeros((len(said), len(meant)))
        for i, (x, y, w, h) in enumerate(said):
            for j, (a, b, c, d) in enumerate(meant):
                inside = max(0, min(x + w, a + c) - max(x, a)) * max(0, min(y + h, b + d) - max(y, b))
                good[i, j] = inside / (w * h + c * d - inside) >= 0.5
        rows, columns = linear_sum_assignment(good, maximize=True)
        total += int(good[rows, columns].sum())
    return total


def test_recall_and_precision_of_a_real_detector(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "coco-mini"
    detector, dataset = RecordedDetector(folder), Coco(folder)
    summary = examine(detector, dataset, tmp_path / "run", progress=False)
    metrics = {entry["metric"]: entry for entry in summary["metrics"] if entry["slice"] is None}
    images = set(detector.ids.values())
    found = sum(true_positives(detector, image) for image in images)
    assert metrics["detect.recall"]["n"] == len(detector.truth)
    assert metrics["detect.recall"]["value"] == pytest.approx(found / len(detector.truth), abs=1e-6)
    said = sum(len(detector.found[image]) for image in images)
    kept = sum(len(detector.found[image]) for image in images - detector.crowded)
    assert kept <= metrics["detect.precision"]["n"] <= said  # predictions in crowds are left out
    assert metrics["detect.precision"]["value"] == pytest.approx(found / metrics["detect.precision"]["n"], abs=1e-6)
    assert write_report([tmp_path / "run"], tmp_path / "page.html").stat().st_size < 25_000_000
