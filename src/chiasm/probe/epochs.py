"""Training a probe network: the weights kept are those of the epoch that did best on the validation pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from chiasm.errors import DataError


@dataclass(frozen=True)
class Schedule:
    """AdamW with a linear warm-up over a tenth of the steps and a linear way down; `batch` counts rows or pictures."""

    epochs: int
    batch: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0


def best_epoch(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    validate: Callable[[], float],
    count: int,
    schedule: Schedule,
    seed: int = 0,
) -> list[float]:
    """Train on `loss` of batches of indices below `count`, and leave `network` in eval mode with its best weights.

    Returns `validate`, lower is better, at the start and after each epoch. Raises DataError if none is a number.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    steps = schedule.epochs * -(-count // schedule.batch)
    warm_up = max(1, steps // 10)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )
    history: list[float] = []
    best: dict[str, Tensor] = {}
    for epoch in range(schedule.epochs + 1):
        if epoch:
            network.train()
            for batch in torch.randperm(count, generator=generator).split(schedule.batch):
                optimizer.zero_grad()
                loss(batch).backward()
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
                optimizer.step()
                rate.step()
        network.eval()
        with torch.no_grad():
            history.append(validate())
        if isfinite(history[-1]) and history[-1] <= min(filter(isfinite, history)):
            # A copy: state_dict() holds the live tensors, which the next epoch overwrites.
            best = copy.deepcopy(network.state_dict())
    if not best:
        raise DataError(f"training went astray: a validation error of {history[-1]}; lower the learning rate")
    network.load_state_dict(best)
    return history


def seeded_network(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What `build` makes with random weights of this seed; the process's own random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
