"""A model on disk: the same model comes back, and whatever is wrong is named."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import config, tokenizer, vlm

from chiasm.errors import CheckpointError, ConfigError
from chiasm.models import checkpoint
from chiasm.models.checkpoint import build, find, load, save
from chiasm.models.tokenizer import Tokenizer

one_thread = tiny.one_thread


@pytest.fixture
def saved(tmp_path) -> Path:
    save(vlm(), config(), tmp_path / "model")
    return tmp_path / "model"


def test_the_same_model_comes_back(saved: Path) -> None:
    model = vlm()
    loaded, described = load(saved)
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    assert described == config()
    assert loaded.dialect == model.dialect
    assert not loaded.training
    images = tiny.pictures(2)
    prompts = [["find the cat", "a red cup"], ["yes"]]
    answers = [m.generate(m.connect(m.encode(images)), prompts, limit=5) for m in (model, loaded)]
    for here, there in zip(*([a for group in side for a in group] for side in answers), strict=True):
        assert here.text == there.text
        # Another layout of the same weights adds up in another order.
        assert here.logprob == pytest.approx(there.logprob, abs=1e-5)


def test_a_folder_holds_three_files_and_no_pickle(saved: Path) -> None:
    assert {p.name for p in saved.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert not list(saved.parent.glob(".*")), "temporary folders are left"


def test_a_tied_head_is_stored_once_and_comes_back_tied(saved: Path) -> None:
    stored = load_file(saved / "model.safetensors")
    assert "decoder.embed.weight" in stored
    assert "decoder.head.weight" not in stored
    loaded, _ = load(saved)
    assert loaded.decoder.head.weight is loaded.decoder.embed.weight


def test_an_untied_head_is_stored(tmp_path) -> None:
    settings = config(decoder=config()["decoder"] | {"tied": False})
    model = vlm(decoder=settings["decoder"])
    save(model, settings, tmp_path / "model")
    loaded, _ = load(tmp_path / "model")
    assert torch.equal(loaded.decoder.head.weight, model.decoder.head.weight)
    assert not torch.equal(loaded.decoder.head.weight, loaded.decoder.embed.weight)


def test_bf16_halves_the_file_and_loads_as_fp32(saved: Path, tmp_path) -> None:
    model = vlm()
    save(model, config(), tmp_path / "half", torch.bfloat16)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "half", saved)]
    assert sizes[0] < 0.6 * sizes[1]
    assert {t.dtype for t in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.bfloat16}
    loaded, _ = load(tmp_path / "half")
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], tensor.bfloat16().float()), name
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_saving_again_replaces_the_folder(saved: Path) -> None:
    (saved / "old.txt").write_text("left over")
    save(vlm(seed=1), config(), saved)
    assert not (saved / "old.txt").exists()
    loaded, _ = load(saved)
    assert torch.equal(loaded.encoder.positions, vlm(seed=1).encoder.positions)


def test_a_save_that_fails_leaves_the_old_checkpoint(saved: Path, monkeypatch) -> None:
    def fail(*args) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(vlm(seed=1), config(), saved)
    monkeypatch.undo()
    loaded, _ = load(saved)
    assert torch.equal(loaded.encoder.positions, vlm().encoder.positions)
    assert not list(saved.parent.glob(".*"))


# ---- what is wrong is named


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: missing"):
        load(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "pickle"])
def test_a_damaged_file_is_named(saved: Path, name: str, damage: str) -> None:
    path = saved / name
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "noise": bytes(range(256)) * 4,
        "pickle": pickle.dumps({"weights": [1.0]}),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load(saved)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_a_pickle_is_not_run(saved: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Bomb(), saved / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged or not a safetensors file"):
        load(saved)
    assert not Path("exploded").exists()


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    weights = load_file(folder / "model.safetensors") | changes
    save_file({k: v for k, v in weights.items() if v is not None}, folder / "model.safetensors")


def test_weights_of_another_model(saved: Path) -> None:
    edit_weights(saved, **{"encoder.norm.bias": None, "encoder.class_token": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"missing \['encoder\.norm\.bias'\].*\['encoder\.class_token'\]"):
        load(saved)


def test_weights_of_another_shape(saved: Path) -> None:
    edit_weights(saved, **{"encoder.norm.bias": torch.zeros(17)})
    with pytest.raises(CheckpointError, match=r"encoder\.norm\.bias is \(17,\), expected \(16,\)"):
        load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": None}, "no 'encoder'"),
        ({"encoder": "vit"}, "no 'encoder'"),
        ({"encoder": {"kind": "vitt"}}, "unknown encoder kind 'vitt'.*did you mean 'vit'"),
        ({"encoder": {}}, "unknown encoder kind None"),
        ({"encoder": {"kind": "vit", "sise": 96}}, "encoder 'vit'.*sise"),
        ({"encoder": {"kind": "vit", "patch": 0}}, "encoder 'vit'"),
        ({"encoder": {"kind": "vit", "width": -4}}, "encoder 'vit'"),
        ({"encoder": {"kind": "vit", "width": "wide"}}, "encoder 'vit'"),
        ({"connector": {"kind": "mlp"}}, "connector 'mlp'.*in_width"),
        ({"decoder": {"kind": "llama", "vocabulary": 5}}, "decoder embeds 5 tokens, but the tokenizer has"),
    ],
)
def test_an_impossible_config_is_named(saved: Path, changes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config(**changes), tokenizer())
    (saved / "config.json").write_text(json.dumps(config(**changes)))
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{message}"):
        load(saved)


@pytest.mark.parametrize("foreign", [[], 3, {"architectures": ["LlamaForCausalLM"], "vocab_size": 32000}])
def test_the_config_of_another_library(saved: Path, foreign) -> None:
    (saved / "config.json").write_text(json.dumps(foreign))
    with pytest.raises(CheckpointError, match=r"config\.json: the model's config has no 'encoder'"):
        load(saved)


def test_a_tokenizer_with_other_tokens(saved: Path) -> None:
    Tokenizer.train(["something else"], vocabulary=600, loc_bins=500).save(saved / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"config\.json: .*tokenizer has"):
        load(saved)


def test_finding_a_model(saved: Path) -> None:
    assert find(str(saved)) == saved
    assert find("chiasm-tiny").name == "chiasm_tiny"
    with pytest.raises(CheckpointError, match="nowhere: no such model folder"):
        find("nowhere")
    shutil.rmtree(saved)
    with pytest.raises(CheckpointError, match="no such model folder"):
        find(str(saved))
