"""The files of a feature store while it is being filled, so that a kill at any moment costs little.

    manifest.json          what the features are of; a store is gone on with only by the same
    shards/00000.*         what is kept of one shard of the pictures (its items are in the file's metadata)
    tokens/00000.*         all its tokens, if they are kept
    sums/00-00003.*        running sums of block 0 over its first 3 shards

Shards are grouped in at most `BLOCKS` blocks of neighbours. A block is done by one process, shard after shard, and sums
are joined in the order of shards and blocks, so any number of processes gives the same bits. A block's sums are large
and written seldom; they say how far it is done. After a kill it goes on from there, and later shards are written anew.

Once all shards are there they are joined to the files that `FeatureStore` reads, and removed.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from chiasm.errors import DataError, RunError
from chiasm.models.checkpoint import read_tensors
from chiasm.probe.pictures import Item, check_ids, duplicates
from chiasm.probe.summaries import RunningSums

MANIFEST, INDEX, ITEMS = "manifest.json", "index.json", "items.jsonl"
FEATURES, STATISTICS = "features.safetensors", "statistics.safetensors"
SHARDS, TOKENS, SUMS = "shards", "tokens", "sums"
FORMAT = 1
BLOCKS = 32
UNFINISHED = ".unfinished-"
BYTES = {"F32": 4, "BF16": 2, "I32": 4}
"""Of a number in the files of a shard."""


class StoreFolder:
    """A store of `count` pictures being filled, `shard` pictures to a shard.

    `identity` is JSON; `notes` may differ when the store is gone on with. Raises RunError if the folder holds
    something else or another store; the message says what differs.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], notes: Mapping[str, Any], count: int, shard: int):
        self.path = path
        starts = range(0, count, shard)
        self.shards = [range(start, min(start + shard, count)) for start in starts]
        length = -(-len(self.shards) // BLOCKS)
        numbers = range(len(self.shards))
        self.blocks = [numbers[start : start + length] for start in range(0, len(numbers), length)]
        if path.is_file():
            raise RunError(f"{path} is a file; name a folder for the features")
        if (path / MANIFEST).is_file():
            found = read_json(path / MANIFEST)
            if differing := _differences(found.get("identity"), json.loads(json.dumps(identity))):
                raise RunError(f"{path} holds other features ({'; '.join(differing)}); name another folder")
        elif path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
            raise RunError(f"{path} is not empty and no feature store (there is no {MANIFEST}); name another folder")
        else:
            self._write(path / MANIFEST, _json_file({"kind": "features", "identity": identity, **notes}))

    @property
    def finished(self) -> bool:
        return (self.path / INDEX).is_file()

    def done(self, block: range) -> int:
        """Shards of a block that need not be done again: its first ones."""
        return len(block) if self.finished else max(self._sums_written(block), default=0)

    def sums(self, block: range, done: int) -> RunningSums:
        """Over the first `done` shards of a block."""
        return RunningSums.of_tensors(read_tensors(self._sums(block, done))) if done else RunningSums()

    def write_shard(self, shard: int, tensors: Mapping[str, Tensor], items: Sequence[Item]) -> None:
        """Tensors called SITE/tokens go into a file of their own."""
        tokens = {name: part for name, part in tensors.items() if name.endswith("/tokens")}
        rest = {name: part for name, part in tensors.items() if name not in tokens}
        if tokens:
            self._write(self.path / TOKENS / f"{shard:05d}.safetensors", partial(save_file, tokens))
        self._write(self._shard(shard), partial(save_file, rest, metadata={"items": json.dumps(items)}))

    def write_sums(self, block: range, done: int, sums: RunningSums) -> None:
        """`sums` is over the first `done` shards of a block, which have been written."""
        self._write(self._sums(block, done), partial(save_file, sums.tensors()))
        for older in self._sums_written(block):
            if older < done:
                self._sums(block, older).unlink()

    def finish(self) -> dict[str, Any]:
        """Join the shards, write the index as the last file, and return it. Raises RunError if a shard is missing."""
        if not self.finished:
            missing = [shard for block in self.blocks for shard in block[self.done(block) :]]
            if missing:
                raise RunError(f"{self.path}: shard {missing[0]} is missing, {len(missing)} in all; extract them first")
            self._join()
        for folder in (SHARDS, SUMS):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for file in self.path.rglob(f"{UNFINISHED}*"):
            file.unlink()
        return read_json(self.path / INDEX)

    def _join(self) -> None:
        shards = [self._shard(shard) for shard in range(len(self.shards))]
        items: list[Item] = []
        for shard in shards:
            with safe_open(shard, "pt") as file:
                items += json.loads(file.metadata()["items"])
        check_ids(items)
        problems = [item for item in items if item["problem"] is not None]
        if len(problems) == len(items):
            raise DataError(f"none of the {len(items)} pictures gave features; of the first: {problems[0]['problem']}")
        self._write(self.path / FEATURES, partial(_concatenate, shards))
        sums = RunningSums()
        for block in self.blocks:
            sums.add(self.sums(block, len(block)))
        self._write(self.path / STATISTICS, partial(save_file, sums.tensors()))
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        self._write(self.path / ITEMS, lambda path: path.write_text(lines, "utf-8"))
        index = {"pictures": len(items), "problems": len(problems), "duplicates": duplicates(items)}
        self._write(self.path / INDEX, _json_file(index))

    def _shard(self, shard: int) -> Path:
        return self.path / SHARDS / f"{shard:05d}.safetensors"

    def _sums(self, block: range, done: int) -> Path:
        return self.path / SUMS / f"{self.blocks.index(block):02d}-{done:05d}.safetensors"

    def _sums_written(self, block: range) -> list[int]:
        """The numbers of first shards over which a block's sums are there: one, or two after a kill."""
        names = (self.path / SUMS).glob(f"{self.blocks.index(block):02d}-*.safetensors")
        return [int(path.stem.partition("-")[2]) for path in names]

    def _write(self, path: Path, write: Callable[[Path], Any]) -> None:
        """A file that is there whole or not at all, also after a power cut. Raises RunError where it can't be written,
        as on a full disk."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Processes that start together all write the manifest, so that each needs a name of its own.
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
            os.close(handle)
            try:
                write(Path(name))
                with open(name, "rb") as file:
                    os.fsync(file.fileno())
                os.chmod(name, 0o644)
                os.replace(name, path)
            except BaseException:
                os.unlink(name)  # on a full disk it takes up room
                raise
        except (OSError, SafetensorError) as error:
            raise RunError(
                f"{path} can't be written ({error}); nothing that was finished is lost: make room, then the same "
                "command goes on from here"
            ) from None


def _concatenate(parts: Sequence[Path], out: Path) -> None:
    """One safetensors file with the tensors of several joined along the first axis, in bounded memory."""
    files = [safe_open(part, "pt") for part in parts]
    names = sorted({name for file in files for name in file.keys()})  # noqa: SIM118 (it is no mapping)
    having = {name: [file for file in files if name in file.keys()] for name in names}  # noqa: SIM118
    header, offset = {}, 0
    for name, those in having.items():
        pieces = [file.get_slice(name) for file in those]
        shapes = [piece.get_shape() for piece in pieces]
        shape = [sum(rows for rows, *_ in shapes), *shapes[0][1:]]
        dtype = pieces[0].get_dtype()
        end = offset + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as file_out:
        file_out.write(struct.pack("<Q", len(text)) + text)
        for name, those in having.items():
            for file in those:
                file_out.write(file.get_tensor(name).contiguous().view(torch.uint8).numpy())


def read_json(path: Path) -> Any:
    """Raises RunError for a damaged file."""
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); delete {path.parent} and extract again") from None


def _json_file(content: Any) -> Callable[[Path], Any]:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return lambda path: path.write_text(text, "utf-8")


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))]
    return [] if old == new else [f"{where}: {old!r} there, {new!r} now"]
