"""Train a connector to take the place of a model's own; encoder and decoder stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from chiasm.data.images import open_image
from chiasm.data.open import open_dataset
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError, DataError
from chiasm.models.checkpoint import read_tensors, unique_weights
from chiasm.models.protocol import VisionLanguageModel
from chiasm.models.replacement import KINDS, Replacement
from chiasm.training import state
from chiasm.training.loop import train_stage
from chiasm.training.objectives.replacement import Loss
from chiasm.training.settings_file import claim
from chiasm.training.stage import Full, Stage

PLAN, WEIGHTS = "replacement.json", "replacement.safetensors"
SIZED_BY = 16
"""Pictures whose features say how wide and how large E_post is."""


@dataclass(frozen=True)
class ReplacementPlan:
    """`data` is a dataset as on the command line; its first `held_out` pictures are never learned from."""

    kind: str
    loss: Loss
    data: str
    held_out: int = 0
    steps: int = 300
    batch: int = 8
    per_image: int = 4
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no connector is called {self.kind!r}{did_you_mean(self.kind, KINDS)}")


def untrained_replacement(frozen: VisionLanguageModel, plan: ReplacementPlan) -> Replacement:
    """As training begins: random weights by the plan's seed."""
    dataset = open_dataset(plan.data)
    last = min(plan.held_out + SIZED_BY, len(dataset))
    examples = [dataset[index] for index in range(plan.held_out, last)]
    if not examples:
        raise DataError(f"{plan.data} has {len(dataset)} pictures; with {plan.held_out} held out none is left")
    with torch.no_grad():
        e_pre = frozen.encode([open_image(example.image, name=example.id) for example in examples])
        e_post = frozen.connect(e_pre)
    torch.manual_seed(plan.seed)
    return Replacement.between(plan.kind, e_pre, e_post)


def train_replacement(
    frozen: VisionLanguageModel, plan: ReplacementPlan, folder: Path, identity: Mapping[str, Any] | None = None
) -> Replacement:
    """Follow the plan in `folder`; the same call on the same folder goes on where it was stopped, or reads what is
    finished. `identity` says what else must be equal for that, such as the model's name.

    Raises ConfigError where the folder holds another training, and what `train_stage` raises.
    """
    claim(folder / PLAN, {**(identity or {}), **asdict(plan)})
    found = untrained_replacement(frozen, plan)
    if (folder / WEIGHTS).exists():
        found.load_state_dict(read_tensors(folder / WEIGHTS))
        return found.eval()
    whole = frozen if isinstance(frozen, nn.Module) else getattr(frozen, "model", None)
    if isinstance(whole, nn.Module):
        whole.requires_grad_(False)
    options = {"frozen": frozen, "loss": plan.loss, "held_out": plan.held_out, "per_image": plan.per_image}
    stage = Stage(
        name=plan.kind,
        train=((".*", Full(plan.learning_rate)),),
        objective="replacement",
        steps=plan.steps,
        batch=plan.batch,
        micro_batch=plan.batch,
        data=plan.data,
        options={**options, "seed": plan.seed},
        warmup=min(50, plan.steps // 5 + 1),
        precision="fp32",
        save_every=50,
    )
    train_stage(found, stage, folder / "training", plan.seed)
    with state.whole_file(folder / WEIGHTS) as part:
        save_file({name: tensor.contiguous() for name, tensor in unique_weights(found).items()}, part)
    return found.eval()
