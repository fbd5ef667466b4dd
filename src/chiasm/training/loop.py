"""The training loop: one stage of one model, resumable at any moment."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from chiasm.data.open import open_dataset
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ChiasmError, ConfigError
from chiasm.models.vlm import VLM
from chiasm.training import distributed, lora, state
from chiasm.training.batches import indices, prefetched
from chiasm.training.feature_cache import stored_features
from chiasm.training.objectives import OBJECTIVES, Objective
from chiasm.training.optimizer import optimizer, rate
from chiasm.training.stage import Full, Stage, assign, freeze
from chiasm.types import Dataset

# Ragged batches bring new shapes at every step, and oneDNN keeps the kernels it compiled for each: at the default of
# 1024 kernels in two caches a run grew by 25 MB a step, past 17 GB. Read when the first kernel is made.
for cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(cache, "256")


def train_stage(model: nn.Module, stage: Stage, folder: Path, seed: int) -> None:
    """Train `model` in place. `folder` holds the stage's checkpoints and `log.jsonl`; with a checkpoint in it, training
    goes on from there, to the same weights bit for bit as if it had never stopped. Ctrl-C saves one first.

    Raises ConfigError for a stage that does not fit its model or dataset, CheckpointError where the folder can't be
    read or written, and ChiasmError naming stage and step where the loss is no longer a number.
    """
    torch.manual_seed(seed)  # the objective's heads start the same in every process and after every restart
    dataset = open_dataset(stage.data)
    if not len(dataset):
        raise ConfigError(f"stage {stage.name!r}: {stage.data} is empty")
    decided = lora.attach(model, assign(model, stage.train))
    freeze(model, decided)
    objective = _objective(model, dataset, stage, folder)
    learner = _Learner(model, objective)
    adam = optimizer(learner, {**decided, **_heads_follow(objective, stage)}, stage)
    done = state.restore(folder, model, objective, adam)
    log = _Log(folder / "log.jsonl", done, stage)

    def prepare(step: int) -> list[Any]:
        places = indices(step, stage.batch, len(dataset), seed)
        micro = [places[i : i + stage.micro_batch] for i in range(0, len(places), stage.micro_batch)]
        mine = micro[distributed.rank() :: distributed.world()]
        return [objective.prepare(part) for part in mine]

    with log, closing(prefetched(prepare, done, stage.steps)) as prepared:
        for step, batches in enumerate(prepared, start=done):
            with _interrupt_deferred() as interrupted:
                losses = _step(learner, objective, adam, stage, step, batches)
                log.write(step + 1, losses)
                due = step + 1 == stage.steps or (step + 1) % stage.save_every == 0
                if distributed.rank() == 0 and (due or interrupted()):
                    state.save(folder, step + 1, model, objective, adam)
    lora.merge(model)
    distributed.wait()


def _objective(model: nn.Module, dataset: Dataset, stage: Stage, folder: Path) -> Objective:
    if stage.objective not in OBJECTIVES:
        raise ConfigError(
            f"stage {stage.name!r}: unknown objective {stage.objective!r}{did_you_mean(stage.objective, OBJECTIVES)}"
        )
    options = dict(stage.options)
    if options.pop("store_features", False):
        if not isinstance(model, VLM):
            raise ConfigError(f"stage {stage.name!r} trains no whole model, so there are no features to store")
        options["stored"] = stored_features(model, dataset, folder / "features", stage)
    try:
        return OBJECTIVES[stage.objective](model, dataset, **options)
    except TypeError as error:
        raise ConfigError(f"stage {stage.name!r}: objective {stage.objective!r}: {error}") from error


@contextmanager
def _interrupt_deferred() -> Iterator[Callable[[], bool]]:
    """Ctrl-C waits for the end of the block, so that half a step is never saved. Yields whether it was pressed."""
    pressed = False

    def remember(*_: object) -> None:
        nonlocal pressed
        pressed = True

    if threading.current_thread() is not threading.main_thread():  # where signals never arrive
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


class _Learner(nn.Module):
    """Everything with parameters: the model, and the objective's heads under the name "objective"."""

    def __init__(self, model: nn.Module, objective: Objective):
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        if isinstance(objective, nn.Module):
            self.objective = objective


def _heads_follow(objective: Objective, stage: Stage) -> dict[str, Any]:
    """An objective's heads learn at the highest rate of the stage."""
    if not isinstance(objective, nn.Module):
        return {}
    highest = max(how.lr for _, how in stage.train if how != "frozen")
    return {f"objective.{name}": Full(highest) for name, _ in objective.named_parameters()}


def _step(
    learner: nn.Module, objective: Objective, adam: torch.optim.AdamW, stage: Stage, step: int, batches: list[Any]
) -> dict[str, float]:
    """One optimizer step over this process's micro-batches. Sums are divided by counts over the whole batch, so the
    number of micro-batches and processes makes no difference."""
    local: dict[str, float] = dict.fromkeys(objective.weights, 0.0)
    for batch in batches:
        for name, n in objective.counts(batch).items():
            local[name] += n
    counts = distributed.sum_values(local)
    sums = dict.fromkeys(objective.weights, 0.0)
    for batch in batches:
        with torch.autocast(_device(learner), torch.bfloat16, enabled=stage.precision == "bf16"):
            losses: Mapping[str, Tensor] = objective.losses(batch)
        terms = [objective.weights[name] / max(1.0, counts[name]) * loss for name, loss in losses.items()]
        torch.stack(terms).sum().backward()
        for name, loss in losses.items():
            sums[name] += loss.item()
    trained = [p for group in adam.param_groups for p in group["params"]]
    distributed.sum_gradients(trained)
    norm = nn.utils.clip_grad_norm_(trained, stage.clip)
    totals = distributed.sum_values(sums)
    values = {**{name: totals[name] / max(1.0, counts[name]) for name in totals}, "gradient norm": norm.item()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ChiasmError(
                f"stage {stage.name!r}, step {step + 1}: {name} is {value}; training stopped before the weights were "
                "spoiled. Try a lower learning rate or a longer warm-up, in a new folder"
            )
    for group in adam.param_groups:
        group["lr"] = group["peak_lr"] * rate(step, stage)
    adam.step()
    adam.zero_grad(set_to_none=True)
    return values


def _device(module: nn.Module) -> str:
    return next(module.parameters()).device.type


class _Log:
    """Progress bar and log.jsonl, a row a step. Rows after the step that training goes on from are cut off."""

    def __init__(self, path: Path, done: int, stage: Stage):
        self.stage, self.done, self.leads = stage, done, distributed.rank() == 0
        if self.leads:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                # Cut in place: a rewritten file could be lost half-way.
                os.truncate(path, sum(map(len, path.read_bytes().splitlines(keepends=True)[:done])))
            self.file = path.open("a", encoding="utf-8")
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            disable=not self.leads,
        )
        self.task = self.bar.add_task(stage.name, total=stage.steps, completed=done, loss="")
        self.started = time.monotonic()

    def write(self, step: int, values: dict[str, float]) -> None:
        if not self.leads:
            return
        elapsed = time.monotonic() - self.started
        speed = (step - self.done) * self.stage.batch / elapsed
        row = {"stage": self.stage.name, "step": step, **values, "images_per_s": round(speed, 1)}
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        shown = " ".join(f"{name} {value:.3f}" for name, value in values.items() if name != "gradient norm")
        self.bar.update(self.task, completed=step, loss=f"{shown} | {speed:.0f} images/s")

    def __enter__(self) -> _Log:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        if self.leads:
            self.file.close()
