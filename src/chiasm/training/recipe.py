"""A recipe: everything that makes a model, from nothing to its checkpoint, in one value that can be printed, changed
from the command line and saved beside the weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import track

from chiasm.data.images import open_image
from chiasm.data.instructions import Instructions
from chiasm.data.open import open_dataset
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.models import checkpoint
from chiasm.models.familiarity import Familiarity, pooled
from chiasm.models.tokenizer import Tokenizer
from chiasm.models.vlm import VLM
from chiasm.training import distributed, state
from chiasm.training.loop import train_stage
from chiasm.training.plot import loss_plot
from chiasm.training.settings_file import claim
from chiasm.training.stage import Stage

FAMILIAR_PICTURES = 4000
"""Pictures of each dataset that say how familiar ones look."""


@dataclass(frozen=True)
class Recipe:
    """`model` is a config as in config.json, without the decoder's vocabulary, which follows from the tokenizer: BPE
    learned on the texts of `data`'s first `text_examples` examples, `text_tokens` of them at most, and `loc_bins`
    location tokens. `prompts` says which tasks the model learns and how it is asked. The finished checkpoint stores
    weights as `store`, and with `held_out`, a dataset of the same world, what tells strange pictures from familiar
    ones."""

    name: str
    data: str
    model: Mapping[str, Any]
    prompts: Mapping[str, str]
    stages: tuple[Stage, ...]
    text_tokens: int = 1000
    text_examples: int = 3000
    loc_bins: int = 64
    store: Literal["fp32", "bf16"] = "fp32"
    held_out: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        folders = [stage.name for stage in self.stages] + ["model"]
        if twice := {name for name in folders if folders.count(name) > 1}:
            raise ConfigError(f"{self.name}: stages need names of their own, other than 'model': {sorted(twice)}")
        if self.store not in ("fp32", "bf16"):
            raise ConfigError(f"{self.name}: store is {self.store!r}, it must be fp32 or bf16")


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with `key=value` settings applied, e.g. `seed=1`, `model.encoder.depth=4` or, for a stage by its
    name, `tune.steps=100`. Values are JSON, or plain text. Raises ConfigError for an unknown key, with the nearest
    known one."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r} is not a setting; write key=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        recipe = _set(recipe, key.split("."), value, key)
    return recipe


def _set(node: Any, path: Sequence[str], value: Any, key: str) -> Any:
    """A copy of `node` with the value at `path` replaced."""
    name, rest = path[0], path[1:]
    if isinstance(node, Recipe) and name in (by_name := {s.name: i for i, s in enumerate(node.stages)}):
        if not rest:
            raise ConfigError(f"{key}: {name} is a stage; set one of its keys, e.g. {key}.steps=100")
        i = by_name[name]
        return replace(node, stages=(*node.stages[:i], _set(node.stages[i], rest, value, key), *node.stages[i + 1 :]))
    if is_dataclass(node) and not isinstance(node, type):
        known: dict[str, Any] = {f.name: getattr(node, f.name) for f in fields(node)}
    elif isinstance(node, Mapping):
        known = dict(node)
    else:
        raise ConfigError(f"{key}: {name!r} is inside a plain value")
    if name not in known:
        stages = [s.name for s in node.stages] if isinstance(node, Recipe) else []
        raise ConfigError(f"unknown key {name!r} in {key!r}{did_you_mean(name, [*known, *stages])}")
    new = _set(known[name], rest, value, key) if rest else _fitting(value, known[name], key)
    return {**known, name: new} if isinstance(node, Mapping) else replace(node, **{name: new})


def _fitting(value: Any, old: Any, key: str) -> Any:
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if old is not None and type(value) is not type(old):
        raise ConfigError(f"{key} is {old!r}; {value!r} is not of the same type")
    return value


def train(recipe: Recipe, folder: Path) -> Path:
    """Follow a recipe in `folder` and return the folder of the finished checkpoint. The same call on the same folder
    goes on where it was stopped. Raises ConfigError where the folder holds another recipe's training."""
    with distributed.processes() as (rank, _):
        if rank == 0:
            claim(folder / "recipe.json", dataclasses.asdict(recipe))
        distributed.wait()
        config, tokenizer = _start(recipe, folder)
        torch.manual_seed(recipe.seed)
        model = checkpoint.build(config, tokenizer).to("cuda" if torch.cuda.is_available() else "cpu")
        for stage in recipe.stages:
            finished = folder / stage.name / "model"
            if finished.is_dir():
                checkpoint.load_weights(model, finished / "model.safetensors")
                continue
            train_stage(model, replace(stage, data=stage.data or recipe.data), folder / stage.name, recipe.seed)
            if rank == 0:
                checkpoint.save(model, config, finished)
            distributed.wait()
        if rank == 0 and not (folder / "model").is_dir():
            loss_plot(folder, [stage.name for stage in recipe.stages])
            _finish(model.eval(), config, recipe, folder / "model")
        distributed.wait()
    return folder / "model"


def _finish(model: VLM, config: checkpoint.Config, recipe: Recipe, folder: Path) -> None:
    with checkpoint.new_folder(folder) as part:
        checkpoint.write(model, config, part, torch.bfloat16 if recipe.store == "bf16" else None)
        if recipe.held_out:
            shipped, _ = checkpoint.load(part)  # rounded as it was stored
            Familiarity.fit(_pooled(shipped, recipe.data), _pooled(shipped, recipe.held_out)).save(part)


@torch.inference_mode()
def _pooled(model: VLM, spec: str) -> torch.Tensor:
    """Pooled E_pre of a dataset's first pictures."""
    dataset = open_dataset(spec)
    count = min(FAMILIAR_PICTURES, len(dataset))
    parts = []
    for start in track(range(0, count, 64), f"familiar pictures: {spec}"):
        examples = [dataset[i] for i in range(start, min(start + 64, count))]
        parts.append(pooled(model.encode([open_image(e.image, name=e.id) for e in examples])))
    return torch.cat(parts).cpu()


def _start(recipe: Recipe, folder: Path) -> tuple[checkpoint.Config, Tokenizer]:
    """The model's config and its tokenizer, learned on the recipe's own texts."""
    dataset = open_dataset(recipe.data)
    path = folder / "tokenizer.json"
    if distributed.rank() == 0 and not path.exists():
        every = Instructions(recipe.prompts, recipe.loc_bins, per_image=10**6, seed=recipe.seed)
        texts = (
            text
            for example in map(dataset.__getitem__, range(min(recipe.text_examples, len(dataset))))
            for pair in every(example, open_image(example.image, name=example.id).size)
            for text in pair
        )
        with state.whole_file(path) as part:
            Tokenizer.train(texts, recipe.text_tokens, recipe.loc_bins).save(part)
    distributed.wait()
    tokenizer = Tokenizer.load(path)
    config = {
        **recipe.model,
        "decoder": {**recipe.model["decoder"], "vocabulary": len(tokenizer)},
        "dialect": {
            "prompts": dict(recipe.prompts),
            "scenes": list(dataset.scene_names or ()),
            "objects": list(dataset.object_names or ()),
        },
    }
    return config, tokenizer
