"""What each kind of fault costs: every metric as it would be if that kind alone were put right.

TIDE (Bolya et al. 2020, arXiv:2008.08115) does this for average precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from chiasm.score.bootstrap import FEWEST_IMAGES, Table, small_sample_level
from chiasm.score.faults.detection_costs import detection_costs
from chiasm.score.faults.fault import Fault, FaultCost
from chiasm.score.faults.wholes import recount_wholes
from chiasm.score.intervals import percentile_interval, resampled_sums
from chiasm.score.measure import Measure
from chiasm.score.result import Score

Group = tuple[str, str | None]
"""A kind and one of its causes, or None for all of them."""


def grouped(faults: Iterable[Fault]) -> dict[Group, list[Fault]]:
    """The faults of every kind and of every cause of it, most frequent first; a kind stands before its causes."""
    kinds: dict[str, dict[str, list[Fault]]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, {}).setdefault(fault.cause, []).append(fault)
    whole = {kind: [fault for members in causes.values() for fault in members] for kind, causes in kinds.items()}
    found: dict[Group, list[Fault]] = {}
    for kind in sorted(kinds, key=lambda kind: -len(whole[kind])):
        found[kind, None] = whole[kind]
        by_count = sorted(kinds[kind].items(), key=lambda entry: -len(entry[1]))
        found |= {(kind, cause): members for cause, members in by_count}
    return found


def fault_costs(
    score: Score, faults: Sequence[Fault], measures: Mapping[str, Measure], replicates: int = 2000, seed: int = 0
) -> tuple[FaultCost, ...]:
    """The change of every measure if the faults of a kind, or of one cause, were put right, with its paired interval.

    Whole images are resampled. Changes of 0 are left out, as are measures that a repair leaves without anything to
    count, unless they should be low: no mention, no mistaken one. Detections are costed in COCO's AP, AP50 and AR100 as
    well. The costs of two kinds need not add up to the cost of both, since a metric is no sum. Raises KeyError for a
    fault of an item that `score` does not have.
    """
    return group_costs(score, grouped(faults), measures, replicates, seed)


def group_costs(
    score: Score,
    groups: Mapping[Group, Sequence[Fault]],
    measures: Mapping[str, Measure],
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[FaultCost, ...]:
    """As `fault_costs`, for any groups of faults by a kind and cause that name them; groups may overlap."""
    if not groups:
        return ()
    repaired = _Repaired(score, [fault for members in groups.values() for fault in members])
    images = repaired.now.shape[0]
    blocks = [repaired.now, *(repaired.by_image(members) for members in groups.values())]
    width = repaired.now.shape[1]
    spread = resampled_sums(np.concatenate(blocks, axis=1), replicates, seed)
    found: list[FaultCost] = []
    if score.task.startswith("coco-"):
        found += detection_costs(score, groups, min(replicates, 200), seed)
    for name, measure in measures.items():
        before = repaired.value(measure, blocks[0].sum(axis=0, keepdims=True))[0]
        before_spread = repaired.value(measure, spread[:, :width])
        for index, (kind, cause) in enumerate(groups, start=1):
            change = repaired.value(measure, blocks[index].sum(axis=0, keepdims=True))[0] - before
            if np.isnan(change) or abs(change) < 1e-12:
                continue
            interval = None
            if images >= FEWEST_IMAGES:
                after_spread = repaired.value(measure, spread[:, index * width : (index + 1) * width])
                interval = percentile_interval(after_spread - before_spread, small_sample_level(images))
            low, high = interval or (None, None)
            found.append(FaultCost(kind, cause, name, float(change), low, high))
    return tuple(found)


def repaired_values(score: Score, faults: Sequence[Fault], measures: Mapping[str, Measure]) -> dict[str, float]:
    """Every measure of `score` once all `faults` are put right."""
    repaired = _Repaired(score, faults)
    sums = repaired.by_image(faults).sum(axis=0, keepdims=True)
    return {name: float(repaired.value(measure, sums)[0]) for name, measure in measures.items()}


class _Repaired:
    """The statistics of a score's items, as they are and with some faults put right."""

    def __init__(self, score: Score, faults: Sequence[Fault]) -> None:
        self._score = score
        self._row = {item.id: row for row, item in enumerate(score.items)}
        table = Table.of(score.items)
        new = sorted({name for fault in faults for name in fault.repair} - set(table.names))
        values = np.hstack([table.values, np.zeros((len(table.values), len(new)))])
        self._table = Table((*table.names, *new), values, table.image)
        self._column = {name: index for index, name in enumerate(self._table.names)}
        self._all = np.arange(len(values))
        self.now = self._table.by_image(self._all)

    def by_image(self, faults: Iterable[Fault]) -> np.ndarray:
        """Sums over each image's items, (images, statistics), once `faults` are put right."""
        values = self._table.values.copy()
        for fault in faults:
            for name, change in fault.repair.items():
                values[self._row[fault.item], self._column[name]] += change
        recount_wholes(self._score.task, self._score.items, self._column, values)
        return Table(self._table.names, values, self._table.image).by_image(self._all)

    def value(self, measure: Measure, sums: np.ndarray) -> np.ndarray:
        values = self._table.evaluate(measure.of, sums)
        return np.where(np.isnan(values), 0.0, values) if measure.better == "lower" else values
