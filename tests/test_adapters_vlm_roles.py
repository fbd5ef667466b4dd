"""Published models in the pipeline's roles: prompts of each dialect, boxes of each dialect, one encoding a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from test_adapters_vlm import opened
from tiny_checkpoints import checkpoint, picture

from chiasm.data.open import open_dataset
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_rows
from chiasm.models.adapters.transformers.architectures import ARCHITECTURES
from chiasm.models.adapters.transformers.vlm import TransformersVLM
from chiasm.models.features import Features
from chiasm.models.fingerprint import weights_fingerprint
from chiasm.models.protocol import Dialect
from chiasm.tasks.published import Published, published_pipeline
from chiasm.tasks.vlm import open_pipeline
from chiasm.types import Answer

one_thread = tiny.one_thread


class Scripted:
    """A model that says what it is told to and remembers what it was asked. Patches are 14 pixels wide, and pictures
    are seen as 4 rows of 8."""

    def __init__(self, kind: str, *said: str, problem: str | None = None):
        row = ARCHITECTURES[kind]
        self.dialect, self.boxes = Dialect(row.prompts), row.boxes
        self.model = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(patch_size=14)))
        self.said, self.problem = list(said), problem
        self.asked: list[str] = []
        self.encoded = 0

    def encode(self, images: Sequence[Any]) -> Features:
        self.encoded += 1
        return Features(torch.zeros(32 * len(images), 1), ((4, 8),) * len(images), "encoder", (None,) * len(images))

    def generate(self, features: Features, prompts: Sequence[Sequence[str]], *, limit: int) -> list[list[Answer]]:
        assert len(features) == len(prompts)
        self.asked += [prompt for group in prompts for prompt in group]
        return [[Answer("", raw=self.said.pop(0), problem=self.problem) for _ in group] for group in prompts]


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        ("florence2", "<CAPTION_TO_PHRASE_GROUNDING>a cup", "</s>a cup<loc_0><loc_0><loc_499><loc_499></s>"),
        ("paligemma", "detect a cup", "<loc0000><loc0000><loc0512><loc0512> a cup"),
        ("kosmos-2", "<grounding><phrase> a cup</phrase>", "<object><patch_index_0000><patch_index_0528></object>"),
        ("internvl", "Please provide the bounding box", "<ref>a cup</ref><box>[[0, 0, 500, 500]]</box>"),
        (
            "qwen2_vl",
            "Find a cup with grounding",
            "<|object_ref_start|>cup<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>",
        ),
        ("qwen2_5_vl", "Locate a cup in this image", '```json\n[{"bbox_2d": [0, 0, 56, 28], "label": "cup"}]\n```'),
        ("qwen3_vl", "Locate a cup in this image", '[{"bbox_2d": [0, 0, 500, 500], "label": "cup"}]'),
    ],
)
def test_boxes_of_each_dialect(kind: str, asked: str, said: str) -> None:
    """The upper left quarter of a 200 x 100 picture, up to a cell of each dialect's grid."""
    model = Scripted(kind, said)
    ((found,),) = Published(model).ground([picture(200, 100)], [["a cup"]])
    assert model.asked[0].startswith(asked)
    (thing,) = found.objects
    assert (thing.name, thing.score, found.problem) == ("a cup", None, None)
    assert thing.box.as_tuple() == pytest.approx((0, 0, 100, 50), abs=200 / 32)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("florence2", "man<loc_0><loc_0><loc_499><loc_499>a red shirt<loc_9><loc_9><loc_99><loc_99>"),
        (
            "kosmos-2",
            "<object><patch_index_0000><patch_index_0528></object> stands near<phrase> a car</phrase>"
            "<object><patch_index_0033><patch_index_0099></object>",
        ),
    ],
)
def test_only_boxes_of_the_phrase_are_its_own(kind: str, said: str) -> None:
    ((found,),) = Published(Scripted(kind, said)).ground([picture(200, 100)], [["man in a red shirt"]])
    (thing,) = found.objects
    assert (thing.name, thing.box.x1) == ("man in a red shirt", pytest.approx(0, abs=4))
    (everything,) = Published(Scripted(kind, said)).detect([picture(200, 100)])
    assert len(everything.objects) == 2


