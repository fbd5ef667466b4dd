"""Aspects of a text-to-image model side by side, in the manner of HEIM and TISE: a table, not one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chiasm.errors import DataError
from chiasm.score.result import Score, Value

ASPECTS: Mapping[str, tuple[str, ...]] = {
    "alignment": ("clip_t", "vqascore", "tifa", "compliance"),
    "realism": ("fid", "kid", "inception_score"),
    "quality": ("piqe", "psnr", "ssim", "ms_ssim"),
    "counting": ("accuracy[element_type=counting]",),
    "position": ("accuracy[element_type=spatial]",),
    "robustness": ("drop[perturbation]", "flip_rate[perturbation]"),
    "human preference": ("strength", "win_rate", "mean_rating"),
}
"""Aspects and the metrics that speak for them; ``metric[key=label]`` is a metric of one slice, ``metric[key]`` that of
each slice of the key."""


@dataclass(frozen=True, slots=True)
class AspectTable:
    """`cells` by (aspect, metric, system); a metric that a system lacks has no cell. `systems` are the columns."""

    systems: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    cells: Mapping[tuple[str, str, str], Value]

    def missing(self) -> tuple[tuple[str, str, str], ...]:
        """Empty cells, to be shown as empty: an aspect nobody measured is no zero."""
        places = [(*row, system) for row in self.rows for system in self.systems]
        return tuple(where for where in places if where not in self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Rows of plain values, ready for JSON; an empty cell is null."""
        cells = {where: asdict(value) for where, value in self.cells.items()}
        return {
            "systems": list(self.systems),
            "rows": [
                {
                    "aspect": aspect,
                    "metric": metric,
                    "values": {system: cells.get((aspect, metric, system)) for system in self.systems},
                }
                for aspect, metric in self.rows
            ],
        }


def aspect_table(scores: Mapping[str, Sequence[Score]], aspects: Mapping[str, Sequence[str]] = ASPECTS) -> AspectTable:
    """The values of each system's `scores` under the aspects that they speak for.

    Rows are the metrics that at least one system has, in the order of `aspects`. Of scores that hold several systems
    (ratings, preferences) a system gets its own slice. Nothing is averaged over aspects: their units differ. Raises
    DataError for two values of one metric of a system, and for a metric that two aspects claim.
    """
    claimed: dict[str, str] = {}
    for aspect, metrics in aspects.items():
        for metric in metrics:
            if metric in claimed:
                raise DataError(f"{metric} is claimed by two aspects, {claimed[metric]!r} and {aspect!r}")
            claimed[metric] = aspect
    cells: dict[tuple[str, str, str], Value] = {}
    order: dict[tuple[str, str], int] = {}
    for system, parts in scores.items():
        for value in (value for part in parts for value in _of_system(part, system)):
            metric, claim = _names(value, system)
            if claim not in claimed:
                claim = metric
            if claim not in claimed:
                continue
            where = (claimed[claim], metric, system)
            if where in cells:
                raise DataError(f"{system} has two values of {metric}; give each metric once")
            cells[where] = value
            order[where[:2]] = [*claimed].index(claim)
    return AspectTable(tuple(scores), tuple(sorted(order, key=order.__getitem__)), cells)


def _of_system(score: Score, system: str) -> list[Value]:
    """The score's values, except that where a metric has a slice for the system, only that one is kept."""
    own = {value.metric for value in score.values if value.slice == ("system", system)}
    return [value for value in score.values if value.metric not in own or value.slice == ("system", system)]


def _names(value: Value, system: str) -> tuple[str, str]:
    """How a value is called in the table, and by the name of its slice's key alone."""
    if value.slice is None or value.slice == ("system", system):
        return value.metric, value.metric
    key, label = value.slice
    return f"{value.metric}[{key}={label}]", f"{value.metric}[{key}]"
