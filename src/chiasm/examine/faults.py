"""The faults of any finished run folder: found in a score, or as they were judged during an examination."""

from __future__ import annotations

from pathlib import Path

from chiasm.errors import DataError
from chiasm.examine.run_folder import read_manifest, read_rows
from chiasm.examine.scored import read_scored
from chiasm.score.faults import TASKS, Fault, find_faults
from chiasm.score.faults.report import FaultyRun


def read_faults(folder: Path | str, blind: Path | str | None = None) -> FaultyRun:
    """`blind` is the score folder of the same model without the pictures, see `find_faults`.

    Raises RunError as `read_scored` does, and DataError for a task whose numbers do not come apart into mistakes.
    """
    score, measures = read_scored(folder)
    if read_manifest(Path(folder)).get("kind") == "score":
        if score.task not in TASKS:
            raise DataError(f"{folder}: the numbers of {score.task} do not come apart into mistakes")
        return FaultyRun(score, measures, find_faults(score, read_scored(blind)[0] if blind else None))
    if blind is not None:
        raise DataError(f"{folder} was examined, and a blind run goes with folders of `chiasm score` only")
    faults = tuple(
        Fault(row["id"], error["kind"], error["cause"], error["name"], error["repair"])
        for row in read_rows(Path(folder))
        for error in row["errors"]
    )
    return FaultyRun(score, measures, faults)
