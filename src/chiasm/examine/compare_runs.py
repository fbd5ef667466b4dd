"""Run folders of any kind side by side: read, checked to be of the same data, and compared by the test that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chiasm.errors import ConfigError, RunError
from chiasm.examine.run_folder import read_manifest
from chiasm.examine.scored import read_scored
from chiasm.score.compare import Comparison, compare
from chiasm.score.regions.coco_compare import compare_coco
from chiasm.score.regions.coco_files import Kind
from chiasm.score.score_folder import input_path


def named_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by the shortest ends of their paths that tell them apart. Raises ConfigError for one given twice."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ConfigError("the same run was given twice")
    parts = 1
    while len({path.parts[-parts:] for path in paths}) < len(paths):
        parts += 1
    return {"/".join(path.parts[-parts:]): folder for path, folder in zip(paths, folders, strict=True)}


def compare_runs(
    folders: Mapping[str, Path],
    slices: Sequence[str] = (),
    metrics: Sequence[str] = (),
    margin: float | None = None,
    min_n: int = 30,
) -> Comparison:
    """Every pair of runs, by name, in the metrics that rank, or in `metrics` alone; see `chiasm.score.compare.compare`.

    Detections are compared in COCO's own numbers, for which the files that were scored are read again. Raises
    ConfigError for an unknown metric, and for slices of detections, RunError for a folder that is no finished run and
    for detections whose files have changed since, and DataError as `compare` does.
    """
    manifests = {name: read_manifest(folder) for name, folder in folders.items()}
    tasks = [str(manifest.get("task", "")) for manifest in manifests.values()]
    if tasks and all(task.startswith("coco-") for task in tasks):
        if len(set(tasks)) > 1:
            raise ConfigError(f"boxes can't be compared with masks: {', '.join(tasks)}")
        if slices:
            raise ConfigError("detections can't be compared by slice: average precision is of a whole set")
        return _compared_detections(folders, tasks[0], metrics, margin)
    read = {name: read_scored(folder) for name, folder in folders.items()}
    measures = next(iter(read.values()))[1] if read else {}
    for _, other in read.values():
        measures = {name: measure for name, measure in measures.items() if name in other}
    _check_known(metrics, measures)
    chosen = {name: measure for name, measure in measures.items() if not metrics or name in metrics}
    return compare({name: score for name, (score, _) in read.items()}, chosen, slices, margin=margin, min_n=min_n)


def _compared_detections(
    folders: Mapping[str, Path], task: str, metrics: Sequence[str], margin: float | None
) -> Comparison:
    truths = {name: input_path(folder, "truth") for name, folder in folders.items()}
    hashes = {read_manifest(folder)["inputs"]["truth"]["sha256"] for folder in folders.values()}
    if len(hashes) > 1:
        raise RunError(f"{', '.join(folders)} were scored against different truths")
    results = {name: input_path(folder, "predictions") for name, folder in folders.items()}
    kind: Kind = "bbox" if task == "coco-bbox" else "segm"
    return compare_coco(next(iter(truths.values())), results, kind, metrics=metrics, margin=margin)


def _check_known(asked: Sequence[str], known: Mapping[str, object]) -> None:
    for name in asked:
        if name not in known:
            raise ConfigError(f"there is no metric {name!r} to compare in, only {', '.join(known)}")
