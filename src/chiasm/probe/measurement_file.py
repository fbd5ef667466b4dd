"""Measurements as a JSON file, with what they were made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import chiasm
from chiasm.errors import RunError
from chiasm.probe.result import Measurement, Yardstick

KIND = "measurements"
_YARDSTICKS = ("null", "ceiling", "control")


def write_measurements(path: Path, measurements: Sequence[Measurement], made_of: Mapping[str, Any]) -> None:
    """`made_of` says of which model, pictures and settings; the folder is made where it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "kind": KIND,
        "chiasm": chiasm.__version__,
        "made_of": dict(made_of),
        "measurements": [as_dict(measurement) for measurement in measurements],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """What `write_measurements` wrote. Raises RunError for any other file."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["kind"] != KIND:
            raise KeyError(KIND)
        return tuple(_measurement(fields) for fields in content["measurements"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is no file of measurements ({error}); `chiasm probe` writes them") from None


def as_dict(measurement: Measurement) -> dict[str, Any]:
    return {**asdict(measurement), "settings": dict(measurement.settings)}


def _measurement(fields: dict[str, Any]) -> Measurement:
    yardsticks = {name: Yardstick(**fields[name]) if fields[name] else None for name in _YARDSTICKS}
    lists = {name: tuple(fields[name]) for name in ("sites", "flags")}
    return Measurement(**{**fields, **yardsticks, **lists})
