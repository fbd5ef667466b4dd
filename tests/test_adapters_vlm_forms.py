"""Checkpoints as people publish them: in shards, with files of older or newer releases, with settings for sampling."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import transformers as hf
from tiny_checkpoints import checkpoint, picture

from chiasm.models.adapters.transformers.vlm import TransformersVLM, open_vlm

one_thread = tiny.one_thread


def edited(file: Path, **changes: Any) -> None:
    """Change values of a JSON file; None takes one away."""
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))


def in_shards(folder: Path) -> None:
    model = hf.AutoModelForImageTextToText.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 1


def image_processor_apart(folder: Path, **changes: Any) -> None:
    """preprocessor_config.json, as before transformers 5."""
    settings = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    edited(folder / "preprocessor_config.json", **(settings | changes))
    edited(folder / "processor_config.json", image_processor=None)


def fast(folder: Path) -> None:
    name = json.loads((folder / "processor_config.json").read_text())["image_processor"]["image_processor_type"]
    image_processor_apart(folder, image_processor_type=name.removesuffix("Pil") + "Fast")


def oldest(folder: Path) -> None:
    image_processor_apart(folder, image_processor_type=None, feature_extractor_type="CLIPFeatureExtractor")


def template_as_json(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    edited(folder / "chat_template.json", chat_template=template.read_text())
    template.unlink()


def sampling(folder: Path) -> None:
    settings = {"do_sample": True, "temperature": 5.0, "num_beams": 3, "repetition_penalty": 3.0}
    edited(folder / "generation_config.json", **settings)


def code_beside(folder: Path) -> None:
    """Which the library does not need, since it knows the architecture."""
    edited(folder / "config.json", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    (folder / "own.py").write_text("raise SystemExit('it ran')")


def no_places(folder: Path) -> None:
    """Before transformers 4.45 the model counted the places of a picture, and its processor knew no patch size."""
    edited(folder / "processor_config.json", patch_size=None, num_additional_image_tokens=None)


FORMS: list[tuple[str, Callable[[Path], None]]] = [
    *((kind, fast) for kind in ("llava", "qwen2_5_vl", "idefics3", "gemma3", "internvl", "paligemma", "janus")),
    *((kind, template_as_json) for kind in ("llava", "qwen2_5_vl")),
    ("llava", in_shards),
    ("llava", oldest),
    ("llava", sampling),
    ("llava", code_beside),
    ("llava", no_places),
]


def said(model: TransformersVLM) -> list[str]:
    features = model.encode([picture(), picture(40, 90, seed=1)])
    return [a.raw for group in model.generate(features, [["what?"], ["a", "is it red?"]], limit=6) for a in group]


@pytest.mark.parametrize(("kind", "change"), FORMS)
def test_a_form_makes_no_difference(kind: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint(kind), tmp_path / kind))
    change(folder)
    assert said(open_vlm(str(folder))) == said(open_vlm(str(checkpoint(kind))))


@pytest.mark.parametrize("kind", ["llava", "florence2", "qwen3_5", "gemma3", "blip2"])
def test_weights_in_bfloat16_stay_so_and_answer(kind: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint(kind), tmp_path / kind))
    config = json.loads((folder / "config.json").read_text())
    getattr(hf, config["architectures"][0]).from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    model = open_vlm(str(folder))
    assert model.model.dtype == torch.bfloat16
    features = model.encode([picture()])
    assert features.tokens.dtype == torch.bfloat16
    ((answer,),) = model.generate(features, [["what?"]], limit=3)
    ((value,),) = model.logprob(features, [["what?"]], [["red"]])
    assert value < 0
    assert answer.raw == model.generate(model.connect(features), [["what?"]], limit=3)[0][0].raw


def test_an_answer_ends_where_the_chat_template_ends_it(tmp_path: Path) -> None:
    """Checkpoints that were tuned on are often saved without the token that closes an answer among the eos tokens."""
    folder = Path(shutil.copytree(checkpoint("idefics3"), tmp_path / "idefics3"))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("</s>", "<end_of_utterance>"))
    model = open_vlm(str(folder))
    mark = model.processor.tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    assert model.prompter.closing == mark
    assert model.decoder.ends == {mark, model.processor.tokenizer.eos_token_id}
    (folder / "generation_config.json").unlink()
    assert open_vlm(str(folder)).prompter.closing == mark
