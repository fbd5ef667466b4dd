"""A model on disk: one folder with config.json, model.safetensors and tokenizer.json. No pickle is ever loaded.

config.json says which classes the model is made of and how they were called:

    {"encoder": {"kind": "vit", "size": 96, ...}, "connector": {...}, "decoder": {...}, "fusion": {...},
     "dialect": {...}}
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from chiasm.data.suggest import did_you_mean
from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.connectors import CONNECTORS
from chiasm.models.decoders import DECODERS
from chiasm.models.encoders import ENCODERS
from chiasm.models.fusion import FUSIONS
from chiasm.models.protocol import Dialect
from chiasm.models.tokenizer import Tokenizer
from chiasm.models.vlm import VLM

PARTS: dict[str, Mapping[str, type]] = {
    "encoder": ENCODERS,
    "connector": CONNECTORS,
    "decoder": DECODERS,
    "fusion": FUSIONS,
}
Config = dict[str, Any]


def build(config: Config, tokenizer: Tokenizer) -> VLM:
    """A model with random weights. `config` as in config.json; raises ConfigError naming the part and the key."""
    parts = {name: _part(name, config, kinds) for name, kinds in PARTS.items()}
    dialect = config.get("dialect", {})
    return VLM(
        **parts,
        tokenizer=tokenizer,
        dialect=Dialect(
            dialect.get("prompts", {}), tuple(dialect.get("scenes", ())), tuple(dialect.get("objects", ()))
        ),
    )


def _part(name: str, config: Config, kinds: Mapping[str, type]) -> Any:
    if not isinstance(config, Mapping) or not isinstance(config.get(name), Mapping):
        raise ConfigError(f"the model's config has no {name!r}; it needs {', '.join(PARTS)}, each with its settings")
    arguments = dict(config[name])
    kind = arguments.pop("kind", None)
    if kind not in kinds:
        raise ConfigError(f"unknown {name} kind {kind!r}{did_you_mean(str(kind), kinds)}")
    try:
        return kinds[kind](**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # a wrong key, or an impossible value
        raise ConfigError(f"{name} {kind!r}: {error}") from error


def save(model: VLM, config: Config, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint; `folder` appears whole or not at all. `dtype` converts the weights (bfloat16 halves them)."""
    with new_folder(folder) as part:
        write(model, config, part, dtype)


def write(model: VLM, config: Config, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint's files into an existing folder."""
    weights = {k: (v.to(dtype) if dtype else v).contiguous() for k, v in unique_weights(model).items()}
    described = {**config, "dialect": asdict(model.dialect)}
    (folder / "config.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8")
    save_file(weights, folder / "model.safetensors")
    model.tokenizer.save(folder / "tokenizer.json")


def load(folder: Path) -> tuple[VLM, Config]:
    """The model in fp32 and eval mode, and its config. Raises CheckpointError naming the file that is wrong."""
    config = read_json(folder / "config.json")
    tokenizer = Tokenizer.load(_existing(folder / "tokenizer.json"))
    try:
        model = build(config, tokenizer)
    except ConfigError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error
    load_weights(model, folder / "model.safetensors")
    model.decoder.lay_out_for_decoding()
    return model.eval(), config


def load_weights(model: VLM, path: Path) -> None:
    """Fill a model with the weights in a file; every name and shape must fit."""
    weights = read_tensors(path)
    expected = unique_weights(model)
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError(f"{path}: missing {missing[:5]}, not of this model {extra[:5]}")
    for name, tensor in expected.items():
        if tensor.shape != weights[name].shape:
            raise CheckpointError(f"{path}: {name} is {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}")
        tensor.copy_(weights[name])


def find(name: str) -> Path:
    """The folder of a model: a path, or "chiasm-tiny" for the one inside the package."""
    if name == "chiasm-tiny":
        return Path(str(resources.files("chiasm") / "chiasm_tiny"))
    folder = Path(name)
    if not folder.is_dir():
        raise CheckpointError(f"{name}: no such model folder (chiasm-tiny is the one that comes with Chiasm)")
    return folder


def unique_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, a shared tensor (a tied head) once."""
    seen: set[int] = set()
    result = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or not tensor.numel():
            seen.add(tensor.data_ptr())
            result[name] = tensor
    return result


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises CheckpointError where it is missing or damaged."""
    try:
        return load_file(_existing(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises CheckpointError where it is missing or damaged."""
    try:
        return json.loads(_existing(path).read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CheckpointError(f"{path}: missing")
    return path


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `folder` only once it is complete and on disk."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield part
        for file in part.iterdir():
            file.chmod(0o644)  # safetensors and mkdtemp keep everybody else out
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        part.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / "old")
            part.rename(folder)
            shutil.rmtree(old)
        else:
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
