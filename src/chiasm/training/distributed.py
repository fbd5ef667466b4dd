"""Several processes as one: the gradient is the sum over all of them, so any number of them trains the same model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn


@contextmanager
def processes() -> Iterator[tuple[int, int]]:
    """(rank, world size) under torchrun, (0, 1) alone."""
    if "RANK" not in os.environ or dist.is_initialized():
        yield rank(), world()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield rank(), world()
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, 0 where there is one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_values(values: Mapping[str, float]) -> dict[str, float]:
    """The values summed over processes."""
    if not dist.is_initialized():
        return dict(values)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return dict(zip(values, total.tolist(), strict=True))


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up every gradient over processes, in one message. A parameter that took no part has a gradient of zero,
    also in a single process, so that it decays alike in any number of them."""
    trained = list(parameters)
    for p in trained:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in trained if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def wait() -> None:
    """Until all processes are here."""
    if dist.is_initialized():
        dist.barrier()