@pytest.mark.parametrize("kind", ["llava", "instructblip", "florence2"])
def test_a_prompt_that_cannot_be_given_is_a_problem_of_its_own(kind: str) -> None:
    """Too long for the model, or with the mark of a picture in it; what else is asked is answered as if alone."""
    pipeline = open_pipeline(str(checkpoint(kind)))
    images = [picture(), picture(seed=1)]
    (fine, long), (mark,) = pipeline.language.answer(images, [["what?", "what? " * 2000], ["<image>?"]])
    assert "does not fit" in long.problem
    assert long.text == mark.text == ""
    assert mark.problem is not None
    assert fine == pipeline.language.answer(images[:1], [["what?"]])[0][0]


def test_text_that_holds_no_boxes_is_a_problem() -> None:
    (unread,) = Published(Scripted("qwen3_vl", "A cup, on the left.")).detect([picture()])
    assert "not JSON" in unread.problem
    assert unread.raw == "A cup, on the left."
    (cut,) = Published(Scripted("qwen3_vl", "[{", problem="ran into the limit")).detect([picture()])
    assert (cut.objects, cut.problem) == ((), "ran into the limit")


def test_each_picture_is_encoded_once_for_all_roles() -> None:
    model = Scripted("florence2", *["a", "b", "", "", ""])
    roles = Published(model)
    images = [picture(), picture(seed=1)]
    roles.caption(images)
    assert roles.ground(images, [[], ["cup", "cat", "dog"]])[0] == []
    assert model.encoded == 1
    assert roles.answer(images, [[], []]) == [[], []]


def test_a_question_is_put_as_the_model_was_trained_to_be_asked() -> None:
    model = Scripted("blip-2", "cup")
    Published(model).answer([picture()], [["what {is} it?"]])
    assert model.asked == ["Question: what {is} it? Short answer:"]


def test_a_pipeline_runs_on_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_on = []

    def on(name: str, device: str) -> TransformersVLM:
        opened_on.append(device)
        return opened("llava")

    monkeypatch.setattr("chiasm.tasks.published.open_vlm", on)
    for available in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda available=available: available)
        published_pipeline("org/model")
    assert opened_on == ["cuda", "cpu"]


@pytest.mark.parametrize("kind", ["llava", "instructblip", "florence2"])
def test_a_folder_is_a_pipeline(kind: str) -> None:
    pipeline = open_pipeline(str(checkpoint(kind)))
    seen = pipeline.process(picture(), question="what is it?", ground_objects=["cup"])
    assert pipeline.name == kind
    assert pipeline.scene is None
    assert (seen.caption is not None, seen.answer is not None) == (True, True)
    assert (seen.detection is not None) == (kind == "florence2") == bool(seen.grounded)
    model = opened(kind)
    (caption,) = pipeline.language.caption([picture()])
    e_pre = model.encode([picture()])
    assert caption == model.generate(e_pre, [[model.dialect.prompts["caption"]]], limit=96)[0][0]


def test_examine_takes_a_folder(tmp_path: Path) -> None:
    """Random weights answer nothing right, and every kind of row is there."""
    pipeline = open_pipeline(str(checkpoint("kosmos2")))
    summary = examine(pipeline, open_dataset("scenes:test?size=48"), tmp_path / "run", limit=2, progress=False)
    rows = read_rows(tmp_path / "run")
    assert {row["task"] for row in rows} == {"caption", "answer", "detect", "ground"}
    assert summary
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["model"]["architecture"] == "Kosmos2ForConditionalGeneration"
    assert len(manifest["model"]["weights"]) == 64


def test_weights_are_named_by_their_values() -> None:
    first = weights_fingerprint(opened("llava").model)
    assert weights_fingerprint(tiny.vlm()) == weights_fingerprint(tiny.vlm()) != first
    changed = tiny.vlm()
    with torch.no_grad():
        changed.encoder.positions[3, 5] += 1e-6
    assert weights_fingerprint(changed) != weights_fingerprint(tiny.vlm())
