"""What the probe commands keep and print: measurements with their yardsticks, as a table or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from chiasm.probe.result import Measurement
    from chiasm.types import Dataset


def report_measurements(
    path: Path,
    found: Sequence[Measurement],
    model: str,
    dataset: Dataset,
    pictures: int,
    as_json: bool,
    shown: Sequence[Measurement] | None = None,
) -> None:
    """Keep all measurements in a file and print them, or the table of those to be `shown`."""
    from chiasm.probe.measurement_file import write_measurements

    made_of = {"model": model, "dataset": dataset.name, "fingerprint": dataset.fingerprint(), "pictures": pictures}
    write_measurements(path, found, made_of)
    title = f"{model}, {pictures} pictures of {dataset.name}"
    print_measurements(found if as_json or shown is None else shown, title, as_json)
    if not as_json:
        typer.echo(f"all {len(found)} measurements: {path}")


def print_measurements(measurements: Sequence[Measurement], title: str, as_json: bool = False) -> None:
    """A row a measurement, grouped by sites, with the flags below; or one JSON array. Those called "METRIC WHAT" are
    grouped by metric too, where there are several of one."""
    if as_json:
        print(json.dumps([asdict(m) for m in measurements], ensure_ascii=False))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from chiasm.probe.result import named_flags

    yardsticks = [name for name in ("null", "ceiling", "control") if any(getattr(m, name) for m in measurements)]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("measurement", overflow="fold")
    for column in ("value", "95 % interval", *yardsticks):
        table.add_column(column, justify="right", no_wrap=True)
    groups: dict[str, list[tuple[str, Measurement]]] = {}
    several = len({one.settings.get("scaling") for one in measurements}) > 1
    of_metric = Counter((one.sites, one.name.partition(" ")[0]) for one in measurements if " " in one.name)
    for one in measurements:
        scaling = f" ({one.settings['scaling']})" if several and "scaling" in one.settings else ""
        metric, _, what = one.name.partition(" ")
        if of_metric[one.sites, metric] == 1:
            metric, what = one.name, ""
        section = " → ".join(one.sites) + scaling + (f": {metric}" if what else "")
        groups.setdefault(section, []).append((what or metric, one))
    for section, those in groups.items():
        table.add_section()
        table.add_row(section, style="bold")
        for name, one in those:
            interval = "" if one.ci_low is None else f"{shown(one.ci_low)} to {shown(one.ci_high)}"
            known = [getattr(one, yardstick) for yardstick in yardsticks]
            cells = [shown(yardstick.value) if yardstick else "-" for yardstick in known]
            table.add_row(f" {name}", shown(one.value), interval, *cells)
    console = Console()
    console.print(table, markup=False)
    counts = dict.fromkeys(f"{one.n} items in {one.clusters} clusters" for one in measurements)
    console.print(f"n: {'; '.join(counts)}", markup=False, highlight=False)
    for name in yardsticks:
        methods = dict.fromkeys(y.method for one in measurements if (y := getattr(one, name)) and y.method)
        console.print(f"{name}: {'; '.join(methods)}", markup=False, highlight=False)
    for flag in named_flags(measurements):
        console.print(f"note: {flag}", markup=False, highlight=False)


def shown(value: float | None) -> str:
    """Three decimals, fewer for large numbers, more for small ones."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.3f}" if size >= 0.0005 or not size else f"{value:.1e}"
