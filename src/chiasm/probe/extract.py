"""Features of many pictures at several sites of a model's vision side, into a store, in one pass."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

import chiasm
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.probe.pictures import Item, Opened, open_item
from chiasm.probe.store_folder import FORMAT, StoreFolder
from chiasm.probe.summaries import RunningSums, Tensors, summarise
from chiasm.probe.vision_side import DTYPES, VisionSide
from chiasm.types import Dataset

SAMPLE = 16384
"""Tokens that are kept of all pictures together, or a few more."""
SHARD = 256
"""Pictures whose features are in memory until they are written."""
SUMS_EVERY = 30.0
"""Seconds, and the shard that they end in: what a kill can cost."""
READERS = 4
Advance = Callable[[int], object]


class Extraction:
    """Takes the features of `side` at `sites` (see `VisionSide.chosen`) of a dataset's pictures into `folder`.

    size     side in pixels of the square that every picture is squeezed to first; None leaves it to the model
    tokens   keep every token, not only a sample
    sample   tokens to sample, shared out equally among the pictures: at least one of each
    seed     of the sample
    limit    only the first pictures
    batch    pictures given to the model at a time
    shard    pictures written at a time

    A folder with part of the same store is gone on with. Raises RunError where it holds anything else, ConfigError for
    a site that the model lacks and for numbers below 1, DataError where there is no picture.
    """

    def __init__(
        self,
        side: VisionSide,
        dataset: Dataset,
        folder: Path,
        *,
        sites: Sequence[str] = (),
        size: int | None = None,
        tokens: bool = False,
        sample: int = SAMPLE,
        seed: int = 0,
        limit: int | None = None,
        batch: int = 16,
        shard: int = SHARD,
    ):
        for name, value in {"size": size, "sample": sample, "limit": limit, "batch": batch, "shard": shard}.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")
        count = len(dataset) if limit is None else min(limit, len(dataset))
        if not count:
            raise DataError(f"{dataset.name} holds no picture")
        self.side, self.dataset, self.sites = side, dataset, side.chosen(sites)
        self.size, self.tokens, self.seed, self.batch = size, tokens, seed, batch
        self.sample = -(-sample // count)
        identity = {
            "format": FORMAT,
            "weights": side.weights,
            "preprocessing": side.preprocessing,
            "precision": side.precision,
            "sites": list(self.sites),
            "size": size or "native",
            "tokens": tokens,
            "sample_of_each": self.sample,
            "seed": seed,
            "shard": shard,
            "pictures": {"name": dataset.name, "fingerprint": dataset.fingerprint(), "count": count},
        }
        notes = {
            "model": side.name,
            "batch": batch,
            "versions": {
                "chiasm": chiasm.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        self.store = StoreFolder(folder, identity, notes, count, shard)

    def run(self, blocks: Iterable[int] | None = None, advance: Advance = lambda pictures: None) -> None:
        """Do what is left of the given blocks, or of all. `advance` is told of every few pictures done, those of an
        earlier run included. Raises RunError where the disk is full."""
        chosen = self.store.blocks if blocks is None else [self.store.blocks[i] for i in blocks]
        for block in chosen:
            done = self.store.done(block)
            advance(sum(len(self.store.shards[shard]) for shard in block[:done]))
            if done == len(block):
                continue
            sums, written = self.store.sums(block, done), time.monotonic()
            for number, shard in enumerate(block[done:], done + 1):
                items, tensors = self._shard(self.store.shards[shard], sums, advance)
                self.store.write_shard(shard, tensors, items)
                if number == len(block) or time.monotonic() - written >= SUMS_EVERY:
                    self.store.write_sums(block, number, sums)
                    written = time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Join the shards once all are there. The index: number of `pictures`, of `problems` among them, and groups
        of `duplicates`."""
        return self.store.finish()

    def _shard(self, pictures: range, sums: RunningSums, advance: Advance) -> tuple[list[Item], Tensors]:
        """Items and tensors to be written; all tokens are added to `sums`."""
        items: list[Item] = []
        batches: list[Tensors] = []
        for opened in self._opened(pictures):
            items += [each.item for each in opened]
            shown = [each for each in opened if each.image is not None]
            if shown:
                features = self.side.capture([each.image for each in shown if each.image is not None], self.sites)
                features, used = _without_damaged(features, [each.item for each in shown])
                if used:
                    batches.append(self._kept(features, used))
                    sums.add_features(features)
            advance(len(opened))
        names = batches[0] if batches else ()
        return items, {name: torch.cat([each[name] for each in batches]) for name in names}

    def _kept(self, features: dict[str, Features], items: Sequence[Item]) -> Tensors:
        dtype = DTYPES[self.side.precision]
        kept = summarise(features, [item["sha256"] for item in items], self.sample, self.seed, dtype)
        if self.tokens:
            kept |= {f"{site}/tokens": at.tokens.to("cpu", dtype) for site, at in features.items()}
        return kept

    def _opened(self, pictures: range) -> Iterator[list[Opened]]:
        """The pictures in batches, the next of which is read while the last is used."""
        with ThreadPoolExecutor(READERS) as readers:
            batches = [pictures[start : start + self.batch] for start in range(0, len(pictures), self.batch)]
            ahead = [readers.submit(self._open, index) for index in batches[0]]
            for following in [*batches[1:], ()]:
                reading, ahead = ahead, [readers.submit(self._open, index) for index in following]
                yield [future.result() for future in reading]

    def _open(self, index: int) -> Opened:
        return open_item(self.dataset[index], self.size)


def _without_damaged(features: dict[str, Features], items: Sequence[Item]) -> tuple[dict[str, Features], list[Item]]:
    """The features of pictures without NaN or infinity, and their items; the others' items are told why."""
    for site, at in features.items():
        if bool(torch.isfinite(at.tokens.sum())):
            continue
        for item, part in zip(items, at.split(), strict=True):
            if item["problem"] is None and not bool(torch.isfinite(part).all()):
                item["problem"] = f"the model's features at {site} hold NaN or infinity"
    good = [i for i, item in enumerate(items) if item["problem"] is None]
    if len(good) == len(items) or not good:
        return features, [items[i] for i in good]
    return {site: at.select(good) for site, at in features.items()}, [items[i] for i in good]
