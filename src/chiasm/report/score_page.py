"""The page of one or more scores of a task."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import ChiasmError
from chiasm.report.score_answers import calibration, calibration_sentence, yes_ratios
from chiasm.report.score_faults import faults_of, model_against_model, suspects, unannotated
from chiasm.report.score_gallery import best_threshold, score_gallery
from chiasm.report.score_headline import headline, sentences, unparsed_range, verdicts
from chiasm.report.score_runs import Run, read_runs
from chiasm.report.score_slices import search, slice_tables
from chiasm.score.doctor import Checkup, check_predictions
from chiasm.score.faults.duplicates import duplicate_errors
from chiasm.score.score_folder import input_path

MOST_CLUSTERS = 15


def score_page(folders: Sequence[Path], images: Path | None, max_pictures: int, max_bytes: int) -> dict[str, Any]:
    """What the template scores.html shows. Raises RunError for folders that are no finished scores of one task."""
    runs = read_runs(folders)
    compared = verdicts(runs)
    gallery = score_gallery(runs, images, max_pictures, max_bytes)
    return {
        "title": f"{runs[0].score.task}: " + " against ".join(run.name for run in runs),
        "runs": runs,
        "images": len({item.image for item in runs[0].score.items}),
        "task": runs[0].score.task,
        "dialects": list(dict.fromkeys(run.score.dialect for run in runs)),
        "lead": compared.lead if compared else sentences(runs[0]),
        "notes": list(dict.fromkeys(note for run in runs for note in run.score.notes)),
        "unparsed": {run.name: unparsed_range(run) for run in runs if run.score.counts.unparsed},
        "headline": headline(runs),
        "verdicts": compared,
        "told_apart": runs[0].has_faults,
        "faults": [faults_of(run) for run in runs],
        "against": model_against_model(runs),
        "suspects": suspects(runs),
        "unannotated": unannotated(runs),
        "clusters": [duplicate_errors(run.score, run.faults, at_least=3)[:MOST_CLUSTERS] for run in runs],
        "slices": slice_tables(runs),
        "searches": [search(run) for run in runs],
        "yes": [yes_ratios(run) for run in runs],
        "calibration": [(found, calibration_sentence(found)) if (found := calibration(run)) else None for run in runs],
        "quality": [quality(run) for run in runs],
        "gallery": gallery,
        "manifests": [json.dumps(run.manifest, indent=2, ensure_ascii=False) for run in runs],
        "commands": commands(runs, images),
        "page_data": {
            "runs": [run.name if len(runs) > 1 else "" for run in runs],
            "pictures": gallery.pictures,
            "items": gallery.items,
            "floor": min(best_threshold(run) for run in runs),
            "detections": runs[0].is_detection,
        },
    }


@dataclass(frozen=True, slots=True)
class Checked:
    """What `chiasm doctor` finds in a file of predictions, or in `error` why it could not look."""

    path: str
    checkup: Checkup | None
    error: str = ""


def quality(run: Run) -> list[Checked]:
    """Of the files of answers that were scored, if they are still there and the same."""
    found = []
    for role, path, truth in _answers(run):
        try:
            known = input_path(run.folder, truth) if truth else None
            found.append(Checked(str(path), check_predictions(input_path(run.folder, role), known)))
        except ChiasmError as error:
            found.append(Checked(str(path), None, str(error)))
    return found


def _answers(run: Run) -> Iterator[tuple[str, Path, str | None]]:
    """Role and path of each file of predictions, and its truth's role. Folders and arrays are nothing to look at."""
    for role, path in run.files("predictions").items():
        if path.suffix not in (".npy", ".npz") and not path.is_dir():
            truth = role.replace("predictions", "truth")
            yield role, path, truth if truth in run.files("truth") else None


def commands(runs: Sequence[Run], images: Path | None) -> dict[str, list[str]]:
    """The command lines that make each part of the page again."""
    folders = [str(run.folder) for run in runs]
    scored = [run.manifest["command"] for run in runs if run.manifest.get("command")]
    return {
        "headline": scored,
        "verdicts": [shlex.join(["chiasm", "compare", *folders])] if len(runs) > 1 else [],
        "faults": [shlex.join(["chiasm", "errors", folder]) for folder in folders],
        "slices": [shlex.join(["chiasm", "slice", folder]) for folder in folders],
        "report": [shlex.join(["chiasm", "report", *folders, *(["--images", str(images)] if images else [])])],
        "quality": [
            shlex.join(["chiasm", "doctor", str(path), *(["--gt", str(run.files("truth")[truth])] if truth else [])])
            for run in runs
            for _, path, truth in _answers(run)
        ],
    }
