"""CLIPScore and BERTScore by a model: the same numbers as the library's own states and the formulas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_role_checkpoints
import torch
import transformers
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.score.score_folder import read_score

checkpoint = tiny_role_checkpoints.checkpoint
Checkpoint = Callable[[str], Path]

SAID = {"7": "a red square", "23": "a kitchen", "photo": "a person on a beach"}
PEOPLE = {"7": ["a blue circle", "a square"], "23": ["a bedroom"], "photo": ["a beach"]}
FILES = {"7": "000007.png", "23": "COCO_val2014_000000000023.png", "photo": "photo.png"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in FILES.values():
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    (tmp_path / "said.json").write_text(json.dumps(SAID))
    (tmp_path / "people.json").write_text(json.dumps(PEOPLE))
    return tmp_path


def test_numbers_of_a_clip(files: Path, checkpoint: Checkpoint) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("clip"), files)
    model = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.text_projection.weight.neg_()  # random weights gave negative cosines, whose CLIPScore is 0
    model.save_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")

    def embedded(**given: object) -> np.ndarray:
        inputs = processor(**given, return_tensors="pt", padding=True)
        part = "text" if "text" in given else "image"
        with torch.no_grad():
            rows = getattr(model, f"get_{part}_features")(**inputs).pooler_output.double().numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    expected = {}
    for name, caption in SAID.items():
        image = embedded(images=[Image.open(files / "images" / FILES[name])])[0]
        text, *people = embedded(text=[f"A photo depicts {words}" for words in (caption, *PEOPLE[name])])
        score, best = 2.5 * max(0.0, image @ text), max(0.0, *(text @ other for other in people))
        expected[name] = (score, 2 * score * best / (score + best))

    command = ["score", "clipscore", "--images", files / "images", "--pred", files / "said.json"]
    command += ["--gt", files / "people.json", "--model", folder, "--out", files / "run"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    kept = read_score(files / "run")
    found = {item.id: (item.statistics["clipscore"], item.statistics["ref_clipscore"]) for item in kept.items}
    assert min(score for score, _ in expected.values()) > 0, "the test would say nothing"
    assert found == {name: pytest.approx(pair, abs=1e-5) for name, pair in expected.items()}
    assert "'A photo depicts' before every caption" in kept.dialect


def test_a_model_that_reads_nothing(files: Path, checkpoint: Checkpoint) -> None:
    command = ["score", "clipscore", "--images", files / "images", "--pred", files / "said.json"]
    result = CliRunner().invoke(app, [*map(str, command), "--model", str(checkpoint("dinov2"))])
    assert result.exit_code == 1
    assert "reads no text" in result.output


def test_numbers_of_a_bert(files: Path) -> None:
    """Against a plain loop over all tokens. Special ones count nothing, but others may be most alike to them."""
    folder, layer = files / "bert", 1
    torch.manual_seed(0)
    sizes = tiny_role_checkpoints.BLOCK
    model = transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=1200, max_position_embeddings=64))
    tokenizer = tiny_role_checkpoints.bert()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def rows(text: str) -> list[np.ndarray]:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
        return [row / np.linalg.norm(row) for row in states.double().numpy()]

    def best(some: list[np.ndarray], others: list[np.ndarray]) -> float:
        return float(np.mean([max(row @ other for other in others) for row in some[1:-1]]))

    expected = {}
    for name, caption in SAID.items():
        found = [(best(rows(caption), rows(r)), best(rows(r), rows(caption))) for r in PEOPLE[name]]
        f1 = max(2 * p * r / (p + r) for p, r in found)
        expected[name] = {"precision": max(p for p, _ in found), "recall": max(r for _, r in found), "f1": f1}

    command = ["score", "bertscore", "--gt", files / "people.json", "--pred", files / "said.json", "--model", folder]
    result = CliRunner().invoke(app, [*map(str, command), "--layer", str(layer), "--out", str(files / "run")])
    assert result.exit_code == 0, result.output
    for item in read_score(files / "run").items:
        numbers = {number: item.statistics[number] for number in expected[item.id]}
        assert numbers == pytest.approx(expected[item.id], abs=1e-5)
    missing = CliRunner().invoke(app, [*map(str, command), "--layer", "3"])
    assert missing.exit_code == 1
    assert "has the layers 0 to 2" in missing.output


def test_an_empty_caption_of_a_model(files: Path) -> None:
    folder = files / "bert"
    sizes = tiny_role_checkpoints.BLOCK
    transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=1200)).save_pretrained(folder)
    tiny_role_checkpoints.bert().save_pretrained(folder)
    (files / "said.json").write_text(json.dumps(SAID | {"7": " "}))
    command = ["score", "bertscore", "--gt", files / "people.json", "--pred", files / "said.json", "--model", folder]
    result = CliRunner().invoke(app, [*map(str, command), "--layer", "2"])
    assert result.exit_code == 0, result.output
    assert "1 of 3 images have empty caption" in result.output
