"""Everything that the faults of one run or several tell, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from chiasm.score.faults.costs import fault_costs
from chiasm.score.faults.duplicates import Cluster, duplicate_errors
from chiasm.score.faults.fault import Fault
from chiasm.score.faults.repairs import WITHOUT_COST
from chiasm.score.faults.suspects import Suspects, suspect_ground_truth
from chiasm.score.faults.table import FaultRow, fault_table
from chiasm.score.faults.unannotated import Unannotated, unannotated_objects
from chiasm.score.faults.versus import Shared, shared_faults
from chiasm.score.measure import Measure
from chiasm.score.result import Score


@dataclass(frozen=True, slots=True)
class FaultyRun:
    """A score with its measures, and the faults that were found in it."""

    score: Score
    measures: Mapping[str, Measure]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """`items` is how many there are; `without_cost` are metrics that mistakes cost nothing known in, and why."""

    task: str
    items: int
    faults: tuple[Fault, ...]
    table: tuple[FaultRow, ...]
    clusters: tuple[Cluster, ...]
    without_cost: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PairReport:
    first: str
    second: str
    shared: tuple[Shared, ...]


@dataclass(frozen=True, slots=True)
class FaultReport:
    """`pairs` are all pairs of runs. `suspects` are of runs that answer questions, `unannotated` of detectors; None and
    empty for a single run, and for examined runs, which mix tasks."""

    runs: Mapping[str, RunReport]
    pairs: tuple[PairReport, ...]
    suspects: Suspects | None
    unannotated: tuple[Unannotated, ...]


def report_faults(runs: Mapping[str, FaultyRun], examples: int = 3) -> FaultReport:
    """Tables, costs in every metric and clusters of each run, by name, and what the runs have in common.

    `examples` are kept of each cause. Raises DataError for runs of different tasks or without a common item.
    """
    reports = {}
    for name, run in runs.items():
        costs = fault_costs(run.score, run.faults, run.measures)
        table = fault_table(run.score, run.faults, costs, examples)
        clusters = duplicate_errors(run.score, run.faults)
        unknown = {
            metric: why for metric, why in WITHOUT_COST.get(run.score.task, {}).items() if metric in run.measures
        }
        reports[name] = RunReport(run.score.task, len(run.score.items), run.faults, table, clusters, unknown)
    pairs = tuple(
        PairReport(one, other, shared_faults(first.score, first.faults, second.score, second.faults))
        for (one, first), (other, second) in combinations(runs.items(), 2)
    )
    scores = {name: run.score for name, run in runs.items()}
    tasks = {score.task for score in scores.values()}
    if len(scores) < 2 or tasks == {"examine"}:
        return FaultReport(reports, pairs, None, ())
    if tasks <= {"coco-bbox", "coco-segm"}:
        return FaultReport(reports, pairs, None, unannotated_objects(scores))
    return FaultReport(reports, pairs, suspect_ground_truth(scores), ())
