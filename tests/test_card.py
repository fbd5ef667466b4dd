"""A model card says only what its folders say."""

import json
from pathlib import Path

import pytest

from chiasm.errors import RunError
from chiasm.report.card import model_card


@pytest.fixture
def training(tmp_path: Path) -> Path:
    folder = tmp_path / "training"
    (folder / "model").mkdir(parents=True)
    (folder / "tune").mkdir()
    (folder / "more").mkdir()
    stage = {"name": "tune", "train": [["encoder.*", {"lr": 0.1}], [".*", "frozen"]], "objective": "language"}
    more = {"name": "more", "data": "scenes:train?seed=1", "steps": 60, "batch": 10}
    recipe = {
        "name": "small", "data": "scenes:train", "store": "bf16", "prompts": {"scene": "name the scene"},
        "stages": [stage | {"data": "", "steps": 30, "batch": 20}, stage | more],
    }  # fmt: skip
    (folder / "recipe.json").write_text(json.dumps(recipe))
    parts = {part: {"kind": part, "size": 3} for part in ("encoder", "connector", "decoder", "fusion")}
    (folder / "model" / "config.json").write_text(json.dumps(parts))
    (folder / "model" / "model.safetensors").write_bytes(bytes(3_000_000))
    (folder / "more" / "log.jsonl").write_text('{"step": 60, "images_per_s": 2}\n')
    (folder / "tune" / "log.jsonl").write_text('{"step": 29, "images_per_s": 1}\n{"step": 30, "images_per_s": 5.0}\n')
    return folder


def write_run(folder: Path, metrics: list[dict]) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"dataset": {"name": folder.name}}))
    (folder / "summary.json").write_text(json.dumps({"images": 7, "metrics": metrics}))
    return folder


def metric(name: str, value: float, slice_: dict | None = None) -> dict:
    return {"metric": name, "slice": slice_, "value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "n": 40}


def test_numbers_come_from_the_folders(training, tmp_path):
    one = write_run(tmp_path / "test", [metric("answer.exact", 0.5), metric("answer.exact", 0.25, {"kind": "count"})])
    two = write_run(tmp_path / "held", [metric("scene.accuracy", 0.75)])
    text = model_card(training, [one, two], limits="It can't fly.", machine="an abacus")
    assert "1.5 M parameters, stored as bf16 in 3.0 MB" in text
    assert "| tune | `encoder.*` | language | `scenes:train` | 30 | 20 | 2 |" in text  # 600 pictures at 5 a second
    assert "| more | `encoder.*` | language | `scenes:train?seed=1` | 60 | 10 | 5 |" in text
    assert "7 minutes in all, on an abacus" in text
    assert "| metric | test (7 pictures) | held (7 pictures) |" in text
    assert "| `answer.exact` | 50.0 (40.0 – 60.0), n 40 | - |" in text
    assert "| &nbsp;&nbsp;kind count | 25.0 (15.0 – 35.0), n 40 | - |" in text
    assert "| `scene.accuracy` | - | 75.0 (65.0 – 85.0), n 40 |" in text
    assert text.endswith("## What it cannot do\n\nIt can't fly.\n")


def test_an_unfinished_training_has_no_card(training, tmp_path):
    (training / "model" / "config.json").unlink()
    with pytest.raises(RunError, match="not a finished training folder"):
        model_card(training, [])
