"""The answers of a finished `chiasm examine`, so that the very answers that were scored are diagnosed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.data.controls import PICTURES
from chiasm.errors import RunError
from chiasm.examine.errors import NO_PICTURE
from chiasm.examine.rows import row_id
from chiasm.examine.run_folder import SAMPLES, SUMMARY, read_manifest, read_rows
from chiasm.probe.asked import Asked
from chiasm.types import Dataset


@dataclass(frozen=True)
class Examined:
    """Answers in the order of the questions asked, and whether the run counts them as right."""

    text: tuple[str, ...]
    right: tuple[bool, ...]


class ExaminedRun:
    """A finished run of `chiasm examine`.

    pictures     how many of the dataset's first pictures it is of
    unopened     ids of pictures that could not be opened: what was answered there says nothing of the model
    other_rows   task -> number of rows that are not answers to questions
    fingerprint  hash of its rows
    """

    def __init__(self, folder: Path, dataset: Dataset, model: Mapping[str, Any]) -> None:
        """`model` is what the model says of itself (`Pipeline.describe`).

        Raises RunError for a folder that is no run or not finished, and for a run of another model, on another dataset
        or other pictures, or without answers to questions.
        """
        self.folder = folder
        self._manifest = read_manifest(folder)
        if "model" not in self._manifest or "dataset" not in self._manifest:
            raise RunError(f"{folder} is no run of `chiasm examine`; only its runs can be diagnosed")
        self._check_dataset(dataset)
        self._check_model(model)
        if not (folder / SUMMARY).exists():
            raise RunError(f"{folder} is not finished; the same `chiasm examine` goes on where it stopped")
        rows = read_rows(folder)
        tasks = Counter(row["task"] for row in rows)
        self._answers = {row["id"]: row for row in rows if row["task"] == "answer"}
        if not self._answers:
            raise RunError(f"{folder} has no answers to questions, only {_listed(tasks)}: there is nothing to diagnose")
        self.pictures = max(row["index"] for row in rows) + 1
        self.unopened = frozenset(row["example"] for row in rows if row["rule"] == NO_PICTURE)
        self.other_rows = {task: count for task, count in tasks.items() if task != "answer"}
        self.fingerprint = hashlib.sha256((folder / SAMPLES).read_bytes()).hexdigest()

    def answers(self, asked: Asked) -> Examined:
        """Those to the questions `asked`, found by the questions' ids. Raises RunError for a question that the run was
        not asked."""
        text, right = [], []
        for example, questions in zip(asked.examples, asked.questions, strict=True):
            for question in questions:
                identity = row_id(example.id, "answer", question.id)
                row = self._answers.get(identity)
                if row is None or row["prompt"] != question.text:
                    found = "is missing" if row is None else f"was asked as {row['prompt']!r}, not {question.text!r}"
                    raise RunError(f"{self.folder}: {identity} {found}; examine again into another folder")
                text.append(row["parsed"])
                right.append(row["right"] is True)
        return Examined(tuple(text), tuple(right))

    def notes(self) -> list[str]:
        """What of the run is not diagnosed, in words."""
        found = []
        if self.other_rows:
            found.append(f"only answers to questions are diagnosed, not the run's {_listed(self.other_rows)}")
        if self.unopened:
            found.append(f"{len(self.unopened)} pictures that could not be opened are left out")
        return found

    def _check_dataset(self, dataset: Dataset) -> None:
        there, here = self._manifest["dataset"], dataset.fingerprint()
        if there["fingerprint"] == here:
            return
        for pictures in PICTURES[1:]:
            if there["fingerprint"] == f"{here}/{pictures}":
                raise RunError(
                    f"{self.folder} was examined with {pictures} pictures, a control in which nothing could be seen; "
                    "diagnose a run with --pictures intact"
                )
        raise RunError(
            f"{self.folder} is of another dataset: {there['name']} with {there['examples']} pictures, not "
            f"{dataset.name} with {len(dataset)}; name the one that was examined"
            + (", with the same options" if there["name"] == dataset.name else "")
        )

    def _check_model(self, model: Mapping[str, Any]) -> None:
        there = {key: value for key, value in self._manifest["model"].items() if key != "name"}
        here = {key: value for key, value in model.items() if key != "name"}
        different = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
        if different:
            raise RunError(
                f"{self.folder} is of another model: {self._manifest['model']['name']}, not {model['name']} (other "
                f"{', '.join(different)}); name the one that was examined"
            )


def _listed(tasks: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {_ROWS.get(task, task)}" for task, count in sorted(tasks.items()))


_ROWS = {"scene": "scenes", "caption": "captions", "detect": "detections", "ground": "places"}
