"""Pictures as figures for paper: neighbours before and after, and where recovery fails."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from chiasm.report.drawing import BLUE, INK, QUIET, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = 0.8
"""Inches of a picture."""


def neighbours_chart(name: str, gallery: Mapping[str, Any]) -> Chart:
    """A row a picture: the picture, its neighbours before, and those after; shared ones are framed."""
    from matplotlib.figure import Figure

    rows = gallery["rows"]
    count = len(rows[0]["before"])
    figure = Figure(figsize=(CELL * (2 * count + 2), CELL * 1.12 * len(rows) + 0.4), layout="constrained")
    widths = [1.0, 0.15, *[1.0] * count, 0.15, *[1.0] * count]
    grid = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
    for axes_row, row in zip(grid, rows, strict=True):
        cells = [row["picture"], None, *row["before"], None, *row["after"]]
        for axes, cell in zip(axes_row, cells, strict=True):
            _picture(axes, cell)
        axes_row[0].set_title(
            f"keeps {gallery['k'] * row['kept']:.0f} of {gallery['k']}", fontsize=7, color=QUIET, pad=2
        )
    first, second = gallery["sites"]
    grid[0][2].set_title(f"nearest at {first}", fontsize=9, color=INK, loc="left")
    grid[0][3 + count].set_title(f"nearest at {second}", fontsize=9, color=INK, loc="left")
    return Chart(name, f"Neighbours, {first} → {second}", "", figure)


def maps_chart(name: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Each picture beside the error of its tokens, on one scale."""
    from matplotlib.figure import Figure

    across = 3
    down = -(-len(rows) // across)
    figure = Figure(figsize=(2 * across * 1.15, 1.25 * down + 0.2), layout="constrained")
    grid = figure.subplots(down, 2 * across, squeeze=False)
    drawn = None
    for axes in grid.ravel():
        axes.axis("off")
    for place, row in enumerate(rows):
        left, right = grid[place // across][2 * (place % across) :][:2]
        _picture(left, row)
        drawn = right.imshow(np.array(row["error"]), cmap="magma", vmin=0, vmax=row["top"])
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid, shrink=0.6, aspect=30)
        bar.set_label("error of a token; 1: as the mean token", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return Chart(name, "Where recovery fails", "", figure)


def _picture(axes: Axes, cell: Mapping[str, Any] | None) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if cell is None or not cell["source"]:
        return
    axes.imshow(np.asarray(Image.open(io.BytesIO(base64.b64decode(cell["source"].partition(",")[2])))))
    if cell.get("shared"):
        axes.spines[:].set(visible=True, color=BLUE, linewidth=2.5)
