"""Faults as the page draws them: how many of each kind, what each costs, and which of them two models share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from chiasm.errors import DataError
from chiasm.report.score_headline import Axis
from chiasm.report.score_runs import Run, interval, number
from chiasm.score.faults import KINDS, Fault, FaultCost
from chiasm.score.faults.costs import group_costs
from chiasm.score.faults.suspects import Suspects, suspect_ground_truth
from chiasm.score.faults.table import fault_table
from chiasm.score.faults.unannotated import Unannotated, unannotated_objects
from chiasm.score.faults.versus import Shared, shared_faults

MOST_COST_COLUMNS = 6
MOST_STEPS = 9


@dataclass(frozen=True, slots=True)
class FaultRow:
    """A kind of fault, or (with a `cause`) a part of it. `costs` are (share of the column's largest cost in per cent,
    text, interval), None where there is no cost."""

    kind: str
    cause: str
    title: str
    meaning: str
    count: int
    items: int
    costs: list[tuple[float, str, str] | None]


@dataclass(frozen=True, slots=True)
class Step:
    """A bar of the waterfall from `start` to `end`, in per cent of the axis."""

    title: str
    kind: str
    start: float
    end: float
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    metric: str
    now: Step
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Faults:
    columns: list[str]
    rows: list[FaultRow]
    waterfall: Waterfall | None


def title_of(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def faults_of(run: Run) -> Faults:
    columns = _columns(run)
    largest = {name: max(abs(cost.change) for cost in run.costs if cost.metric == name) for name in columns}
    rows = []
    for row in fault_table(run.score, run.faults, run.costs, examples=0):
        costs = {cost.metric: cost for cost in row.costs}
        cells = [_cell(costs[name], largest[name]) if name in costs else None for name in columns]
        meaning = "" if row.cause else KINDS.get(row.kind, "")
        rows.append(FaultRow(row.kind, row.cause or "", title_of(row.kind), meaning, row.count, row.items, cells))
    return Faults(columns, rows, _waterfall(run, next(iter(columns), None)))


def _cell(cost: FaultCost, largest: float) -> tuple[float, str, str]:
    between = interval(cost.ci_low, cost.ci_high, signed=True)
    return 100 * abs(cost.change) / largest, number(cost.change, signed=True), between


def _columns(run: Run) -> list[str]:
    """The main metric, then the others in their order, as many as fit."""
    priced = dict.fromkeys(cost.metric for cost in run.costs)
    order = [*([run.main.metric] if run.main else []), *run.overall, *priced]
    return [metric for metric in dict.fromkeys(order) if metric in priced][:MOST_COST_COLUMNS]


def _waterfall(run: Run, metric: str | None) -> Waterfall | None:
    """Cause after cause, the costliest first; every step with all the steps before it."""
    value = run.overall.get(metric or "")
    if value is None or value.value is None:
        return None
    axis = Axis.of([run], value.metric, [value])
    costs = [cost for cost in run.costs if cost.metric == metric and cost.cause is not None]
    costs.sort(key=lambda cost: -abs(cost.change))
    now = Step("As it is", "", axis.at(0), axis.at(value.value), number(value.value), "")
    steps, start = [], value.value
    *ends, perfect = [value.value + change for change in _changes(run, costs[:MOST_STEPS], value.metric)]
    for cost, end in zip(costs, ends, strict=False):
        alone = interval(cost.ci_low, cost.ci_high, signed=True)
        title = f"{title_of(cost.kind)}: {cost.cause}"
        steps.append(_step(title, cost.kind, start, end, axis, alone and f"alone {alone}"))
        start = end
    if len(costs) > MOST_STEPS:
        steps.append(_step("All other faults", "", start, perfect, axis, ""))
    return Waterfall(value.metric, now, steps)


def _changes(run: Run, costs: Sequence[FaultCost], metric: str) -> list[float]:
    """Of the metric, if the first cost's faults were put right, the first two costs', and so on; last, if all were."""
    groups: dict[tuple[str, str | None], Sequence[Fault]] = {}
    mended: list[Fault] = []
    for step, cost in enumerate(costs):
        mended = mended + [fault for fault in run.faults if (fault.kind, fault.cause) == (cost.kind, cost.cause)]
        groups[str(step), None] = mended
    groups["all", None] = run.faults
    measures = {name: measure for name, measure in run.measures.items() if name == metric}
    found = group_costs(run.score, groups, measures, replicates=1)
    changes = {cost.kind: cost.change for cost in found if cost.metric == metric}
    return [changes.get(kind, 0.0) for kind, _ in groups]


def _step(title: str, kind: str, start: float, end: float, axis: Axis, note: str) -> Step:
    low, high = sorted((axis.at(start), axis.at(end)))
    return Step(title, kind, low, high, number(end - start, signed=True), note)


@dataclass(frozen=True, slots=True)
class PairTable:
    """How many items (pictures, for detections) only one of two runs has a fault in, kind by kind, any kind first."""

    first: str
    second: str
    rows: list[tuple[str, Shared]]


def model_against_model(runs: Sequence[Run]) -> list[PairTable]:
    """Every pair of runs that have items in common."""
    tables = []
    for one, other in combinations(runs, 2):
        try:
            shared = shared_faults(one.score, one.faults, other.score, other.faults)
        except DataError:
            continue  # the verdicts say so
        if one.has_faults:
            rows = [(title_of(row.kind) if row.kind else "Any fault", row) for row in shared]
            tables.append(PairTable(one.name, other.name, rows))
    return tables


def suspects(runs: Sequence[Run]) -> Suspects | None:
    """Where all runs contradict the truth with one voice; None for one run and where they have no items in common."""
    try:
        return suspect_ground_truth({run.name: run.score for run in runs}, {run.name: run.faults for run in runs})
    except DataError:
        return None


def unannotated(runs: Sequence[Run]) -> tuple[Unannotated, ...]:
    """For detectors the same: what all of them see where nothing is annotated, the most certain first."""
    if len(runs) < 2 or not runs[0].is_detection:
        return ()
    return unannotated_objects({run.name: run.score for run in runs})
