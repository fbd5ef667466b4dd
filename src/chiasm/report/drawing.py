"""Charts that are drawn once and shown twice: in a page, in its fonts and light or dark colours, and on paper."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, LINE = "#1c1b19", "#6a665e", "#e5e1d8"
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072b2", "#e08a00", "#00856a", "#b0578d", "#3f9fd6", "#d55e00"
SERIES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
"""After Okabe and Ito 2008: colour-blind readers can tell them apart."""
VARIABLES = {
    INK: "--ink", QUIET: "--quiet", LINE: "--line", BLUE: "--blue", ORANGE: "--orange", GREEN: "--green",
    PURPLE: "--purple", SKY: "--sky", RED: "--red",
}  # fmt: skip
"""Colours of the charts -> those of the page, which has lighter ones for the dark."""
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
WIDTH = 4.6
"""Inches: half of the page, the whole of a phone, and a column of a paper."""


@dataclass(frozen=True)
class Chart:
    """`name` is unique on a page, and the file's on paper; `caption` says how to read it."""

    name: str
    title: str
    caption: str
    figure: Figure

    @property
    def svg(self) -> Markup:
        """To be set into a page: it takes the room it is given, and the page's fonts and colours."""
        buffer = io.StringIO()
        self.save(buffer, "svg")
        svg = buffer.getvalue()
        svg = svg[svg.index("<svg") :]
        head, rest = svg.split(">", 1)
        box = re.search(r'viewBox="[^"]+"', head)
        head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img"'
        rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
        rest = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", rest)
        for colour, variable in VARIABLES.items():
            rest = rest.replace(colour, f"var({variable})")
        # Ids are of one document: those of two charts must differ.
        rest = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", rest)
        return Markup(f"{head}>{rest}")

    def save(self, to: Path | io.StringIO, form: str) -> None:
        import matplotlib

        settings: Any = {
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
            "svg.hashsalt": "chiasm",
            "font.family": "sans-serif",
        }
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with matplotlib.rc_context(settings):
            self.figure.savefig(to, format=form, transparent=True, metadata=dates[form])

    def write(self, folder: Path) -> None:
        """FOLDER/NAME.svg and NAME.pdf."""
        folder.mkdir(parents=True, exist_ok=True)
        for form in ("svg", "pdf"):
            self.save(folder / f"{self.name}.{form}", form)


def blank(height: float = 3.0, width: float = WIDTH) -> tuple[Figure, Axes]:
    """An empty chart of that size in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelsize=9, length=3)
    axes.grid(color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=INK, size=10)
    axes.yaxis.label.set(color=INK, size=10)
    return figure, axes


def label_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each line's name beside its end, (x, y, name, colour), moved apart where two would touch."""
    inverse = axes.transAxes.inverted()
    places = [inverse.transform(axes.transData.transform((x, y)))[1] for x, y, _, _ in ends]
    order = sorted(range(len(ends)), key=lambda i: places[i])
    room = 0.085 * 3.0 / axes.figure.get_size_inches()[1]  # type: ignore[union-attr]
    at = {}
    before = -1.0
    for i in order:
        at[i] = before = max(places[i], before + room)
    overflow = max(0.0, before - 1.0)
    for i, (_, _, name, colour) in enumerate(ends):
        axes.annotate(name, (1.0, at[i] - overflow), xycoords="axes fraction", xytext=(5, 0),
                      textcoords="offset points", color=colour, va="center", fontsize=9)  # fmt: skip
