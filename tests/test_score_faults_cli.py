"""`chiasm errors` as a user types it, on folders of `chiasm score` and of `chiasm examine`."""

import csv
import json
from pathlib import Path

import pytest
from fake_examinees import DoesEverythingWrong, Pictures
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.examine.faults import read_faults
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_summary
from chiasm.score.faults import fault_costs


def run(*arguments: str | Path):  # type: ignore[no-untyped-def]
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """POPE folders of two models: the first says yes twice too often, the second once, and both miss one."""
    questions = tmp_path / "q.json"
    labels = ["yes", "no"] * 4
    rows = [
        {"question_id": n, "image": f"{n}.jpg", "text": f"Is there a thing {n} in the image?", "label": label}
        for n, label in enumerate(labels)
    ]
    questions.write_text(json.dumps(rows))
    for name, wrong in (("one", {1, 3, 4}), ("two", {1, 4})):
        said = [{"yes": "no", "no": "yes"}[label] if n in wrong else label for n, label in enumerate(labels)]
        answers = [{"question_id": n, "text": text} for n, text in enumerate(said)]
        (tmp_path / "a.json").write_text(json.dumps(answers))
        assert (
            run("score", "pope", "--gt", questions, "--pred", tmp_path / "a.json", "-o", tmp_path / name).exit_code == 0
        )
    return tmp_path / "one", tmp_path / "two"


def test_tables_of_two_models(folders: tuple[Path, Path]) -> None:
    result = run("errors", *folders)
    assert result.exit_code == 0, result.output
    assert "one: pope, 3 of 8 items with a mistake" in result.output
    assert "+0.2500" in result.output  # accuracy, were the first model's two hallucinations not there
    assert "one against two: items with a mistake" in result.output
    assert "2 times all models say the same against the truth" in result.output


def test_the_page_beside_the_tables(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("errors", *folders, "--report", tmp_path / "page.html", "--json")
    assert result.exit_code == 0, result.output
    json.loads(result.stdout)
    assert "What the faults cost" in (tmp_path / "page.html").read_text("utf-8")


def test_json_and_csv_have_every_fault(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("errors", *folders, "--json", "-o", tmp_path / "out" / "faults.csv")
    content = json.loads(result.output)
    assert [fault["kind"] for fault in content["runs"]["one"]["faults"]] == [
        "hallucination", "hallucination", "missed_object",
    ]  # fmt: skip
    costs = content["runs"]["one"]["table"][0]["costs"]
    assert {cost["metric"] for cost in costs} == {"accuracy", "precision", "f1", "yes_ratio"}
    assert len(content["suspects"]["found"]) == 2
    with open(tmp_path / "out" / "faults.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["one"] * 3 + ["two"] * 2
    assert rows[0]["asked"] == "Is there a thing 1 in the image?"


def test_wrong_use_is_a_sentence(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("errors", folders[0], "--metric", "cider")
    assert result.exit_code == 1
    assert "no metric 'cider'" in result.output
    assert run("errors", tmp_path / "nothing").exit_code == 1


def test_an_examined_run_shows_the_same_kinds_and_costs(tmp_path: Path) -> None:
    pictures = Pictures(6)
    examine(DoesEverythingWrong(pictures), pictures, tmp_path / "run")
    run_faults = read_faults(tmp_path / "run")
    summed = {entry["kind"]: entry for entry in read_summary(tmp_path / "run")["errors"]}
    for kind, entry in summed.items():
        counted = [fault for fault in run_faults.faults if fault.kind == kind and fault.cause != "loose"]
        assert len(counted) == entry["count"]
    costs = fault_costs(run_faults.score, run_faults.faults, run_faults.measures, replicates=10)
    for cost in costs:
        if cost.cause is None and cost.metric != "existence.yes_ratio":  # which has no best value
            assert cost.change == pytest.approx(summed[cost.kind]["cost"][cost.metric]["change"], abs=1e-5)
    result = run("errors", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "wrong_scene" in result.output


def test_a_metric_that_no_repair_changes_is_named(tmp_path: Path) -> None:
    types = {"structural": "query", "semantic": "obj", "detailed": "d"}
    asked = {
        str(n): {"question": "q", "answer": "cat", "imageId": str(n), "entailed": [str(1 - n)], "types": types}
        for n in range(2)
    }
    (tmp_path / "q.json").write_text(json.dumps(asked))
    (tmp_path / "a.json").write_text(
        json.dumps([{"questionId": str(n), "prediction": said} for n, said in enumerate(("cat", "dog"))])
    )
    run("score", "gqa", "--gt", tmp_path / "q.json", "--pred", tmp_path / "a.json", "-o", tmp_path / "gqa")
    result = run("errors", tmp_path / "gqa")
    assert "The cost in consistency is not known: it is over entailed questions" in result.output
    told = json.loads(run("errors", tmp_path / "gqa", "--json").output)
    assert list(told["runs"]["gqa"]["without_cost"]) == ["consistency"]
