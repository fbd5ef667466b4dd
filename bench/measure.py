"""Side-by-side timing in one process: ours, the peer, ours, the peer, ... and the table that the medians go into."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")
HEADINGS = ("what", "peer", "ours", "peer's", "ratio", "aim")


@dataclass(frozen=True)
class Row:
    """One line of a table. A `unit` of ".../s" is a speed, more is better; any other is a time, less is better.

    ratio   how many times better ours is: the ratio of medians, then the quartiles of the rounds' own ratios
    aim     the least ratio wanted or, where there is no peer, the bound on `ours`
    """

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    ratio: tuple[float, float, float] | None = None
    aim: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Texts in the order of HEADINGS."""
        theirs = f"{_three_digits(self.theirs)} {self.unit}" if self.theirs is not None else ""
        ratio = "{:.2f}x ({:.2f} to {:.2f})".format(*self.ratio) if self.ratio is not None else ""
        return self.what, self.peer, f"{_three_digits(self.ours)} {self.unit}", theirs, ratio, self._aim()

    def _aim(self) -> str:
        if self.aim is None:
            return ""
        if self.ratio is not None:
            text, reached = f"at least {self.aim:g}x", self.ratio[0] >= self.aim
        elif self.unit.endswith("/s"):
            text, reached = f"at least {self.aim:g} {self.unit}", self.ours >= self.aim
        else:
            text, reached = f"at most {self.aim:g} {self.unit}", self.ours <= self.aim
        return f"{text}: {'reached' if reached else 'missed'}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def interleaved(repeats: int, *calls: Callable[[], object], warm_up: bool = True) -> np.ndarray:
    """Seconds of each call in each round, (repeats, calls), after a round to warm up. Taking turns, all calls meet the
    same disturbances."""
    seconds = np.empty((repeats, len(calls)))
    if warm_up:
        for call in calls:
            call()
    for taken in seconds:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            taken[i] = time.perf_counter() - start
    return seconds


def beside(
    what: str,
    peer: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    amount: float | None = None,
    unit: str = "ms",
    aim: float | None = None,
) -> Row:
    """Two columns of `interleaved`, side by side. With `amount`, what one call works off, they are shown as `unit` =
    amount a second."""
    medians = np.median([ours, theirs], axis=1)
    low, high = np.quantile(theirs / ours, [0.25, 0.75])
    shown = amount / medians if amount is not None else medians * 1000
    ratio = (float(medians[1] / medians[0]), float(low), float(high))
    return Row(what, unit, float(shown[0]), peer, float(shown[1]), ratio, aim)


def compare(
    what: str,
    peer: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    repeats: int,
    warm_up: bool = True,
    **shown: Any,
) -> Row:
    """Time both calls; `shown` as in `beside`."""
    return beside(what, peer, *interleaved(repeats, ours, theirs, warm_up=warm_up).T, **shown)


def options(description: str | None, repeats: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds; the table shows medians over them")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file that the rows go into, beside other scripts'")
    return parser.parse_args()


def publish(name: str, title: str, notes: str, rows: Sequence[Row], file: Path) -> None:
    """Print the table and put it under `name` into a JSON file, from which `report.py` makes docs/bench.md."""
    table = Table(*HEADINGS, title=title, caption=f"{notes}\n{machine()}", title_justify="left", caption_justify="left")
    for row in rows:
        table.add_row(*row.cells())
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    sections = json.loads(file.read_text("utf-8")) if file.exists() else {}
    sections[name] = {"title": title, "notes": notes, "machine": machine(), "rows": [asdict(row) for row in rows]}
    file.write_text(json.dumps(sections, indent=2, ensure_ascii=False) + "\n", "utf-8")


def machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return (
        f"{_cpu()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads; "
        f"Python {platform.python_version()}, {libraries}"
    )


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
