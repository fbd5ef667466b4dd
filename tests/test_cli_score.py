"""`chiasm score TASK` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app

QUESTIONS = [
    {"question_id": n, "image": f"{n // 2}.jpg", "text": f"Is there a thing {n}?", "label": label}
    for n, label in enumerate(["yes", "no", "yes", "no"], 1)
]


def run(*arguments: str | Path):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, [str(a) for a in arguments])


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pope(tmp_path: Path) -> tuple[str, ...]:
    """Three of four right: a miss, no false alarm."""
    said = ["Yes, there is.", "No.", "no", "No, there is not."]
    answers = [{"question_id": q["question_id"], "text": text} for q, text in zip(QUESTIONS, said, strict=True)]
    questions, predictions = lines(tmp_path / "random.json", QUESTIONS), lines(tmp_path / "said.jsonl", answers)
    return "score", "pope", "--gt", str(questions), "--pred", str(predictions)


def test_a_table_with_its_dialect(pope) -> None:  # type: ignore[no-untyped-def]
    result = run(*pope)
    assert result.exit_code == 0, result.output
    assert "pope, dialect official" in result.output
    assert "0.7500" in result.output


def test_json_and_run_folder_hold_the_same_numbers(pope, tmp_path) -> None:  # type: ignore[no-untyped-def]
    result = run(*pope, "--json", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.output)
    values = {v["metric"]: v["value"] for v in printed["metrics"] if v["slice"] is None}
    assert (values["accuracy"], values["precision"], values["recall"]) == (0.75, 1.0, 0.5)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["yes_ratio"] == 0.25
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == printed
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert [row["id"].rsplit("/")[-1] for row in rows] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("accuracy<0.8", 1), ("accuracy<0.75", 0), ("accuracy<=0.75", 1), ("f1>0.9", 0), ("accuracy>=7.5e-1", 1),
        ("accuracy[split=random] < 0.8", 1), ("accuracy[split=random]<0.75", 0),
    ],
)  # fmt: skip
def test_fail_if(pope, limit: str, code: int) -> None:  # type: ignore[no-untyped-def]
    result = run(*pope, "--fail-if", limit)
    assert result.exit_code == code, result.output
    assert ("accuracy is 0.7500" in result.output) == (code == 1)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("cider<1", "no metric 'cider'"),
        ("accuracy", "is not a limit"),
        (
            "accuracy[split=popular]<1",
            "no slice split=popular to hold against 'accuracy[split=popular]<1', only split=",
        ),
        ("cider[split=random]<1", "no metric 'cider'"),
    ],
)
def test_a_limit_that_cannot_be_checked_does_not_pass(pope, limit: str, message: str) -> None:  # type: ignore[no-untyped-def]
    result = run(*pope, "--fail-if", limit)
    assert result.exit_code == 1
    assert message in result.output


def test_the_same_answers_blind(pope) -> None:  # type: ignore[no-untyped-def]
    """All that it has right it has right blind too, and baselines are no method of intervals."""
    result = run(*pope, "--blind", pope[-1], "--json")
    assert result.exit_code == 0, result.output
    values = {v["metric"]: v["value"] for v in json.loads(result.output)["metrics"] if v["slice"] is None}
    assert (values["baseline.blind.accuracy"], values["right_blind_too.accuracy"]) == (0.75, 1.0)
    [note] = [line for line in run(*pope).output.splitlines() if line.startswith("note: intervals")]
    assert "baseline" not in note


def test_a_wrong_file_is_a_sentence(tmp_path) -> None:  # type: ignore[no-untyped-def]
    questions = lines(tmp_path / "random.json", QUESTIONS)
    predictions = lines(tmp_path / "said.jsonl", [{"question_id": 1, "text": "yes"}])
    result = run("score", "pope", "--gt", questions, "--pred", predictions)
    assert result.exit_code == 1
    assert "said.jsonl" in result.output
    assert "Traceback" not in result.output


def test_every_dialect_side_by_side(tmp_path) -> None:  # type: ignore[no-untyped-def]
    people = [{"answer": "A cat", "answer_id": n} for n in range(1, 11)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"annotations": [{"question_id": 5, "image_id": 2, "answers": people}]}))
    predictions = tmp_path / "said.json"
    predictions.write_text(json.dumps([{"question_id": 5, "answer": "cat"}]))
    files = ("--gt", truth, "--pred", predictions)
    [table] = run("score", "vqa", *files, "--dialects").output.split("vqa in 8 dialects")[1:]
    assert table.count("│ accuracy ") == 8
    assert "note: simple: 'simple' is not the VQA accuracy" in table
    result = run("score", "vqa", *files, "--dialects", "--json")
    assert result.exit_code == 0, result.output
    found = {score["dialect"]: score["metrics"][0]["value"] for score in map(json.loads, result.output.splitlines())}
    assert found["official"] == 0, "the official script compares unanimous answers as they are written"
    assert found["lmms"] == 1


def test_published_caption_numbers(shared_data) -> None:  # type: ignore[no-untyped-def]
    folder = shared_data / "scoring" / "clipscore"
    result = run("score", "captions", "--gt", folder / "refs.json", "--pred", folder / "good_captions.json", "--json")
    assert result.exit_code == 0, result.output
    values = {v["metric"]: v["value"] for v in json.loads(result.output)["metrics"]}
    assert [round(values[f"bleu_{n}"], 4) for n in (1, 2, 3)] == [0.6667, 0.4899, 0.3469]
    assert round(values["rouge_l"], 4) == 0.4280
    assert round(values["cider_d"], 4) == 0.5637


def test_slices_of_one_number_are_one_line_each(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [{"id": n, "image": "a", "category": name, "bbox": [0, 0, 9, 9]} for n, name in enumerate(("cup", "cat"))]
    said = [{"id": n, "point": [1, 1]} for n in range(2)]
    truth, points = lines(tmp_path / "truth.jsonl", rows), lines(tmp_path / "points.jsonl", said)
    result = run("score", "pointing", "--gt", truth, "--pred", points)
    assert "│ category: cat, hit" in result.output
    assert "│ category: cup, hit" in result.output


def test_a_real_detectors_boxes(shared_data) -> None:  # type: ignore[no-untyped-def]
    coco = shared_data / "coco-mini"
    truth, said = coco / "annotations/instances_val2017.json", coco / "predictions/fastestdet_val2017.json"
    result = run("score", "coco-det", "--gt", truth, "--pred", said, "--replicates", 0, "--json")
    assert result.exit_code == 0, result.output
    values = {v["metric"]: v["value"] for v in json.loads(result.output)["metrics"] if v["slice"] is None}
    assert [round(values[name], 3) for name in ("AP", "AP50", "AR100")] == [0.178, 0.343, 0.239]


def test_doctor_lists_all_problems_at_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [{"question_id": 1, "answer": "cat"}, {"question_id": 1, "answer": "dog"}, {"question_id": 2, "answer": ""}]
    result = run("doctor", lines(tmp_path / "said.jsonl", rows))
    assert result.exit_code == 1
    assert "3 records, kinds of errors: 1, of warnings: 1" in result.output
    assert run("doctor", lines(tmp_path / "fine.jsonl", rows[:1])).exit_code == 0


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from chiasm.cli.app import app;"
        "assert CliRunner().invoke(app, ['score', '--help']).exit_code == 0;"
        "import chiasm.score.captioning.score, chiasm.score.vqa.accuracy, chiasm.score.regions.coco;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_tasks_of_two_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"data": [{"questionId": 4, "question": "Total?", "answers": ["12.50"]}]}))
    predictions = tmp_path / "said.json"
    predictions.write_text(json.dumps([{"questionId": 4, "answer": "12.5O"}]))
    result = run("score", "docvqa", "--gt", truth, "--pred", predictions, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["metrics"][0]["value"] == pytest.approx(0.8), "one of five letters is wrong"


def test_every_task_has_a_command() -> None:
    listed = run("score", "--help").output
    tasks = (
        "captions chair clipscore bertscore vqa textvqa vizwiz gqa docvqa infovqa chartqa daquar pope mme mmbench seed "
        "scienceqa nlvr2 groups winoground sugarcrepe coco-det coco-seg refcoco masks pointing retrieval cross-modal "
        "pictures t2i tifa vqascore similarity edit compliance"
    )
    for task in tasks.split():
        assert f" {task} " in listed, task
        assert run("score", task, "--help").exit_code == 0
