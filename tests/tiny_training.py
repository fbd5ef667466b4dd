"""A model and a recipe small enough to train inside a test, and the command line with that recipe in it.

python tests/tiny_training.py train tiny --out FOLDER [key=value ...]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import nn

from chiasm.data.open import open_dataset
from chiasm.models import checkpoint
from chiasm.models.tokenizer import Tokenizer
from chiasm.models.vlm import VLM
from chiasm.training.loop import train_stage
from chiasm.training.recipe import Recipe
from chiasm.training.stage import Full, Stage

DATA = "scenes:train?size=32&count=24"
CONFIG: dict[str, Any] = {
    "encoder": {"kind": "vit", "size": 32, "patch": 8, "width": 32, "depth": 1, "heads": 2},
    "connector": {"kind": "patch_merger", "in_width": 32, "out_width": 32, "merge": 2, "hidden": 32},
    "decoder": {"kind": "llama", "width": 32, "depth": 1, "heads": 2},
    "fusion": {"kind": "prefix", "bidirectional": True},
}
PROMPTS = {"scene": "name the scene", "detect": "find all objects", "ground": "find {phrase}"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are faster so, and the number of threads shows in the last bit of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_stage(**settings: Any) -> Stage:
    defaults: dict[str, Any] = {
        "name": "tune",
        "train": ((".*", Full(1e-2)),),
        "objective": "language",
        "data": DATA,
        "options": {"per_image": 3},
        "steps": 4,
        "batch": 4,
        "micro_batch": 4,
        "warmup": 2,
        "precision": "fp32",
    }
    return Stage(**{**defaults, **settings})


def tiny_recipe() -> Recipe:
    """All that chiasm-tiny does (heads, text alone, stored features, everything together), in a few seconds."""
    return Recipe(
        name="tiny",
        data=DATA,
        model=CONFIG,
        prompts=PROMPTS,
        text_tokens=300,
        text_examples=4,
        loc_bins=16,
        stages=(
            tiny_stage(
                name="see",
                data="",
                train=(("encoder.*", Full(1e-2)), (".*", "frozen")),
                objective="patches",
                options={"survey": 4},
                steps=5,
                save_every=2,
            ),
            tiny_stage(
                name="align",
                data="",
                train=(("connector.*", Full(1e-2)), (".*", "frozen")),
                options={"store_features": True, "per_image": 3},
                steps=5,
                save_every=2,
            ),
            tiny_stage(name="tune", data="", steps=7, save_every=3, micro_batch=2, precision="bf16"),
        ),
    )


@cache
def tiny_tokenizer() -> Tokenizer:
    dataset = open_dataset(DATA)
    texts = [text for i in range(4) for q in dataset[i].questions for text in (q.text, *q.answers)]
    with TemporaryDirectory() as folder:
        Tokenizer.train(texts, 300, 16).save(Path(folder) / "tokenizer.json")
        return Tokenizer.load(Path(folder) / "tokenizer.json")


def tiny_model(seed: int = 0) -> VLM:
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    decoder = {**CONFIG["decoder"], "vocabulary": len(tokenizer)}
    return checkpoint.build({**CONFIG, "decoder": decoder, "dialect": {"prompts": PROMPTS}}, tokenizer)


def trained(stage: Stage, folder: Path, model: VLM | None = None) -> VLM:
    model = model or tiny_model()
    torch.seed()  # another process has drawn other random numbers before
    train_stage(model, stage, folder, seed=0)
    return model


def assert_same(one: nn.Module, other: nn.Module) -> None:
    """Bit for bit."""
    assert one.state_dict().keys() == other.state_dict().keys()
    assert [k for k, v in one.state_dict().items() if not torch.equal(v, other.state_dict()[k])] == []


def log(folder: Path) -> list[dict[str, float]]:
    """The numbers of a stage's log, without the time it took."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("stage", "images_per_s")} for row in rows]


if __name__ == "__main__":
    from chiasm.cli.app import app
    from chiasm.training.recipes import RECIPES

    torch.set_num_threads(1)
    RECIPES["tiny"] = tiny_recipe
    app()
