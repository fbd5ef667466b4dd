"""Diagnosing the answers of a run of `chiasm examine`: the same items and verdicts, and runs that are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.controls import with_pictures
from chiasm.data.open import open_dataset
from chiasm.errors import RunError
from chiasm.examine.diagnosis.answers import ask
from chiasm.examine.diagnosis.examined import ExaminedRun
from chiasm.examine.run import examine
from chiasm.probe.asked import Asked
from chiasm.tasks.see import Pipeline
from chiasm.tasks.vlm import open_pipeline
from chiasm.types import Dataset, Example

SPEC = "scenes:test?count=6"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    found = open_pipeline("chiasm-tiny")
    return Pipeline(language=found.language, name=found.name, description=found.description, model=found.model)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return open_dataset(SPEC)


@pytest.fixture
def run(pipeline: Pipeline, dataset: Dataset, tmp_path: Path) -> Path:
    examine(pipeline, dataset, tmp_path / "run", batch=3, progress=False)
    return tmp_path / "run"


def change_rows(run: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    rows = [change(json.loads(line)) for line in (run / "samples.jsonl").read_text().splitlines()]
    (run / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def test_a_run_says_what_asking_again_says(pipeline: Pipeline, dataset: Dataset, run: Path) -> None:
    found = ExaminedRun(run, dataset, pipeline.describe())
    assert (found.pictures, found.unopened, found.other_rows) == (6, frozenset(), {"caption": 6})
    asked = Asked.of(dataset, found.pictures)
    assert pipeline.model is not None
    again = ask(pipeline.model, asked, batch=3)
    taken = ask(pipeline.model, asked, batch=3, examined=found.answers(asked))
    assert taken.text == again.text
    for column in ("right", "blind", "logprob", "logprob_blind"):
        assert np.array_equal(getattr(taken, column), getattr(again, column)), column


def test_right_and_wrong_are_the_runs_own(pipeline: Pipeline, dataset: Dataset, run: Path) -> None:
    change_rows(run, lambda row: row | ({"parsed": "seven", "right": False} if "/count/" in row["id"] else {}))
    asked = Asked.of(dataset, 6)
    found = ExaminedRun(run, dataset, pipeline.describe()).answers(asked)
    counts = asked.kinds() == "count"
    assert counts.any()
    assert {text for text, is_count in zip(found.text, counts, strict=True) if is_count} == {"seven"}
    assert not np.array(found.right)[counts].any()
    assert np.array(found.right)[~counts].mean() > 0.8


@pytest.mark.parametrize("pictures", ["blank", "shuffled"])
def test_a_control_is_refused(pipeline: Pipeline, dataset: Dataset, pictures: str, tmp_path: Path) -> None:
    examine(pipeline, with_pictures(dataset, pictures), tmp_path, limit=1, progress=False)
    with pytest.raises(RunError, match=f"examined with {pictures} pictures, a control"):
        ExaminedRun(tmp_path, dataset, pipeline.describe())


def test_runs_of_something_else_are_refused(pipeline: Pipeline, dataset: Dataset, run: Path) -> None:
    with pytest.raises(RunError, match="another dataset: scenes:test with 6 pictures, not scenes:test with 7"):
        ExaminedRun(run, open_dataset("scenes:test?count=7"), pipeline.describe())
    with pytest.raises(RunError, match=r"another model: chiasm-tiny, not other \(other decoding, weights\)"):
        ExaminedRun(run, dataset, pipeline.describe() | {"name": "other", "weights": "w", "decoding": "sampled"})
    ExaminedRun(run, dataset, pipeline.describe() | {"name": "renamed"})
    with pytest.raises(RunError, match=r"manifest\.json is missing"):
        ExaminedRun(run / "images", dataset, pipeline.describe())
    summary = (run / "summary.json").read_text()
    (run / "summary.json").unlink()
    with pytest.raises(RunError, match="not finished"):
        ExaminedRun(run, dataset, pipeline.describe())
    (run / "summary.json").write_text(summary)
    lost = Asked.of(dataset, 6).questions[2][0].id.removeprefix(f"{dataset[2].id}/")
    change_rows(run, lambda row: None if row["id"] == f"{dataset[2].id}/answer/{lost}" else row)
    with pytest.raises(RunError, match=f"answer/{lost} is missing"):
        ExaminedRun(run, dataset, pipeline.describe()).answers(Asked.of(dataset, 6))
    change_rows(run, lambda row: row | {"prompt": "Why?"})
    with pytest.raises(RunError, match=r"was asked as 'Why\?', not "):
        ExaminedRun(run, dataset, pipeline.describe()).answers(Asked.of(dataset, 6))
    change_rows(run, lambda row: row if row["task"] == "caption" else None)
    with pytest.raises(RunError, match="no answers to questions, only 6 captions"):
        ExaminedRun(run, dataset, pipeline.describe())
    score = {"kind": "score", "task": "vqa"}
    (run / "manifest.json").write_text(json.dumps(score))
    with pytest.raises(RunError, match="no run of `chiasm examine`"):
        ExaminedRun(run, dataset, pipeline.describe())


class OneDamaged:
    """The scenes with a picture that can't be opened."""

    object_names = scene_names = None

    def __init__(self, dataset: Dataset, damaged: int):
        self.dataset, self.damaged, self.name = dataset, damaged, dataset.name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> Example:
        from dataclasses import replace

        example = self.dataset[index]
        return replace(example, image="no-such-file.png") if index == self.damaged else example

    def fingerprint(self) -> str:
        return f"{self.dataset.fingerprint()} damaged"


def test_pictures_that_could_not_be_opened_are_left_out_and_counted(
    pipeline: Pipeline, dataset: Dataset, tmp_path: Path
) -> None:
    damaged = OneDamaged(dataset, 4)
    examine(pipeline, damaged, tmp_path, progress=False)
    found = ExaminedRun(tmp_path, damaged, pipeline.describe())
    assert found.unopened == {dataset[4].id}
    asked = Asked.of(damaged, 6, without=found.unopened)
    assert dataset[4].id not in asked.ids
    assert len(found.answers(asked).text) == sum(map(len, asked.questions))
    assert found.notes()[-1] == "1 pictures that could not be opened are left out"


def test_the_command_diagnoses_a_run_and_the_report_shows_it(run: Path, tmp_path: Path) -> None:
    command = [
        "diagnose",
        "chiasm-tiny",
        SPEC,
        "--run",
        str(run),
        "--lessons",
        "scenes:train",
        "--lesson-pictures",
        "6",
    ]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert "not the run's 6 captions" in ran.output
    assert f"chiasm report {run}" in ran.output
    assert json.loads((run / "diagnosis" / "diagnosis.json").read_text())["sizes"]
    assert CliRunner().invoke(app, ["report", str(run), "-o", str(tmp_path / "page.html")]).exit_code == 0
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    change_rows(run, lambda row: row | {"right": False})
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 1
    assert "other run" in ran.output
    ran = CliRunner().invoke(app, command[:3])
    assert ran.exit_code == 1
    assert "--out" in ran.output
    ran = CliRunner().invoke(app, ["diagnose", "chiasm-tiny", SPEC, "-o", str(tmp_path / "d"), "--lessons", SPEC])
    assert ran.exit_code == 1
    assert "very pictures that are diagnosed" in ran.output
