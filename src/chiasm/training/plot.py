"""The loss of every stage, as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SMOOTH = 0.02
"""Width of the running mean, as a share of a stage's steps."""


def loss_plot(folder: Path, stages: Sequence[str]) -> Path:
    """Draw each stage's log.jsonl into FOLDER/loss.svg: raw values faint, their running mean on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(stages), 3.2), layout="constrained")
    for axes, stage in zip(np.atleast_1d(figure.subplots(1, len(stages))), stages, strict=True):
        rows = [json.loads(line) for line in (folder / stage / "log.jsonl").read_text("utf-8").splitlines()]
        names = (
            [key for key in rows[0] if key not in ("stage", "step", "gradient norm", "images_per_s")] if rows else []
        )
        steps = [row["step"] for row in rows]
        tops = []
        for name in names:
            values = np.array([row[name] for row in rows])
            line = axes.plot(steps, values, linewidth=0.5, alpha=0.3)[0]
            smooth = _running_mean(values)
            axes.plot(steps, smooth, color=line.get_color(), linewidth=1.5, label=name)
            tops.append(smooth[len(smooth) // 20 :].max())
        axes.set_title(stage)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        # The first steps from random weights would squash all that follows.
        axes.set_ylim(0, 1.15 * max(tops, default=1.0))
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    path = folder / "loss.svg"
    figure.savefig(path)
    return path


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a centred window that shrinks towards the ends."""
    half = max(1, round(len(values) * SMOOTH / 2))
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(0, places - half), np.minimum(len(values), places + half + 1)
    return (total[high] - total[low]) / (high - low)
