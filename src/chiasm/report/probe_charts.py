"""One function a kind of chart: from what probes wrote to a drawn figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm.probe.result import Measurement, Yardstick
from chiasm.report import drawing
from chiasm.report.drawing import BLUE, GREEN, INK, ORANGE, QUIET, SERIES, Chart, blank, label_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 3
"""Lines that are named at their ends; more are named above."""
ROW = 0.27
"""Inches of a row."""
MOST_TICKS = 6
YARDSTICKS = {"null": ("x", QUIET), "ceiling": ("|", GREEN), "control": ("D", ORANGE)}


def overlap_chart(name: str, curve: Mapping[str, Any]) -> Chart:
    """KNOR at every k with its null, ceiling and control."""
    figure, axes = blank()
    parts = {
        "overlap": ("overlap", BLUE, "-"),
        "ceiling": ("ceiling", GREEN, "--"),
        "control": ("untrained", ORANGE, "-."),
        "null": ("null", QUIET, ":"),
    }
    ends = []
    for part, (label, colour, dash) in parts.items():
        if part not in curve:
            continue
        values = np.array(curve[part]["value"])
        k = np.arange(1, len(values) + 1)
        axes.plot(k, values, color=colour, linestyle=dash, linewidth=1.8 if part == "overlap" else 1.3)
        if "low" in curve[part]:
            axes.fill_between(k, curve[part]["low"], curve[part]["high"], color=colour, alpha=0.2, linewidth=0)
        ends.append((k[-1], values[-1], label, colour))
    axes.set(xlim=(1, len(curve["overlap"]["value"])), ylim=(0, 1), xlabel="k, nearest neighbours",
             ylabel="share of neighbours kept")  # fmt: skip
    label_ends(axes, ends)
    first, second = curve["sites"]
    return Chart(
        name,
        f"{first} → {second}, {curve['scaling']}",
        f"Share of a picture's k nearest neighbours at {first} that are among its k nearest at {second} (KNOR; "
        f"{curve['metric']} distance, {curve['scaling']} vectors). Bands: 95 %.",
        figure,
    )


def spectra_chart(name: str, rows: Sequence[Mapping[str, Any]], of: str) -> Chart:
    """Energy by component at every site; `of` is "picture" or "dataset"."""
    figure, axes = blank()
    ends = []
    for number, row in enumerate(rows):
        shares = 100 * np.array(row[of])
        shares = shares[shares > 1e-4 * shares.max()] if len(shares) else shares
        if not len(shares):
            continue
        colour = SERIES[number % len(SERIES)]
        axes.plot(
            np.arange(1, len(shares) + 1), shares, color=colour, linestyle=drawing.DASHES[number % len(drawing.DASHES)]
        )
        ends.append((len(shares), shares[-1], row["site"], colour))
    axes.set(xscale="log", yscale="log", xlabel="component, strongest first", ylabel="share of the energy, %")
    _plain_ticks(axes)
    _legend(axes, ends)
    what = "each picture's own tokens, mean over pictures" if of == "picture" else "tokens of all pictures together"
    title = "Spectrum of a picture" if of == "picture" else "Spectrum of the dataset"
    return Chart(name, title, f"Share of the energy (squared singular values) in each component of {what}.", figure)


def dots_chart(
    name: str,
    title: str,
    rows: Sequence[tuple[str, Measurement]],
    unit: str,
    caption: str = "",
    logarithmic: bool = False,
) -> Chart | None:
    """A measurement a row, with its interval and yardsticks; None where no row has a value."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    rows = [(label, one) for label, one in rows if one.value is not None]
    if not rows:
        return None
    figure, axes = blank(0.95 + ROW * len(rows))
    axes.grid(visible=False, axis="y")
    known: dict[str, None] = {}
    for row, (_, one) in enumerate(rows):
        for yardstick, (marker, colour) in YARDSTICKS.items():
            at: Yardstick | None = getattr(one, yardstick)
            if at is None:
                continue
            known[yardstick] = None
            size = 9 if marker == "|" else 6
            axes.plot(at.value, row, marker=marker, color=colour, markersize=size, markerfacecolor="none")
            if at.low is not None and at.high is not None:
                axes.plot([at.low, at.high], [row, row], color=colour, linewidth=1, alpha=0.6)
        if one.ci_low is not None and one.ci_high is not None:
            axes.plot([one.ci_low, one.ci_high], [row, row], color=BLUE, linewidth=3, alpha=0.45)
        axes.plot(float(one.value or 0), row, marker="o", color=BLUE, markersize=5, linestyle="")
    axes.set(yticks=range(len(rows)), yticklabels=[label for label, _ in rows], ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel(unit)
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.margins(x=0.06)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS))
    handles = [_mark("o", BLUE, "measured, 95 %"), *(_mark(*YARDSTICKS[one], one) for one in known)]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=8.5, frameon=False,
                  labelcolor=INK, handletextpad=0.2, columnspacing=1.2, borderpad=0)  # fmt: skip
    return Chart(name, title, caption, figure)


