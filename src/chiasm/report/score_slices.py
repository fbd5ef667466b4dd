"""Where a model is strong and weak: the main metric slice by slice, and a search for the worst that pays for itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chiasm.report.score_headline import Axis, Mark
from chiasm.report.score_runs import Run, number
from chiasm.score.baselines import beside
from chiasm.score.bootstrap import summarise
from chiasm.score.result import Value
from chiasm.score.slices import worst_slices

PERMUTATIONS = 500
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class SliceTable:
    """`rows` are (label, a mark for each run)."""

    key: str
    metric: str
    rows: list[tuple[str, list[Mark | None]]]


def slice_tables(runs: Sequence[Run]) -> list[SliceTable]:
    """The main metric by each key that a run has it for, as scored or else computed from the items, and the
    metrics that there are by slice alone, such as the win rate of a system."""
    by_run = [_values(run) for run in runs]
    asked = dict.fromkeys((value.slice[0], value.metric) for values in by_run for value in values if value.slice)
    tables = []
    for key, metric in asked:
        found = [{label: value for at, label, value in _labelled(values, metric) if at == key} for values in by_run]
        axis = Axis.of(runs, metric, [value for values in found for value in values.values()])
        labels = list(dict.fromkeys(label for values in found for label in values))
        rows = [(label, [axis.mark(of[label]) if label in of else None for of in found]) for label in labels]
        if len(labels) > 1 or not any(metric in run.overall for run in runs):
            tables.append(SliceTable(key, metric, rows))
    return tables


def _labelled(values: Sequence[Value], metric: str) -> Iterator[tuple[str, str, Value]]:
    """Slice key, label and value of those of a metric."""
    for value in values:
        if value.slice is not None and value.metric == metric:
            yield *value.slice, value


def _values(run: Run) -> list[Value]:
    main = run.main.metric if run.main else None
    metrics = {main} | {value.metric for value in run.score.values if beside(value.metric) is None} - set(run.overall)
    scored = [value for value in run.score.values if value.slice and value.metric in metrics]
    done = {value.slice[0] for value in scored if value.slice and value.metric == main}
    left = [key for key in run.slice_keys if key not in done]
    name = searched_metric(run)
    if left and name:
        scored += [value for value in summarise(run.score.items, {name: run.measures[name]}, left) if value.slice]
    return scored


def searched_metric(run: Run) -> str | None:
    """The main metric if it can be computed for any part of the items, else the first one that can."""
    ranking = [name for name, measure in run.measures.items() if measure.better]
    if run.is_detection:  # its precision is of all boxes, however unsure
        return "recall@.5" if "recall@.5" in ranking else None
    if run.main and run.main.metric in ranking:
        return run.main.metric
    return next(iter(ranking), None)


@dataclass(frozen=True, slots=True)
class WorstSlice:
    """`p` is corrected for the search; `certain` says whether it stays below .05."""

    label: str
    value: str
    rest: str
    gap: str
    n: int
    p: float
    certain: bool


@dataclass(frozen=True, slots=True)
class Search:
    metric: str
    searched: int
    rows: list[WorstSlice]
    notes: list[str]


def search(run: Run) -> Search | None:
    """The ten slices that stand out as worst; None where there is nothing to search."""
    metric, keys = searched_metric(run), run.slice_keys
    if metric is None or not keys:
        return None
    measure = run.measures[metric]
    found = worst_slices(run.score.items, metric, measure, keys, permutations=PERMUTATIONS)
    rows = [
        WorstSlice(
            " = ".join(one.value.slice or ("", "")),
            number(one.value.value),
            number(one.rest),
            number(one.gap, signed=True),
            one.value.n,
            one.p,
            one.p < LEVEL,
        )
        for one in found.slices
        if one.gap * (-1 if measure.better == "lower" else 1) < 0
    ]
    return Search(metric, len(found.slices), rows[:10], list(found.notes)) if found.slices else None
