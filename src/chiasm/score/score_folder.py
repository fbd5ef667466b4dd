"""A score on disk, as a run folder: manifest.json, samples.jsonl (an item a line) and summary.json.

The items keep their sufficient statistics, so that comparing, slicing and another bootstrap need no text and no second
scoring.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chiasm
from chiasm.data.records import read_json, records
from chiasm.errors import DataError, RunError
from chiasm.score.result import Item, Score, Value

MANIFEST, SAMPLES, SUMMARY = "manifest.json", "samples.jsonl", "summary.json"
IDENTITY = ("kind", "task", "dialect", "options", "inputs")
"""The parts of a manifest that must be equal for a folder to be written again."""


def write_score(
    folder: Path | str,
    score: Score,
    inputs: Mapping[str, Path | str],
    options: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> None:
    """Write `score`, made from the files or folders `inputs` ({"predictions": path, ...}) with `options`, whole or not
    at all.

    `command` is the command line that makes the same score again, for reports to show.

    summary.json is written last and makes the folder valid. Writing the score of the same inputs again replaces it.
    Raises RunError if the folder holds anything else of that name, or if an item or value can't be written as JSON, and
    DataError for an input that can't be read.
    """
    folder = Path(folder)
    manifest = {
        "format": 1,
        "kind": "score",
        "chiasm": chiasm.__version__,
        "task": score.task,
        "dialect": score.dialect,
        "options": dict(options or {}),
        "inputs": {role: _fingerprint(path) for role, path in inputs.items()},
        "paths": {role: str(Path(path).absolute()) for role, path in inputs.items()},
        "command": command,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    texts = {
        MANIFEST: _json(manifest, MANIFEST, indent=1) + "\n",
        SAMPLES: "".join(_json(_shallow(item), f"item {item.id!r}") + "\n" for item in score.items),
        SUMMARY: _json(summary(score), SUMMARY, indent=1) + "\n",
    }
    _refuse_other_run(folder, json.loads(texts[MANIFEST]))
    (folder / SUMMARY).unlink(missing_ok=True)
    for name, text in texts.items():
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(text, "utf-8")
        os.replace(unfinished, folder / name)


def summary(score: Score) -> dict[str, Any]:
    """The content of summary.json: every number, without the items, and what those that unparsed answers lower would be
    if these were right."""
    if_right: dict[str, float] = {}
    if score.counts.unparsed:
        from chiasm.score.faults.unparsed import if_unparsed_were_right  # slow to import, and seldom wanted

        if_right = if_unparsed_were_right(score)
    return {
        "task": score.task,
        "dialect": score.dialect,
        **asdict(score.counts),
        "if_unparsed_were_right": if_right,
        "metrics": [asdict(value) | {"slice": dict([value.slice]) if value.slice else None} for value in score.values],
        "notes": list(score.notes),
    }


def read_score(folder: Path | str) -> Score:
    """The score that `write_score` put there; lists stand where it had tuples. Raises RunError for anything else."""
    folder = Path(folder)
    missing = [name for name in (MANIFEST, SAMPLES, SUMMARY) if not (folder / name).exists()]
    if missing:
        raise RunError(f"{folder} has no {' and no '.join(missing)}; is it the finished folder of `chiasm score`?")
    try:
        summed = read_json(folder / SUMMARY)
        rows = [row for _, row in records(folder / SAMPLES)] if summed["items"] else []
        values = [row | {"slice": next(iter((row["slice"] or {}).items()), None)} for row in summed["metrics"]]
        score = Score(
            summed["task"],
            summed["dialect"],
            tuple(Value(**row) for row in values),
            tuple(Item(**row) for row in rows),
            tuple(summed["notes"]),
        )
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder} is damaged, or no folder of `chiasm score` ({error}); score again") from None
    if len(score.items) != summed["items"]:
        raise RunError(f"{folder} is damaged: {len(score.items)} of {summed['items']} items; score again")
    return score


def input_path(folder: Path | str, role: str) -> Path:
    """The file that was scored in this role, for those who must read it again. Raises RunError if it is gone or has
    changed since."""
    manifest = read_json(Path(folder) / MANIFEST)
    path = Path(manifest["paths"][role])
    if not path.exists():
        raise RunError(f"{folder} was scored from {path}, which is no longer there")
    if _fingerprint(path) != manifest["inputs"][role]:
        raise RunError(f"{path} has changed since it was scored into {folder}; score it again")
    return path


def _refuse_other_run(folder: Path, manifest: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RunError(f"{folder} is a file; name a folder for the score") from None
    if not (folder / MANIFEST).exists():
        if (folder / SAMPLES).exists():
            raise RunError(f"{folder} has {SAMPLES} but no {MANIFEST}; name another folder, or empty this one")
        return
    old = read_json(folder / MANIFEST)
    different = [key for key in IDENTITY if not isinstance(old, dict) or old.get(key) != manifest[key]]
    if different:
        raise RunError(
            f"{folder} holds another run (other {', '.join(different)}); name another folder, or delete this one"
        )


def _fingerprint(path: Path | str) -> dict[str, Any]:
    """Of a file, or of all files below a folder with their names."""
    path = Path(path)
    try:
        if not path.is_dir():
            with open(path, "rb") as file:
                return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": os.path.getsize(path)}
        inside = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
        found = {name: _fingerprint(file) for name, file in inside}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    listing = json.dumps(found).encode()
    size = sum(one["bytes"] for one in found.values())
    return {"sha256": hashlib.sha256(listing).hexdigest(), "bytes": size, "files": len(found)}


def _json(content: Any, what: str, indent: int | None = None) -> str:
    try:
        return json.dumps(content, default=_plain, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise RunError(f"{what} can't be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _shallow(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def _shallow(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
