"""What `chiasm score` prints for a reader of 80 columns, and `--blind` of every benchmark of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app


def run(*arguments: str | Path) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def rows_of(printed: str) -> list[list[str]]:
    """The cells of the table's rows; blanks that indent the first one are kept."""
    lines = (line for line in printed.splitlines() if line.startswith("│"))
    return [
        [cells[0][1:].rstrip(), *map(str.strip, cells[1:])] for line in lines if (cells := line.strip("│").split("│"))
    ]


def docvqa(folder: Path) -> list[str | Path]:
    truth = {"data": [{"questionId": n, "question": "?", "answers": ["red"]} for n in range(4)]}
    said = [[{"questionId": n, "answer": "red" if n < k else "blue"} for n in range(4)] for k in (3, 2)]
    return ["docvqa", "--gt", written(folder / "t", truth), *predicted(folder, said)]


def chartqa(folder: Path) -> list[str | Path]:
    truth = [{"imgname": f"{n}", "query": "?", "label": "red"} for n in range(4)]
    said = [[{"question_id": n, "answer": "red" if n < k else "blue"} for n in range(4)] for k in (3, 2)]
    return ["chartqa", "--gt", written(folder / "t", truth), *predicted(folder, said)]


def daquar(folder: Path) -> list[str | Path]:
    truth = "".join(f"what ?\nred\nimage{n}\n" for n in range(4))
    said = ["\n".join("red" if n < k else "blue" for n in range(4)) for k in (3, 2)]
    return ["daquar", "--gt", written(folder / "t", truth), *predicted(folder, said)]


def nlvr2(folder: Path) -> list[str | Path]:
    truth = "".join(
        json.dumps({"identifier": f"dev-{n}-0-0", "sentence": "?", "label": "True"}) + "\n" for n in range(4)
    )
    said = [[{"identifier": f"dev-{n}-0-0", "prediction": str(n < k)} for n in range(4)] for k in (3, 2)]
    return ["nlvr2", "--gt", written(folder / "t", truth), *predicted(folder, said)]


def predicted(folder: Path, said: list[Any]) -> list[str | Path]:
    return ["--pred", written(folder / "seeing", said[0]), "--blind", written(folder / "blind", said[1])]


@pytest.mark.parametrize("task", [docvqa, chartqa, daquar, nlvr2])
def test_the_same_model_without_the_pictures(task: Any, tmp_path: Path) -> None:
    """Three of four are right with the picture, the first two of them also without."""
    values = json.loads(run("score", *task(tmp_path), "--json"))["metrics"]
    found = {value["metric"]: value["value"] for value in values if value["slice"] is None}
    main = next(iter(found))
    assert found[main] == 0.75
    assert found[f"baseline.blind.{main}"] == 0.5
    assert found[f"right_blind_too.{main}"] == pytest.approx(2 / 3)


def test_baselines_stand_under_their_metric_and_nothing_wraps(tmp_path: Path) -> None:
    rows = rows_of(run("score", *daquar(tmp_path)))
    names = [row[0] for row in rows]
    at = names.index("accuracy")
    assert names[at + 1 : at + 5] == [
        "  baseline majority",
        "  baseline majority by question type",
        "  baseline blind",
        "  right blind too",
    ]
    assert [row[1] for row in rows[at : at + 5]] == ["0.7500", "1.0000", "1.0000", "0.5000", "0.6667"]
    assert all(len(row) == 4 and row[3].isdecimal() for row in rows)


def test_a_slice_with_one_metric_has_its_baselines_below(tmp_path: Path) -> None:
    people = [{"answer": "red", "answer_id": n} for n in range(10)]
    truth = [
        {"question_id": n, "image_id": n, "question_type": "what" if n < 5 else "who", "answers": people}
        for n in range(8)
    ]
    said = [{"question_id": n, "answer": "red"} for n in range(8)]
    rows = rows_of(run("score", "vqa", "--gt", written(tmp_path / "t", truth), "--pred", written(tmp_path / "p", said)))
    names = [row[0] for row in rows]
    at = names.index("question_type: what, accuracy")
    assert names[at : at + 4] == [
        "question_type: what, accuracy", "  baseline majority", "question_type: who, accuracy", "  baseline majority",
    ]  # fmt: skip


def test_what_the_unparsed_answers_could_add_is_said(tmp_path: Path) -> None:
    """One of four is right, one is missing, one is empty, one is wrong: 1 of 4, and 3 of 4 at most."""
    truth = {"data": [{"questionId": n, "question": "?", "answers": ["red"]} for n in range(4)]}
    said = [{"questionId": 0, "answer": "red"}, {"questionId": 1, "answer": ""}, {"questionId": 2, "answer": "blue"}]
    files = ["--gt", written(tmp_path / "t", truth), "--pred", written(tmp_path / "p", said), "--missing-wrong"]
    printed = " ".join(run("score", "docvqa", *files).split())
    assert (
        "2 of 4 items could not be parsed and count as wrong; if all of them were right, anls would be 0.7500"
        in printed
    )
    assert "no prediction: 1 of 4 questions" in printed
    summary = json.loads(run("score", "docvqa", *files, "--json"))
    assert summary["if_unparsed_were_right"] == {"anls": 0.75, "anls_paper": 0.75, "exact": 0.75}
    whole = json.loads(run("score", *docvqa(tmp_path), "--json"))
    assert (whole["unparsed"], whole["if_unparsed_were_right"]) == (0, {})


def test_a_detector_shows_the_cost_in_ap_and_ap50_side_by_side(tmp_path: Path) -> None:
    """A box found, one whose IoU of .4 is too low, an object missed: repairs add to both, and a share of items, which
    would mix detections with objects, is not shown."""
    truth = {
        "images": [{"id": 1, "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": [30 * n, 0, 20, 20], "area": 400, "iscrowd": 0}
            for n in range(3)
        ],
    }
    said = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [30, 0, 20, 8], "score": 0.8},
    ]
    files = ["--gt", written(tmp_path / "t.json", truth), "--pred", written(tmp_path / "p.json", said)]
    run("score", "coco-det", *files, "--replicates", "10", "--out", tmp_path / "run")
    table = run("errors", tmp_path / "run")
    assert "count ┃ change of AP ┃ change of AP50" in table
    assert "of items" not in table
    # Of 101 recalls, one true box of three reaches 34; two of two objects, 101.
    missed = next(row for row in rows_of(table) if row[0] == "missed_object")
    assert missed[1:] == [
        "1",
        f"+{(51 - 34) / 101:.3f}".replace("0.", "."),
        f"+{(51 - 34) / 101:.3f}".replace("0.", "."),
    ]
    only = run("errors", tmp_path / "run", "--metric", "AP")
    assert "change of AP " in only
    assert "AP50" not in only
