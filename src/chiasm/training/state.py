"""Training state on disk: weights, optimizer moments and the step, written whole or not at all.

STAGE/step-000400/{model,objective,optimizer}.safetensors
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from chiasm.errors import CheckpointError
from chiasm.models.checkpoint import new_folder, read_tensors, unique_weights

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(folder: Path, step: int, model: nn.Module, objective: object, optimizer: torch.optim.AdamW) -> None:
    """Write the state after `step` steps and drop the one before it, which stays if that fails (CheckpointError)."""
    half_written = folder.glob(".step-*")  # by a process that was killed
    older = [*_checkpoints(folder), *half_written]
    heads = unique_weights(objective) if isinstance(objective, nn.Module) else {}
    try:
        with new_folder(folder / f"step-{step:07d}") as part:
            save_file(unique_weights(model), part / "model.safetensors")
            save_file(heads, part / "objective.safetensors")
            save_file(_moments(optimizer), part / "optimizer.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: the state after step {step} can't be written ({error}); make room, and the same command goes "
            "on from the state before it"
        ) from error
    for path in older:
        shutil.rmtree(path)


def restore(folder: Path, model: nn.Module, objective: object, optimizer: torch.optim.AdamW) -> int:
    """Load the newest state; returns the number of steps done, 0 where there is none."""
    found = _checkpoints(folder)
    if not found:
        return 0
    newest = found[-1]
    _fill(unique_weights(model), newest / "model.safetensors")
    if isinstance(objective, nn.Module):
        _fill(unique_weights(objective), newest / "objective.safetensors")
    saved = read_tensors(newest / "optimizer.safetensors")
    for i, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if f"{i}.step" in saved:
            optimizer.state[parameter] = {
                moment: saved[f"{i}.{moment}"].clone().to(parameter.device) for moment in MOMENTS
            }
    return int(newest.name.removeprefix("step-"))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` only once the file is complete."""
    part = path.with_name(f".{path.name}.part")
    yield part
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _moments(optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"{i}.{moment}": optimizer.state[p][moment].contiguous()
        for i, p in enumerate(parameters)
        if p in optimizer.state
        for moment in MOMENTS
    }


def _fill(tensors: dict[str, Tensor], path: Path) -> None:
    saved = read_tensors(path)
    if saved.keys() != tensors.keys() or any(saved[k].shape != t.shape for k, t in tensors.items()):
        raise CheckpointError(f"{path} belongs to another model; train into a new folder")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
