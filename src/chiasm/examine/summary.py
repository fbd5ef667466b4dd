"""From rows to numbers: every metric with its interval, overall and by slice, and what each kind of error costs.

Works on the rows' sufficient statistics alone, so that any subset or union of rows can be summarised again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from chiasm.examine.metrics import METRICS, Metric
from chiasm.examine.run_folder import Row
from chiasm.score.faults.fault import KINDS
from chiasm.score.intervals import BOOTSTRAP, WILSON, bootstrap_ratios, percentile_interval, wilson_interval
from chiasm.score.location import SIZES
from chiasm.score.names import Names

REPLICATES = 2000


def summarise(rows: Sequence[Row], replicates: int = REPLICATES, seed: int = 0) -> dict[str, Any]:
    """The content of summary.json.

    ``metrics``: a list of {metric, title, slice, value, ci_low, ci_high, n, images, method, dialect, unparsed}; n
    counts what the metric's denominator counts, and the interval is the central 95 % clustered by image.
    ``errors``: for each kind {kind, meaning, count, rows, causes, tasks, cost}; cost maps a metric to the change of its
    value, with interval, if every error of that kind were put right.
    ``scenes``: the confusion matrix, or None where no scene is annotated.
    """
    table = _Table(rows)
    columns = [column for metric in METRICS for column in _columns(metric, table)]
    overall = [c for c in columns if c.slice is None and c.metric.best is not None and c.value is not None]
    repaired = [_repaired(column, kind, table) for column in overall for kind in KINDS]
    everything = [*columns, *repaired]
    if not everything:
        spread = np.empty((replicates, 0))
    else:
        tops, bottoms = np.stack([c.top for c in everything], 1), np.stack([c.bottom for c in everything], 1)
        spread = bootstrap_ratios(tops, bottoms, replicates, seed)
    replicate = {id(column): spread[:, i] for i, column in enumerate(everything)}

    costs: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for (before, kind), after in zip(product(overall, KINDS), repaired, strict=True):
        change = _value(after) - _value(before)
        if abs(change) > 1e-12:
            low, high = percentile_interval(replicate[id(after)] - replicate[id(before)]) or (None, None)
            costs[kind][before.metric.name] = {
                "change": _rounded(change), "ci_low": _rounded(low), "ci_high": _rounded(high),
            }  # fmt: skip
    return {
        "rows": len(rows),
        "images": table.images,
        "unfamiliar_images": len({row["index"] for row in rows if row["notice"]}),
        "unreadable_images": len({row["index"] for row in rows if row["size"] is None}),
        "unscored_rows": sum(row["right"] is None for row in rows),
        "unparsed": dict(sorted(Counter(row["task"] for row in rows if _is_unparsed(row)).items())),
        "metrics": [_metric_entry(column, replicate[id(column)]) for column in columns],
        "errors": [_error_entry(kind, rows, costs[kind]) for kind in KINDS],
        "scenes": _confusion(rows),
    }


class _Table:
    """The rows' statistics as arrays: `values`, and in `present` which of them a row has, are (rows, statistics);
    `repairs` holds (images, statistics) for each kind."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        names = sorted({name for row in rows for name in row["statistics"]} | _repair_names(rows))
        self.column = {name: i for i, name in enumerate(names)}
        indices = sorted({row["index"] for row in rows})
        place = {index: i for i, index in enumerate(indices)}
        self.images = len(indices)
        self.image = np.array([place[row["index"]] for row in rows], dtype=np.int64)
        self.values = np.zeros((len(rows), len(names)))
        self.present = np.zeros((len(rows), len(names)), dtype=bool)
        self.repairs = {kind: np.zeros((self.images, len(names))) for kind in KINDS}
        for i, row in enumerate(rows):
            for name, value in row["statistics"].items():
                self.values[i, self.column[name]] = value
                self.present[i, self.column[name]] = True
            for error in row["errors"]:
                for name, change in error["repair"].items():
                    self.repairs[error["kind"]][self.image[i], self.column[name]] += change

    def weights(self, statistics: Mapping[str, float], suffix: str = "") -> np.ndarray:
        """The vector that takes a row of `values` to a metric's numerator or denominator."""
        vector = np.zeros(len(self.column))
        for name, weight in statistics.items():
            if name + suffix in self.column:
                vector[self.column[name + suffix]] = weight
        return vector

    def by_image(self, per_row: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return np.bincount(self.image[chosen], weights=per_row[chosen], minlength=self.images)


@dataclass(frozen=True, slots=True)
class _Column:
    """One number to report: sums of numerator and denominator for each image, (images,) both."""

    metric: Metric
    top: np.ndarray
    bottom: np.ndarray
    slice: tuple[str, str] | None = None
    unparsed: int = 0

    @property
    def value(self) -> float | None:
        return float(self.top.sum() / self.bottom.sum()) if self.bottom.sum() > 0 else None


def _columns(metric: Metric, table: _Table) -> Iterator[_Column]:
    """The metric overall, then by slice; nothing if no row was scored by it."""
    parts: list[tuple[tuple[str, str] | None, str, np.ndarray]] = [(None, "", np.ones(len(table.rows), dtype=bool))]
    if metric.sized:
        parts += [(("object_size", size), f".{size}", parts[0][2]) for size in SIZES]
    for key in metric.slices:
        labels = np.array([row["slices"].get(key, "") for row in table.rows], dtype=object)
        order = (*SIZES, "none") if key == "object_size" else sorted(set(labels))
        parts += [((key, label), "", labels == label) for label in order if label]
    for where, suffix, chosen in parts:
        asked = [table.column[name] for name in metric.denominator if name in table.column]
        concerned = chosen & table.present[:, asked].any(axis=1)
        if concerned.any():
            top = table.by_image(table.values @ table.weights(metric.numerator, suffix), chosen)
            bottom = table.by_image(table.values @ table.weights(metric.denominator, suffix), chosen)
            if where is None or bottom.sum() > 0:
                unparsed = sum(_is_unparsed(row) for row, yes in zip(table.rows, concerned, strict=True) if yes)
                yield _Column(metric, top, bottom, where, unparsed)


def _repaired(column: _Column, kind: str, table: _Table) -> _Column:
    repairs = table.repairs[kind]
    top = column.top + repairs @ table.weights(column.metric.numerator)
    bottom = column.bottom + repairs @ table.weights(column.metric.denominator)
    return _Column(column.metric, top, bottom)


def _metric_entry(column: _Column, replicates: np.ndarray) -> dict[str, Any]:
    value, images = column.value, int((column.bottom > 0).sum())
    method, interval = BOOTSTRAP, None
    if value in (0.0, 1.0):
        method, interval = WILSON, wilson_interval(value, images)
    elif images > 1:
        interval = percentile_interval(replicates)
    low, high = interval or (None, None)
    return {
        "metric": column.metric.name,
        "title": column.metric.title,
        "slice": None if column.slice is None else dict([column.slice]),
        "value": _rounded(value),
        "ci_low": _rounded(low),
        "ci_high": _rounded(high),
        "n": round(float(column.bottom.sum())),
        "images": images,
        "method": method if interval else "none: too few images",
        "dialect": column.metric.dialect,
        "unparsed": column.unparsed,
    }


def _error_entry(kind: str, rows: Sequence[Row], cost: Mapping[str, Any]) -> dict[str, Any]:
    """`count` counts errors, `rows` rows that have one; a box that is right but loose is counted in neither."""
    found = [
        (row, error) for row in rows for error in row["errors"] if error["kind"] == kind and error["cause"] != "loose"
    ]
    return {
        "kind": kind,
        "meaning": KINDS[kind],
        "count": len(found),
        "rows": len({row["id"] for row, _ in found}),
        "causes": dict(Counter(error["cause"] for _, error in found).most_common()),
        "tasks": dict(Counter(row["task"] for row, _ in found).most_common()),
        "cost": dict(cost),
    }


def _confusion(rows: Sequence[Row]) -> dict[str, Any] | None:
    """``counts[i][j]``: pictures of scene i taken for scene j. The last name said may be "(unparsed)"."""
    names = Names()
    pairs = Counter(
        (names.canonical(row["truth"]), "(unparsed)" if row["problem"] else names.canonical(row["parsed"]) or "(empty)")
        for row in rows
        if row["task"] == "scene" and row["truth"] is not None
    )
    if not pairs:
        return None
    true = sorted({pair[0] for pair in pairs})
    said = true + sorted({pair[1] for pair in pairs} - set(true))
    return {"true": true, "said": said, "counts": [[pairs[t, s] for s in said] for t in true]}


def _value(column: _Column) -> float:
    """0 where repairs left nothing to count: no prediction, no mistaken one."""
    return column.value if column.value is not None else 0.0


def _is_unparsed(row: Row) -> bool:
    return bool(row["problem"]) or any(error["kind"] == "unparsed" for error in row["errors"])


def _repair_names(rows: Sequence[Row]) -> set[str]:
    return {name for row in rows for error in row["errors"] for name in error["repair"]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
