"""The settings of a training beside its results, so that a folder is only continued with the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.errors import ConfigError
from chiasm.models.checkpoint import read_json
from chiasm.training.state import whole_file


def claim(path: Path, settings: Mapping[str, Any]) -> None:
    """Write `settings` to a JSON file, or check that those in it are equal. Raises ConfigError naming the first five
    that differ."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        return
    there, here = _dotted(read_json(path)), _dotted(json.loads(json.dumps(settings)))
    if different := [key for key in {**there, **here} if there.get(key) != here.get(key)]:
        told = "; ".join(f"{key} was {there.get(key)!r} and is now {here.get(key)!r}" for key in different[:5])
        raise ConfigError(f"{path} is of another training: {told}. Use the same settings or another folder")


def _dotted(node: Any, key: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted keys, written as on the command line; stages go by their names."""
    if key == "stages":
        return {k: v for stage in node for k, v in _dotted(stage, stage["name"]).items()}
    if not isinstance(node, dict):
        return {key: node}
    return {k: v for name, part in node.items() for k, v in _dotted(part, f"{key}.{name}" if key else name).items()}
