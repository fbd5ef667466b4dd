"""VQAScore by one of our own models: the numbers are the model's log-probabilities, and pictures are seen once."""

from __future__ import annotations

import json
import math
from itertools import chain
from pathlib import Path

import pytest
import tiny
from PIL import Image

from chiasm.errors import DataError
from chiasm.examine.vqascore import logprob_of, vqascore_by_model

one_thread = tiny.one_thread
QUESTION = "is there a {text}"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for number, picture in enumerate(tiny.pictures(2)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    rows = [{"image": f"{n // 2}.png", "text": text} for n, text in enumerate(["cup", "cat", "cup", "cat"])]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "pairs.jsonl"


def test_scores_are_the_models_probabilities(pairs: Path) -> None:
    model = tiny.vlm()
    score = vqascore_by_model(model, "tiny", pairs, question=QUESTION, answers=("yes", "no"))
    features = model.connect(model.encode(tiny.pictures(2)))
    prompts = [["is there a cup", "is there a cat"]] * 2
    yes, no = (model.logprob(features, prompts, [[answer] * 2] * 2) for answer in ("yes", "no"))
    for item, one, other in zip(score.items, chain(*yes), chain(*no), strict=True):
        assert item.statistics["yes"] == pytest.approx(math.exp(one), rel=1e-4)
        assert item.statistics["yes_over_no"] == pytest.approx(1 / (1 + math.exp(other - one)), rel=1e-4)
    assert score.dialect == "tiny: is there a {text} (yes or no)"
    assert [item.id for item in score.items][:2] == ["0.png: cup", "0.png: cat"]


def test_a_picture_is_encoded_once_for_texts_in_a_row(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny.vlm(), []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda images: seen.append(len(images)) or encode(images))
    logprob = logprob_of(model)
    for picture in ("0.png", "0.png", "1.png", "1.png"):
        logprob(pairs.parent / picture, "is there a cup", ("yes", "no"))
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "9.png", "text": "cup"}, "no picture .*9.png"), ({"image": "0.png"}, "no 'text'"),
        ({"image": "0.png", "text": 3}, "expected text"), ({"image": "0.png", "text": " "}, "empty text"),
    ],
)  # fmt: skip
def test_bad_pairs_are_named(pairs: Path, row: dict, message: str) -> None:
    pairs.write_text(json.dumps([row | {"id": "p7"}]))
    with pytest.raises(DataError, match=rf"'p7'.*{message}"):
        vqascore_by_model(tiny.vlm(), "tiny", pairs, question=QUESTION)
