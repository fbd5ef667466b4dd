"""One extraction in one process or in several. The store is the same, bit for bit, however many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chiasm.errors import ConfigError
from chiasm.probe.extract import SAMPLE, SHARD, Extraction
from chiasm.probe.pictures import open_pictures
from chiasm.probe.vision_side import Precision, open_vision_side

SLOWEST = timedelta(days=30)
"""How long the fastest process waits for the last one."""


@dataclass(frozen=True)
class Request:
    """An extraction in words, to be sent to other processes; the fields are those of `open_vision_side`,
    `open_pictures` and `Extraction`."""

    model: str
    pictures: tuple[str, ...]
    folder: Path
    precision: Precision = "fp32"
    sites: tuple[str, ...] = ()
    size: int | None = None
    tokens: bool = False
    sample: int = SAMPLE
    seed: int = 0
    limit: int | None = None
    batch: int = 16
    shard: int = SHARD

    def open(self, device: str) -> Extraction:
        """Open model and pictures. Raises what `Extraction` and the openers raise."""
        return Extraction(
            open_vision_side(self.model, self.precision, device),
            open_pictures(self.pictures),
            self.folder,
            sites=self.sites,
            size=self.size,
            tokens=self.tokens,
            sample=self.sample,
            seed=self.seed,
            limit=self.limit,
            batch=self.batch,
            shard=self.shard,
        )


def extract_here(request: Request, part: tuple[int, int] | None = None) -> dict[str, Any] | None:
    """Do all of an extraction, or under torchrun this process's share, and finish the store. The index (see
    `Extraction.finish`) in the first process, None in the others.

    With `part` (i, n) only the i-th of n shares is done and nothing finished: for machines that don't know of each
    other, such as the jobs of a Slurm array. Whoever runs the whole extraction afterwards finds all done and finishes.
    """
    if part is not None:
        _run(request.open(_device(0)), *part)
        return None
    with _torchrun() as (rank, world):
        extraction = request.open(_device(int(os.environ.get("LOCAL_RANK", "0"))))
        _run(extraction, rank, world)
        if world > 1:
            dist.barrier()
        return extraction.finish() if rank == 0 else None


def extract_with_ray(request: Request, workers: int) -> dict[str, Any]:
    """Do all of an extraction in `workers` actors of Ray Data, each with a GPU if this machine has one, and finish the
    store. Model, pictures and folder must be reachable under the same names everywhere.

    Raises ConfigError where Ray is not installed, and what a worker raised.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("--workers needs Ray: pip install 'chiasm[cluster]'; or start under torchrun") from None
    extraction = request.open("cpu")
    blocks = len(extraction.store.blocks)
    gpus = 1 if torch.cuda.is_available() else 0
    data = ray.data.from_items(list(range(blocks)), override_num_blocks=blocks)
    data.map_batches(
        _RayWorker,
        fn_constructor_args=(request, torch.get_num_threads()),
        batch_size=1,
        concurrency=min(workers, blocks),
        num_gpus=gpus,
    ).materialize()
    return extraction.finish()


class _RayWorker:
    """Opens the model once and does blocks as they come."""

    def __init__(self, request: Request, threads: int):
        torch.set_num_threads(threads)
        self.extraction = request.open(_device(0))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.extraction.run(batch["item"].tolist())
        return batch


def _run(extraction: Extraction, rank: int, world: int) -> None:
    blocks = range(len(extraction.store.blocks))[rank::world]
    pictures = sum(len(extraction.store.shards[shard]) for i in blocks for shard in extraction.store.blocks[i])
    with _progress(extraction.side.name, pictures, show=rank == 0) as advance:
        extraction.run(blocks, advance)


@contextmanager
def _torchrun() -> Iterator[tuple[int, int]]:
    """(rank, world size) under torchrun, (0, 1) alone. The processes only wait for each other, so any backend does."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    dist.init_process_group("gloo", timeout=SLOWEST)
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def _device(number: int) -> str:
    return f"cuda:{number}" if torch.cuda.is_available() else "cpu"


@contextmanager
def _progress(name: str, pictures: int, show: bool) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("pictures"))
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not show) as bar:
        task = bar.add_task(name, total=pictures)
        yield lambda done: bar.advance(task, done)
