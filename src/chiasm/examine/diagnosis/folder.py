"""The folder of a diagnosis: each step is kept as it is finished, so that a stopped run goes on after the last one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import chiasm
from chiasm.data.records import read_json
from chiasm.errors import RunError

MANIFEST, ITEMS, SUMMARY = "manifest.json", "items.jsonl", "diagnosis.json"


def begin(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder, or go on with it. Raises RunError if it holds another diagnosis or anything else, or can't be
    written."""
    manifest = {"format": 2, "kind": "diagnosis", "chiasm": chiasm.__version__, **identity}
    manifest = json.loads(json.dumps(manifest))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} can't be made ({error.strerror}); name another folder") from None
    path = folder / MANIFEST
    if path.exists():
        old = read_json(path)
        different = sorted(key for key in old.keys() | manifest.keys() if old.get(key) != manifest.get(key))
        if different:
            raise RunError(f"{folder} holds another diagnosis (other {', '.join(different)}); name another folder")
    elif any(folder.iterdir()):
        raise RunError(f"{folder} holds something else; name an empty folder for the diagnosis")
    else:
        write(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def kept(folder: Path | None, name: str, make: Callable[[], Any], read: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A finished step from its file, or made now and kept. Raises DataError for a damaged file."""
    if folder is None:
        return make()
    path = folder / f"{name}.json"
    if path.exists():
        return read(read_json(path))
    made = make()
    columns = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(made).items()}
    write(path, json.dumps(columns))
    return made


def write(path: Path, text: str) -> None:
    """In place of the old file in one step. Raises RunError where the disk is full or read-only."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.write_text(text, "utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(
            f"{path} can't be written ({error.strerror}); mend that, and the same command goes on after the last step"
        ) from None
