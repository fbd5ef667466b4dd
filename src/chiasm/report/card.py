"""A model card from what happened: the recipe that was followed, its logs, and the runs that examined the result."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import chiasm
from chiasm.errors import RunError
from chiasm.examine.run_folder import read_manifest, read_summary

HEADLINE = (
    "scene.accuracy", "answer.exact", "existence.f1", "detect.recall", "detect.precision", "ground.acc@0.5",
    "ground.iou", "caption.hallucinated", "caption.coverage",
)  # fmt: skip
"""Metrics in the card's table, where a run has them."""
SLICED = {"answer.exact": "kind", "existence.f1": "variant", "detect.recall": "object_size"}
"""Metrics that are also listed by slice."""


def model_card(training: Path, runs: Sequence[Path], limits: str = "", machine: str = "") -> str:
    """Markdown with the command, data, steps and time of `training` (a folder of `chiasm train`) and the numbers of
    `runs` (folders of `chiasm examine`), each with its 95 % interval. `limits` says what the model cannot do.

    Raises RunError for a training folder that is not finished.
    """
    path = training / "recipe.json"
    if not path.is_file() or not (training / "model" / "config.json").is_file():
        raise RunError(f"{training} is not a finished training folder; `chiasm train` makes one")
    recipe = json.loads(path.read_text("utf-8"))
    config = json.loads((training / "model" / "config.json").read_text("utf-8"))
    weights = training / "model" / "model.safetensors"
    parts = [
        f"# {recipe['name']}",
        f"A vision-language model trained by Chiasm {chiasm.__version__} on `{recipe['data']}`: "
        f"{_parameters(recipe, weights):.1f} M parameters, stored as {recipe['store']} in "
        f"{weights.stat().st_size / 1e6:.1f} MB.",
        "## How it was made",
        f"```\nchiasm train {recipe['name']} --out RUN\n```",
        _stages(training, recipe, machine),
        "Model: "
        + "; ".join(f"{part} {_words(config[part])}" for part in ("encoder", "connector", "decoder", "fusion")),
        "## What it is asked",
        "\n".join(f"- {task}: `{prompt}`" for task, prompt in recipe["prompts"].items()),
        "## How well it does",
        "Per cent with 95 % intervals, bootstrapped over pictures; the name of the metric is that of `summary.json`.",
        _results(runs),
    ]
    if limits:
        parts += ["## What it cannot do", limits]
    return "\n\n".join(parts) + "\n"


def _parameters(recipe: Mapping[str, Any], weights: Path) -> float:
    """Millions, from the size of the weights alone: a header of some kilobytes is all else in the file."""
    return weights.stat().st_size / (2 if recipe["store"] == "bf16" else 4) / 1e6


def _words(settings: Mapping[str, Any]) -> str:
    return f"{settings['kind']} (" + ", ".join(f"{k} {v}" for k, v in settings.items() if k != "kind") + ")"


def _stages(training: Path, recipe: Mapping[str, Any], machine: str) -> str:
    heads = ("stage", "learns", "objective", "data", "steps", "pictures a step", "minutes")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    total = 0.0
    for stage in recipe["stages"]:
        last = json.loads((training / stage["name"] / "log.jsonl").read_text("utf-8").splitlines()[-1])
        minutes = stage["steps"] * stage["batch"] / last["images_per_s"] / 60
        total += minutes
        learns = ", ".join(pattern for pattern, how in stage["train"] if how != "frozen")
        data, counts = stage["data"] or recipe["data"], (stage["steps"], stage["batch"], f"{minutes:.0f}")
        cells = (stage["name"], f"`{learns}`", stage["objective"], f"`{data}`", *counts)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    where = machine or f"{os.cpu_count()} CPU cores"
    return "\n".join(lines) + f"\n\n{total:.0f} minutes in all, on {where}."


def _results(runs: Sequence[Path]) -> str:
    names = [read_manifest(run)["dataset"]["name"] for run in runs]
    tables = [_by_key(read_summary(run)) for run in runs]
    pictures = [read_summary(run)["images"] for run in runs]
    heads = [f"{name} ({count} pictures)" for name, count in zip(names, pictures, strict=True)]
    lines = ["| metric | " + " | ".join(heads) + " |", "|---" * (len(runs) + 1) + "|"]
    for metric in HEADLINE:
        keys: list[tuple[str, str]] = [(metric, "")]
        if metric in SLICED:
            found = {key[1] for table in tables for key in table if key[0] == metric}
            keys += [(metric, label) for label in sorted(found) if label.startswith(f"{SLICED[metric]} ")]
        for key in keys:
            if any(key in table for table in tables):
                title = f"`{metric}`" if not key[1] else f"&nbsp;&nbsp;{key[1]}"
                lines.append(f"| {title} | " + " | ".join(_cell(table.get(key)) for table in tables) + " |")
    return "\n".join(lines)


def _by_key(summary: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Entries by metric and slice, as in ("answer.exact", "kind count"); the slice is empty for the whole."""
    return {
        (entry["metric"], " ".join(*(entry["slice"] or {"": ""}).items()).strip()): entry
        for entry in summary["metrics"]
    }


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return "-"
    low, high = entry["ci_low"], entry["ci_high"]
    interval = "" if low is None else f" ({100 * low:.1f} – {100 * high:.1f})"
    return f"{100 * entry['value']:.1f}{interval}, n {entry['n']}"
