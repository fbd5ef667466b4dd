"""What goes wrong with published models is said in one sentence: which folder, what is missing, what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
import transformers as hf
from PIL import Image
from test_adapters_vlm import opened
from tiny_checkpoints import checkpoint, picture, text, tokenizer

from chiasm.errors import CheckpointError, ChiasmError, ConfigError, ImageError
from chiasm.models.adapters.transformers.vlm import open_vlm
from chiasm.tasks.vlm import open_pipeline

one_thread = tiny.one_thread


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint("llava"), tmp_path / "llava"))


def edited(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def pickled_weights(folder: Path) -> None:
    without_weights(folder)
    torch.save({}, folder / "pytorch_model.bin")


def code_of_its_own(folder: Path, **changes: object) -> None:
    """As many published checkpoints: transformers would ask on the terminal whether to run it, and so must not know."""
    edited(folder, auto_map={"AutoConfig": "own.Config"}, **changes)
    (folder / "own.py").write_text("raise SystemExit('it ran')")


def only(folder: Path, name: str, content: str) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / name).write_text(content)


def fewer_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "projector" in name)
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "configuration"),
        (lambda f: edited(f, model_type="lava"), "lava"),
        (lambda f: edited(f, model_type="clip"), "adapter"),
        (lambda f: (f / "processor_config.json").unlink(), "processor"),
        (lambda f: (f / "tokenizer.json").unlink(), "processor"),
        (without_weights, "weights"),
        (pickled_weights, "never loaded; save the model again as safetensors"),
        (lambda f: code_of_its_own(f, model_type="internvl_chat"), "never run: look for a copy in the library's"),
        (lambda f: (code_of_its_own(f), without_weights(f)), "fetch the whole folder"),
        (lambda f: (code_of_its_own(f), fewer_weights(f)), "missing.*never run: look for a copy"),
        (lambda f: only(f, "adapter_config.json", '{"base_model_name_or_path": "org/base"}'), "into org/base by peft"),
        (lambda f: only(f, "model-q4.gguf", "GGUF"), "openai:URL#MODEL"),
        (cut_weights, "weights"),
        (fewer_weights, "missing"),
    ],
)
def test_a_damaged_folder(
    folder: Path, damage: Callable[[Path], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(folder)
    monkeypatch.setattr("builtins.input", lambda text: pytest.fail(f"it asked {text}"))
    with pytest.raises(ChiasmError, match=message) as caught:
        open_vlm(str(folder))
    assert str(folder) in str(caught.value)
    with pytest.raises(ChiasmError):
        open_pipeline(str(folder))


def test_a_model_without_eyes(tmp_path: Path) -> None:
    tok = tokenizer()
    hf.LlamaForCausalLM(hf.LlamaConfig(**text(tok))).save_pretrained(tmp_path / "blind")
    tok.save_pretrained(tmp_path / "blind")
    with pytest.raises(ConfigError, match="a model without eyes"):
        open_vlm(str(tmp_path / "blind"))


def test_no_such_folder_and_no_such_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        open_vlm(str(tmp_path / "nothing"))
    with pytest.raises(CheckpointError, match="no such model folder"):
        open_pipeline(str(tmp_path / "nothing"))


def test_pictures_that_are_none() -> None:
    model = opened("llava")
    with pytest.raises(ConfigError, match="no pictures"):
        model.encode([])
    with pytest.raises(ConfigError, match="picture 1 is not RGB"):
        model.encode([picture(), Image.new("L", (9, 9))])


def test_a_picture_that_cannot_be_made_fit() -> None:
    with pytest.raises(ImageError, match="a picture of 1x1 pixels"):
        opened("idefics2_split").encode([picture(1, 1)])


def test_features_that_do_not_fit() -> None:
    model = opened("llava")
    captured = model.capture([picture()], model.sites())
    with pytest.raises(ConfigError, match=r"no site encoder\.7; it has encoder\.0"):
        model.capture([picture()], ["encoder.7"])
    with pytest.raises(ConfigError, match=r"'encoder\.0' can't be connected"):
        model.connect(captured["encoder.0"])
    with pytest.raises(ConfigError, match="encode"):
        model.generate(captured["encoder.0"], [["what?"]])
    with pytest.raises(ConfigError, match="not of this model"):
        model.generate(replace(captured["connector"], context=None), [["what?"]])
    with pytest.raises(ConfigError, match="1 pictures but prompts for 2"):
        model.generate(captured["connector"], [["what?"], ["what?"]])
    with pytest.raises(ConfigError, match="one answer"):
        model.logprob(captured["connector"], [["what?", "why?"]], [["red"]])
    fewer = replace(captured["connector"], tokens=captured["connector"].tokens[:7], grids=((1, 7),))
    with pytest.raises(ConfigError, match="7 features but 16 places"):
        model.generate(fewer, [["what?"]])
    with pytest.raises(ConfigError, match="at least one prompt"):
        model.generate(captured["connector"], [[]])


def test_a_prompt_that_is_too_long() -> None:
    model = opened("llava")
    features = model.connect(model.encode([picture()]))
    with pytest.raises(ConfigError, match="does not fit in 512 positions"):
        model.generate(features, [["what? " * 300]])


def test_a_mark_that_stands_for_a_picture() -> None:
    model = opened("llava")
    features = model.connect(model.encode([picture()]))
    with pytest.raises(ConfigError, match=r"refuses the prompt 'what is <image>\?'"):
        model.generate(features, [["what is <image>?"]])


def test_half_precision_becomes_single_on_a_cpu(folder: Path) -> None:
    half = hf.LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float16)
    half.save_pretrained(folder)
    assert open_vlm(str(folder)).model.dtype == torch.float32
    assert open_vlm(str(folder), dtype=torch.bfloat16).model.dtype == torch.bfloat16
