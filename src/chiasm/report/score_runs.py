"""The runs that a page of scores is about, and the few words and numbers that all its parts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

from chiasm.data.records import read_json
from chiasm.errors import DataError, RunError
from chiasm.examine.compare_runs import named_runs
from chiasm.examine.slice_run import REASONS
from chiasm.score.bootstrap import Table
from chiasm.score.derived_slices import with_derived_slices
from chiasm.score.faults import TASKS, Fault, FaultCost, fault_costs, find_faults
from chiasm.score.measure import Measure
from chiasm.score.measures import measures_of
from chiasm.score.result import Score, Value
from chiasm.score.score_folder import MANIFEST, read_score

MOST_LABELS = 100
_MAIN = ("cider_d",)
"""Metrics that a page leads with wherever they are; otherwise the first one of the table."""


@dataclass(frozen=True)
class Run:
    """A folder of `chiasm score`, read back. `measures` is empty for a task without any."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    score: Score
    measures: Mapping[str, Measure]
    faults: tuple[Fault, ...]

    @cached_property
    def costs(self) -> tuple[FaultCost, ...]:
        return fault_costs(self.score, self.faults, self.measures)

    @cached_property
    def overall(self) -> dict[str, Value]:
        """The numbers of all items, without baselines."""
        values = self.score.values
        return {value.metric: value for value in values if value.slice is None and not is_baseline(value)}

    @cached_property
    def main(self) -> Value | None:
        """The number that the page leads with."""
        defined = [value for value in self.overall.values() if value.value is not None]
        return next((value for value in defined if value.metric in _MAIN), defined[0] if defined else None)

    @cached_property
    def item_scores(self) -> dict[str, float]:
        """The main metric of each item alone; empty where it is no function of sums."""
        if self.main is None or self.main.metric not in self.measures:
            return {}
        table = Table.of(self.score.items)
        values = table.evaluate(self.measures[self.main.metric].of, table.values).tolist()
        return {item.id: value for item, value in zip(self.score.items, values, strict=True) if not isnan(value)}

    @cached_property
    def slice_keys(self) -> list[str]:
        """Keys of which the items have two labels or more, but not one each."""
        labels: dict[str, set[str]] = {}
        for item in self.score.items:
            for key, label in item.slices.items():
                labels.setdefault(key, set()).add(label)
        return [key for key, found in labels.items() if key not in REASONS and 1 < len(found) <= MOST_LABELS]

    @property
    def has_faults(self) -> bool:
        """Whether an item without a fault is right: of BLEU or FID nobody can say what is wrong."""
        return self.score.task in TASKS and self.score.task != "captions"

    @property
    def is_detection(self) -> bool:
        return self.score.task.startswith("coco-")

    def unit(self, item: str) -> str:
        """What runs have in common: the item, or for detections, which are every detector's own, the picture."""
        return item.rsplit("/", 2)[0] if self.is_detection else item

    def files(self, role: str) -> dict[str, Path]:
        """The input files whose role, like "truth" or "predictions 2", has the word `role` in it."""
        paths = self.manifest.get("paths") or {}
        return {name: Path(path) for name, path in paths.items() if role in name.split()}


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Raises RunError for a folder that is no finished score and for two tasks, ConfigError for one given twice."""
    runs = []
    for name, folder in named_runs(folders).items():
        score = with_derived_slices(read_score(folder))
        runs.append(Run(name, folder, read_json(folder / MANIFEST), score, _measures(score), find_faults(score)))
    tasks = sorted({run.score.task for run in runs})
    if len(tasks) > 1:
        raise RunError(f"one page is about one task, and these runs are of {', '.join(tasks)}; make a page for each")
    return runs


def _measures(score: Score) -> Mapping[str, Measure]:
    try:
        return measures_of(score)
    except DataError:
        return {}


def is_baseline(value: Value) -> bool:
    return value.metric.startswith("baseline.")


def number(value: float | None, signed: bool = False) -> str:
    """As the command line prints it, a digit shorter."""
    if value is None:
        return "–"
    digits = 3 if abs(value) < 10 else 1
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, signed: bool = False) -> str:
    return "" if low is None or high is None else f"{number(low, signed)} to {number(high, signed)}"