def lines_chart(
    name: str,
    title: str,
    caption: str,
    series: Mapping[str, Sequence[tuple[float, Measurement]]],
    labels: tuple[str, str],
    logarithmic: bool = False,
    references: Mapping[str, tuple[Yardstick | None, str]] | None = None,
) -> Chart | None:
    """Measurements against a number, a line a series, with `references` as level lines; None where none has a value."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = blank(3.0 if len(series) <= MOST_LABELS else 3.6)
    ends = []
    for number, (label, points) in enumerate(series.items()):
        there = sorted(((x, one) for x, one in points if one.value is not None), key=lambda point: point[0])
        if not there:
            continue
        x = np.array([x for x, _ in there])
        colour, marker = SERIES[number % len(SERIES)], drawing.MARKERS[number % len(drawing.MARKERS)]
        low, high = (np.array([np.nan if (at := getattr(one, end)) is None else at for _, one in there])
                     for end in ("ci_low", "ci_high"))  # fmt: skip
        values = np.array([one.value for _, one in there], dtype=float)
        axes.plot(
            x,
            values,
            color=colour,
            marker=marker,
            markersize=4,
            linestyle=drawing.DASHES[number % len(drawing.DASHES)],
            label=label,
        )
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        ends.append((x[-1], values[-1], label, colour))
    if not ends:
        return None
    for label, (yardstick, colour) in (references or {}).items():
        if yardstick is not None:
            axes.axhline(yardstick.value, color=colour, linewidth=1, linestyle=":")
            ends.append((axes.get_xlim()[1], yardstick.value, label, colour))
    axes.set(xlabel=labels[0], ylabel=labels[1])
    if all(x == int(x) for points in series.values() for x, _ in points):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if logarithmic:
        axes.set_xscale("log")
        ticks = sorted({x for points in series.values() for x, _ in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.minorticks_off()
    if len(series) > MOST_LABELS:
        lines = {line.get_label(): line for line in axes.get_lines()}
        figure.legend(handles=[lines[label] for label in series if label in lines], loc="outside upper left", ncols=4,
                      fontsize=8.5, frameon=False, labelcolor=INK, columnspacing=1.2, borderpad=0)  # fmt: skip
        ends = [end for end in ends if end[2] not in series]
    label_ends(axes, ends)
    return Chart(name, title, caption, figure)


def _plain_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def _legend(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names in the lower left corner, which a falling curve leaves free."""
    for number, (_, _, name, colour) in enumerate(reversed(ends)):
        axes.annotate(name, (0.04, 0.06 + 0.09 * number), xycoords="axes fraction", color=colour, fontsize=9)


def _mark(marker: str, colour: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    filled = colour if marker == "o" else "none"
    return Line2D([], [], marker=marker, color=colour, markerfacecolor=filled, linestyle="", markersize=5, label=label)
