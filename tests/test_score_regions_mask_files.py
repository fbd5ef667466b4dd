"""Mask files by hand, and broken."""

import json
from pathlib import Path

import pytest

from chiasm.errors import DataError
from chiasm.score.regions.mask_files import score_masks

pytest.importorskip("faster_coco_eval")

# Runs go down the columns of 4 x 4 pictures: LEFT is the two left columns, MIDDLE the two in the middle.
LEFT = {"size": [4, 4], "counts": [0, 8, 8]}
MIDDLE = {"size": [4, 4], "counts": [4, 8, 4]}
EMPTY = {"size": [4, 4], "counts": [16]}


def write(folder: Path, true: list[dict], said: list[dict]) -> tuple[Path, Path]:
    truth, predictions = folder / "truth.jsonl", folder / "predictions.json"
    rows = [{"id": i, "image": f"{i}.png", "width": 4, "height": 4} | row for i, row in enumerate(true)]
    truth.write_text("\n".join(map(json.dumps, rows)) + "\n")
    predictions.write_text(json.dumps([{"id": str(i)} | row for i, row in enumerate(said)]))
    return truth, predictions


def test_by_hand(tmp_path: Path) -> None:
    masks = [(LEFT, LEFT, "cup"), (LEFT, MIDDLE, "cup"), (LEFT, EMPTY, "dog"), (EMPTY, EMPTY, "dog")]
    true = [{"segmentation": mask, "category": name} for mask, _, name in masks]
    score = score_masks(*write(tmp_path, true, [{"segmentation": mask} for _, mask, _ in masks]), replicates=20)
    values = {value.metric: value.value for value in score.values if value.slice is None}
    # IoU 1, 4/12, 0, 1 (both empty); Dice 1, 8/16, 0, 1.
    assert values["IoU"] == pytest.approx((1 + 1 / 3 + 0 + 1) / 4)
    assert values["Dice"] == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)
    assert values["cIoU"] == pytest.approx((8 + 4 + 0) / (8 + 12 + 8))
    # Cups: 12 of 20 pixels; dogs: none of 8.
    assert values["mIoU"] == pytest.approx((12 / 20 + 0) / 2)
    assert score.notes == ("In 1 of 4 rows both masks are empty, which counts as 1.",)
    assert [item.slices["reason"] for item in score.items] == ["found", "wrong place", "missed", "found"]


def test_missing_and_broken_masks(tmp_path: Path) -> None:
    true = [{"segmentation": LEFT}, {"segmentation": LEFT}]
    with pytest.raises(DataError, match="no prediction for 1 of 2"):
        score_masks(*write(tmp_path, true, [{"segmentation": LEFT}]))
    score = score_masks(*write(tmp_path, true, [{"segmentation": LEFT}]), missing="wrong", replicates=20)
    assert score.values[0].value == 0.5
    assert "1 of 2 rows have no prediction" in score.notes[0]
    broken = {"segmentation": {"size": [4, 4], "counts": [3]}}
    with pytest.raises(DataError, match=r"predictions\.json: mask 1: segmentation can't be read: its runs cover 3"):
        score_masks(*write(tmp_path, true, [{"segmentation": LEFT}, broken]))
    with pytest.raises(DataError, match="width and height are"):
        score_masks(*write(tmp_path, [{"segmentation": LEFT, "width": 4.5}], [{"segmentation": LEFT}]))
