"""compare and slice over run folders of either kind, as Python calls and as commands."""

import json
from pathlib import Path

import pytest
from fake_examinees import Oracle, Pictures
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.errors import ConfigError, DataError, RunError
from chiasm.examine.compare_runs import compare_runs, named_runs
from chiasm.examine.run import examine
from chiasm.examine.scored import read_scored
from chiasm.examine.slice_run import slice_run
from chiasm.examine.summary import summarise
from chiasm.score.choice.pope import score_pope
from chiasm.score.score_folder import write_score


def pope_run(folder: Path, name: str, right: list[bool]) -> Path:
    questions, answers = folder / "coco_pope_random.json", folder / f"{name}.jsonl"
    rows = [
        {"question_id": i, "image": f"{i}.jpg", "text": f"Is there a cup {i}?", "label": "yes" if i % 2 else "no"}
        for i in range(len(right))
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    said = ["yes" if (row["label"] == "yes") == hit else "no" for row, hit in zip(rows, right, strict=True)]
    lines = [
        {"question_id": i, "question": row["text"], "answer": text}
        for i, (row, text) in enumerate(zip(rows, said, strict=True))
    ]
    answers.write_text("\n".join(map(json.dumps, lines)))
    write_score(folder / name, score_pope([questions], [answers]), {"truth": questions, "predictions": answers})
    return folder / name


def test_two_pope_runs_are_compared_in_the_metrics_that_rank(tmp_path: Path) -> None:
    # 60 questions: 50 against 30 right, nested, so 20 wins and no loss: McNemar's p is 2 / 2 ** 20.
    runs = [
        pope_run(tmp_path, "good", [i < 50 for i in range(60)]),
        pope_run(tmp_path, "bad", [i < 30 for i in range(60)]),
    ]
    found = compare_runs(named_runs(runs))
    by_metric = {one.metric: one for one in found.differences}
    assert set(by_metric) == {
        "accuracy",
        "precision",
        "recall",
        "f1",
    }  # a yes-ratio and a share of unparsed answers rank nothing
    assert by_metric["accuracy"].gap.p == pytest.approx(2 / 2**20)
    assert by_metric["accuracy"].sentence.startswith("good is better than bad in accuracy: 0.8333 against 0.5")
    alone = compare_runs(named_runs(runs), metrics=["f1"])
    assert [one.metric for one in alone.differences] == ["f1"]


def test_the_commands(tmp_path: Path) -> None:
    runs = [str(pope_run(tmp_path, name, [i < n for i in range(60)])) for name, n in (("good", 50), ("bad", 30))]
    ran = CliRunner().invoke(app, ["compare", *runs])
    assert ran.exit_code == 0
    assert "good is better than bad in accuracy" in ran.output.replace("\n", " ")
    ran = CliRunner().invoke(app, ["compare", *runs, "--json"])
    assert json.loads(ran.output)["differences"][0]["verdict"] == "first better"
    ran = CliRunner().invoke(app, ["slice", runs[0], "--metric", "accuracy", "--json"])
    assert json.loads(ran.output)["accuracy"]["overall"]["value"] == pytest.approx(50 / 60)
    ran = CliRunner().invoke(app, ["slice", runs[0], "--by", "colour"])
    assert ran.exit_code == 1
    assert "colour" in ran.output
    ran = CliRunner().invoke(app, ["compare", runs[0], str(tmp_path)])
    assert ran.exit_code == 1


def test_examined_runs_come_with_the_numbers_of_their_summary(tmp_path: Path) -> None:
    data = Pictures()
    examine(Oracle(data), data, tmp_path / "run", batch=4, progress=False)
    score, measures = read_scored(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    expected = {
        entry["metric"]: entry["value"] for entry in summarise(rows, replicates=2)["metrics"] if entry["slice"] is None
    }
    sums = {
        name: sum(item.statistics.get(name, 0.0) for item in score.items)
        for item in score.items
        for name in item.statistics
    }
    found = {name: float(measure.of(sums)) for name, measure in measures.items()}  # type: ignore[arg-type]
    assert found == pytest.approx(expected, abs=1e-6)
    assert measures["existence.yes_ratio"].better is None
    assert measures["caption.hallucinated"].better == "lower"
    searches = slice_run(score, measures, ["kind"], ["answer.exact"], min_n=5)
    assert {found.value.slice for found in searches["answer.exact"].slices} >= {("kind", "count")}


def test_runs_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "first" / "run", tmp_path / "second" / "run"
    assert list(named_runs([a, b])) == ["first/run", "second/run"]
    assert list(named_runs([a, tmp_path / "other"])) == ["run", "other"]
    with pytest.raises(ConfigError, match="same run"):
        named_runs([a, a])


def test_what_is_refused(tmp_path: Path) -> None:
    run = pope_run(tmp_path, "one", [True] * 10)
    with pytest.raises(DataError, match="two scores or more"):
        compare_runs({"one": run})
    with pytest.raises(ConfigError, match="no metric 'F1'"):
        compare_runs({"one": run, "two": run}, metrics=["F1"])
    with pytest.raises(RunError):
        compare_runs({"one": run, "two": tmp_path / "nothing"})
    with pytest.raises(RunError, match=r"one\.jsonl is a file, expected a run folder"):
        read_scored(tmp_path / "one.jsonl")
    score, measures = read_scored(run)
    with pytest.raises(ConfigError, match="no metric 'F1'"):
        slice_run(score, measures, metrics=["F1"])


def test_detections_whose_file_has_changed_are_not_compared(tmp_path: Path, shared_data: Path) -> None:
    from chiasm.score.regions.coco import score_coco

    content = json.loads((shared_data / "coco-mini/annotations/instances_val2017.json").read_text())
    content["images"] = content["images"][:30]
    kept = {image["id"] for image in content["images"]}
    content["categories"] = [row for row in content["categories"] if row["name"] == "person"]
    content["annotations"] = [
        row for row in content["annotations"] if row["image_id"] in kept and row["category_id"] == 1
    ]
    rows = json.loads((shared_data / "coco-mini/predictions/fastestdet_val2017.json").read_text())
    rows = [row for row in rows if row["image_id"] in kept and row["category_id"] == 1]
    truth, real, changed = (tmp_path / name for name in ("truth.json", "real.json", "changed.json"))
    for path, written in ((truth, content), (real, rows), (changed, rows[::2])):
        path.write_text(json.dumps(written))
    for name, path in (("real", real), ("half", changed)):
        write_score(tmp_path / name, score_coco(truth, path, replicates=0), {"truth": truth, "predictions": path})
    runs = named_runs([tmp_path / "real", tmp_path / "half"])
    found = compare_runs(runs, metrics=["AR100"])
    assert found.differences[0].gap.difference > 0
    with pytest.raises(ConfigError, match="by slice"):
        compare_runs(runs, slices=["category"])
    changed.write_text("[]")
    with pytest.raises(RunError, match="has changed since"):
        compare_runs(runs)
