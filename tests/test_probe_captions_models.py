"""CLIPScore and BERTScore of captions from features are those that `chiasm score` gives the same captions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_role_checkpoints
import torch
import transformers
from PIL import Image

from chiasm.errors import ConfigError
from chiasm.examine.bertscore import bertscore_by_model
from chiasm.examine.caption_signals import bertscores, clipscores
from chiasm.examine.clipscore import clipscore_by_model
from chiasm.probe.feature_captions import INTACT

one_thread = tiny.one_thread
checkpoint = tiny_role_checkpoints.checkpoint
INTACT_TEXTS, CHANGED = ["a red square", "a kitchen", "a person"], ["a blue circle", "", "a person"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {INTACT: tmp_path / "intact.json", "changed": tmp_path / "changed.json"}
    for path, texts in zip(paths.values(), (INTACT_TEXTS, CHANGED), strict=True):
        path.write_text(json.dumps({f"p{i}": text for i, text in enumerate(texts)}))
    return paths


def test_clipscore(files: dict[str, Path], tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("clip"), tmp_path)
    model = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.text_projection.weight.neg_()  # random weights gave negative cosines, whose CLIPScore is 0
    model.save_pretrained(folder)
    images = [Image.fromarray(picture) for picture in tiny.pictures(3, size=40)]
    (tmp_path / "images").mkdir()
    for number, image in enumerate(images):
        image.save(tmp_path / "images" / f"p{number}.png")
    found = clipscores(str(folder), images, {INTACT: INTACT_TEXTS, "changed": CHANGED})
    for name, path in files.items():
        score = clipscore_by_model(folder, tmp_path / "images", path)
        assert found[name] == pytest.approx([item.statistics["clipscore"] for item in score.items], abs=1e-6)
    assert found[INTACT].min() > 0, "the test would say nothing"
    with pytest.raises(ConfigError, match="reads no text"):
        clipscores(str(checkpoint("dinov2")), images, {})


def test_bertscore(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(**tiny_role_checkpoints.BLOCK, vocab_size=1200, max_position_embeddings=64)
    ).save_pretrained(folder)
    tiny_role_checkpoints.bert().save_pretrained(folder)
    found = bertscores(str(folder), 1, files)
    assert set(found) == {"changed"}
    score = bertscore_by_model(folder, 1, files["changed"], files[INTACT])
    assert found["changed"].mean() == pytest.approx({v.metric: v.value for v in score.values}["f1"])
    assert found["changed"][1:] == pytest.approx(np.array([0, 1]), abs=1e-5)  # empty, and the same caption twice
