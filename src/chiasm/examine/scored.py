"""Any finished run folder as a score with its metrics as functions of sums: what compare and slice work on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chiasm.errors import RunError
from chiasm.examine import metrics
from chiasm.examine.run_folder import SUMMARY, read_manifest, read_rows
from chiasm.score.derived_slices import with_derived_slices
from chiasm.score.measure import Measure
from chiasm.score.measures import measures_of
from chiasm.score.result import Item, Score
from chiasm.score.score_folder import read_score


def read_scored(folder: Path | str) -> tuple[Score, dict[str, Measure]]:
    """The score in a folder of `chiasm score` or `chiasm examine`, and its measures.

    Raises RunError for a folder that is neither or not finished, DataError for a task without measures.
    """
    folder = Path(folder)
    if read_manifest(folder).get("kind") == "score":
        score = with_derived_slices(read_score(folder))
        return score, measures_of(score)
    return _examined(folder)


def _examined(folder: Path) -> tuple[Score, dict[str, Measure]]:
    if not (folder / SUMMARY).exists():
        raise RunError(f"{folder} has no {SUMMARY}: the run is not finished")
    dataset = read_manifest(folder)["dataset"]["name"]
    items = tuple(
        Item(
            id=row["id"],
            image=str(row["index"]),
            prediction=row["raw"],
            parsed=row["parsed"],
            truth=row["truth"],
            statistics=row["statistics"],
            rule=row["rule"],
            problem=row["problem"],
            slices={"task": row["task"], **row["slices"]},
            prompt=row["prompt"],
        )
        for row in read_rows(folder)
    )
    known = {name for item in items for name in item.statistics}
    found = {metric.name: _measure(metric) for metric in metrics.METRICS if known & metric.denominator.keys()}
    return Score("examine", dataset, (), items), found


def _measure(metric: metrics.Metric) -> Measure:
    def of(sums: Mapping[str, np.ndarray]) -> np.ndarray:
        return _weighted(metric.numerator, sums) / _weighted(metric.denominator, sums)

    better = None if metric.best is None else "lower" if metric.best == 0 else "higher"
    is_share = len(metric.numerator) == len(metric.denominator) == 1 and metric.name != "ground.iou"
    return Measure(of, next(iter(metric.denominator)), better, is_share=is_share)  # type: ignore[arg-type]


def _weighted(weights: Mapping[str, float], sums: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.sum([weight * sums[name] for name, weight in weights.items()], axis=0)
