"""AdamW with decay groups, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from chiasm.training.stage import Full, How, Stage


def optimizer(model: nn.Module, decided: Mapping[str, How], stage: Stage) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over the trained parameters. Matrices decay; embeddings, position tables,
    norms and biases do not."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        how = decided[name]
        if isinstance(how, Full):
            decays = parameter.dim() >= 2 and id(parameter) not in embeddings and not name.endswith("positions")
            groups.setdefault((how.lr, decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak_lr": lr, "lr": lr, "weight_decay": stage.weight_decay if decays else 0.0}
            for (lr, decays), parameters in groups.items()
        ],
        betas=(0.9, 0.98),
        eps=1e-8,
        fused=True,
    )


def rate(step: int, stage: Stage) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then cosine down to `final_lr`."""
    if step < stage.warmup:
        return (step + 1) / stage.warmup
    progress = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.final_lr + (1 - stage.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))
