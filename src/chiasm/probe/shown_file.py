"""What a page shows beside the measurements of a probe (curves, neighbours, maps), as a JSON file of its own kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import chiasm

Kind = Literal["overlap curves", "spectra", "neighbours", "recovery maps"]
FILES: Mapping[Kind, str] = {
    "overlap curves": "overlap_curves.json",
    "spectra": "spectra.json",
    "neighbours": "neighbours.json",
    "recovery maps": "recovery_maps.json",
}
PICTURES = "pictures"
"""Folder beside the file, with the pictures that it names."""


def write_shown(folder: Path, kind: Kind, rows: Sequence[Mapping[str, Any]]) -> Path:
    """`rows` is JSON: one object for each curve, gallery or map. Returns the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[kind]
    content = {"kind": kind, "chiasm": chiasm.__version__, "rows": list(rows)}
    path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path
