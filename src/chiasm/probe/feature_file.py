"""Features of some pictures in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from chiasm.errors import RunError
from chiasm.models.features import Features


def write_features(path: Path, features: Features, ids: Sequence[str]) -> None:
    """Tokens, grids, site and the pictures' ids, but not what the model remembers of them (`Features.context`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"tokens": features.tokens.detach().contiguous(), "grids": torch.tensor(features.grids)}
    save_file(tensors, path, metadata={"site": features.site, "ids": json.dumps(list(ids))})


def read_features(path: Path) -> tuple[Features, list[str]]:
    """Features and ids. Raises RunError for a file that is missing, damaged or of another kind."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            grids = tuple((rows, columns) for rows, columns in file.get_tensor("grids").tolist())
            return Features(file.get_tensor("tokens"), grids, about["site"]), json.loads(about["ids"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path}: no readable file of features ({error})") from None
