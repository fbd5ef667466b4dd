"""E_pre of a frozen encoder, computed once and read from disk in every later epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file

from chiasm.data.images import open_image
from chiasm.errors import ConfigError
from chiasm.models.checkpoint import new_folder, unique_weights
from chiasm.models.features import Features
from chiasm.models.vlm import VLM
from chiasm.training import distributed
from chiasm.training.stage import Stage
from chiasm.types import Dataset

CHUNK = 64
"""Pictures encoded together. The chunks are the same whoever asks, so a picture's features never depend on it."""


def stored_features(model: VLM, dataset: Dataset, folder: Path, stage: Stage) -> Callable[[Sequence[int]], Features]:
    """Encode the whole dataset, or find it encoded, and return a look-up by example index.

    The store is named after the encoder's weights, the dataset and the precision. Raises ConfigError for an encoder
    that is being trained: its features would grow old.
    """
    if any(p.requires_grad for p in model.encoder.parameters()):
        raise ConfigError(f"stage {stage.name!r} trains the encoder, so its features can't be stored")
    folder = folder / _key(model, dataset, stage.precision)
    chunks = range(0, len(dataset), CHUNK)
    # Shared out before anybody looks: a process must not miss a chunk because another one was faster.
    mine = chunks[distributed.rank() :: distributed.world()]
    missing = [start for start in mine if not _chunk(folder, start).is_dir()]
    for start in track(missing, f"{stage.name}: encoding", disable=distributed.rank() > 0):
        examples = [dataset[i] for i in range(start, min(start + CHUNK, len(dataset)))]
        device = model.encoder.positions.device.type
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=stage.precision == "bf16"):
            features = model.encode([open_image(e.image, name=e.id) for e in examples])
        with new_folder(_chunk(folder, start)) as part:
            tensors = {str(start + i): tokens.clone() for i, tokens in enumerate(features.split())}
            grids = {str(start + i): f"{rows}x{columns}" for i, (rows, columns) in enumerate(features.grids)}
            save_file(tensors, part / "features.safetensors", metadata=grids)
    distributed.wait()
    files = {start: safe_open(_chunk(folder, start) / "features.safetensors", "pt") for start in chunks}
    grid_texts = {start: file.metadata() for start, file in files.items()}

    def look_up(indices: Sequence[int]) -> Features:
        tokens, grids = [], []
        for i in indices:
            start = i // CHUNK * CHUNK
            tokens.append(files[start].get_tensor(str(i)))
            rows, columns = grid_texts[start][str(i)].split("x")
            grids.append((int(rows), int(columns)))
        return Features(torch.cat(tokens), tuple(grids), "encoder")

    return look_up


def _chunk(folder: Path, start: int) -> Path:
    return folder / f"{start:07d}"


def _key(model: VLM, dataset: Dataset, precision: str) -> str:
    digest = hashlib.sha256(f"{dataset.fingerprint()} {precision}".encode())
    for name, tensor in unique_weights(model.encoder).items():
        digest.update(name.encode() + tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
