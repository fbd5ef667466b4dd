"""Run folders: what a row holds, resuming, refusing, and pictures that can't be opened."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_examinees import Oracle, Pictures
from PIL import Image

from chiasm.errors import RunError
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_manifest, read_rows, read_summary
from chiasm.examine.summary import summarise
from chiasm.types import Box, Detection, Object


def run(folder: Path, dataset: Pictures | None = None, **settings) -> Oracle:  # type: ignore[no-untyped-def]
    dataset = dataset or Pictures()
    oracle = Oracle(dataset)
    examine(oracle, dataset, folder, **{"batch": 4, "progress": False, **settings})
    return oracle


def test_a_row_is_one_prompt_and_holds_all_that_scoring_needs(tmp_path: Path) -> None:
    run(tmp_path)
    rows = read_rows(tmp_path)
    assert len(rows) == 12 * 10
    assert [row["task"] for row in rows[:10]] == ["scene", "caption", *["answer"] * 4, "detect", *["ground"] * 3]
    assert len({row["id"] for row in rows}) == len(rows)
    row = rows[2]
    assert row["id"] == "p0/answer/there"
    assert row["size"] == [80, 60]
    assert row["slices"]["variant"] == "random"
    assert row["truth"] == ["yes"]
    assert Image.open(tmp_path / row["image"]).size == (80, 60)
    assert read_summary(tmp_path) == summarise(rows)


def test_the_manifest_names_data_model_and_settings(tmp_path: Path) -> None:
    run(tmp_path, limit=5)
    manifest = read_manifest(tmp_path)
    assert manifest["dataset"] == {"name": "pictures", "fingerprint": "12-1", "examples": 12}
    assert manifest["model"]["weights"] == "oracle"
    assert manifest["model"]["prompts"] == {"caption": "Describe."}
    assert manifest["limit"] == 5
    assert {row["index"] for row in read_rows(tmp_path)} == set(range(5))


@pytest.mark.parametrize(
    ("share", "batches_left"), [(0, 3), (1e-5, 3), (0.01, 3), (0.1, 3), (0.4, 2), (0.5, 2), (0.9, 1), (1, 1)]
)
def test_a_run_cut_at_any_byte_ends_with_the_same_rows(tmp_path: Path, share: float, batches_left: int) -> None:
    run(tmp_path)
    whole = (tmp_path / "samples.jsonl").read_bytes()
    os.truncate(tmp_path / "samples.jsonl", round(share * len(whole)))
    (tmp_path / "summary.json").unlink()
    again = run(tmp_path)
    assert (tmp_path / "samples.jsonl").read_bytes() == whole
    assert len(again.calls) == batches_left  # finished batches are not asked again, except the last


def test_a_finished_run_asks_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path).calls == []


KILLED = """
import sys, time
from pathlib import Path
from fake_examinees import Oracle, Pictures
from chiasm.examine.run import examine

class Slow(Oracle):
    def classify(self, images):
        time.sleep(0.05)
        return super().classify(images)

examine(Slow(Pictures(80)), Pictures(80), Path(sys.argv[1]), batch=4, progress=False)
"""


def test_kill_minus_9_and_the_same_command_again(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(killed)], env=environment)
    samples = killed / "samples.jsonl"
    while not (samples.exists() and samples.stat().st_size > 20_000):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "summary.json").exists()
    dataset = Pictures(80)
    run(killed, dataset)
    run(tmp_path / "whole", dataset)
    assert samples.read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()
    assert (killed / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


def test_another_dataset_model_or_setting_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(RunError, match=r"dataset.fingerprint: '12-1' there, '12-2' now"):
        run(tmp_path, Pictures(version="2"))
    with pytest.raises(RunError, match=r"model.weights"):
        examine(Oracle(Pictures(), name="another"), Pictures(), tmp_path, progress=False)
    with pytest.raises(RunError, match=r"limit: None there, 3 now"):
        run(tmp_path, limit=3)
    with pytest.raises(RunError, match=r"scoring.synonyms"):
        run(tmp_path, synonyms=[("cat", "moggy")])


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    run(tmp_path)
    lines = (tmp_path / "samples.jsonl").read_bytes().split(b"\n")
    (tmp_path / "samples.jsonl").write_bytes(b"\n".join([lines[0], b"{torn", *lines[2:]]))
    with pytest.raises(RunError, match=r"samples.jsonl:2 "):
        run(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"no manifest.json"):
        run(tmp_path)
    with pytest.raises(RunError, match=r"no samples.jsonl"):
        read_rows(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"is a file"):
        run(tmp_path / "samples.jsonl")


def test_a_picture_that_cannot_be_opened_costs_its_points(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    dataset = Pictures(changed={5: {"image": broken}})
    run(tmp_path / "run", dataset)
    summary = read_summary(tmp_path / "run")
    rows = [row for row in read_rows(tmp_path / "run") if row["index"] == 5]
    assert len(rows) == 10
    assert all("broken.jpg" in row["problem"] for row in rows)
    assert all(row["errors"][0]["cause"] == "unreadable picture" for row in rows)
    assert summary["unreadable_images"] == 1
    value = next(m for m in summary["metrics"] if m["metric"] == "scene.accuracy")
    assert (value["value"], value["n"], value["unparsed"]) == (pytest.approx(11 / 12, abs=1e-6), 12, 1)


def test_pictures_without_annotation_are_looked_at_but_not_scored(tmp_path: Path) -> None:
    nothing = {"scene": None, "objects": None, "captions": (), "questions": (), "references": ()}
    run(tmp_path, Pictures(3, changed=dict.fromkeys(range(3), nothing)))
    rows = read_rows(tmp_path)
    assert [row["task"] for row in rows] == ["scene", "caption", "detect"] * 3
    assert all(row["right"] is None and not row["statistics"] and not row["errors"] for row in rows)
    summary = read_summary(tmp_path)
    assert summary["metrics"] == []
    assert summary["unscored_rows"] == 9


def test_a_photo_is_named_by_its_file_and_not_copied(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(Pictures()[0].image).save(photo)
    run(tmp_path / "run", Pictures(1, changed={0: {"image": str(photo)}}))
    assert read_rows(tmp_path / "run")[0]["image"] == str(photo)
    assert not (tmp_path / "run" / "images").exists()


def test_roles_that_are_missing_are_left_out_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    class OnlyDetects(Oracle):
        scene = language = None  # type: ignore[assignment]

    class DoesNothing(OnlyDetects):
        detector = None  # type: ignore[assignment]

    examine(OnlyDetects(Pictures()), Pictures(), tmp_path / "a", progress=False)
    assert {row["task"] for row in read_rows(tmp_path / "a")} == {"detect", "ground"}
    with pytest.raises(RunError, match="fills no role"):
        examine(DoesNothing(Pictures()), Pictures(), tmp_path / "b", progress=False)


def test_a_model_that_only_answers_leaves_pictures_without_questions_without_rows(tmp_path: Path) -> None:
    class OnlyAnswers(Oracle):
        scene = detector = None  # type: ignore[assignment]

        def caption(self, images):  # type: ignore[no-untyped-def]
            return None

    dataset = Pictures(12, changed={index: {"questions": ()} for index in (3, 4, 11)})
    examine(OnlyAnswers(dataset), dataset, tmp_path, batch=4, progress=False)
    whole = (tmp_path / "samples.jsonl").read_bytes()
    assert {row["index"] for row in read_rows(tmp_path)} == set(range(12)) - {3, 4, 11}
    (tmp_path / "summary.json").unlink()
    examine(OnlyAnswers(dataset), dataset, tmp_path, batch=4, progress=False)
    assert (tmp_path / "samples.jsonl").read_bytes() == whole
    plain = Pictures(2, changed={index: {"questions": ()} for index in (0, 1)})
    assert examine(OnlyAnswers(plain), plain, tmp_path / "plain", progress=False)["rows"] == 0


def test_a_score_that_is_no_number_is_named(tmp_path: Path) -> None:
    class Divides(Oracle):
        def objects_of(self, example):  # type: ignore[no-untyped-def]
            return Detection((Object("cat", Box(0, 0, 9, 9), score=float("nan")),))

    with pytest.raises(RunError, match=r"p0/detect: .*not finite"):
        examine(Divides(Pictures()), Pictures(), tmp_path, progress=False)


def test_a_role_that_loses_an_output_is_named(tmp_path: Path) -> None:
    class Forgets(Oracle):
        def caption(self, images):  # type: ignore[no-untyped-def]
            return super().caption(images)[1:]

    with pytest.raises(RunError, match=r"Forgets.caption returned 3 outputs for 4 inputs"):
        examine(Forgets(Pictures()), Pictures(), tmp_path, batch=4, progress=False)


def test_any_text_survives_the_row_file(tmp_path: Path) -> None:
    nasty = 'a\u2028b\r\x0b\x85 \ud800 "quoted" </script>'

    class Writes(Oracle):
        def caption_of(self, example):  # type: ignore[no-untyped-def]
            return replace(super().caption_of(example), text=nasty, raw=nasty)

    examine(Writes(Pictures(2)), Pictures(2), tmp_path, progress=False)
    row = read_rows(tmp_path)[1]
    assert row["raw"] == row["parsed"] == nasty
    assert json.loads((tmp_path / "samples.jsonl").read_text("ascii").split("\n")[1]) == row


def test_metrics_are_sliced_by_kind_variant_and_size(tmp_path: Path) -> None:
    run(tmp_path)
    entries = read_summary(tmp_path)["metrics"]
    slices = {(e["metric"], *e["slice"].items()) for e in entries if e["slice"]}
    assert ("answer.exact", ("kind", "count")) in slices
    assert ("existence.f1", ("variant", "random")) in slices
    by_size = {
        e["slice"]["object_size"]: e
        for e in entries
        if e["metric"] == "detect.recall" and "object_size" in (e["slice"] or {})
    }
    total = next(e["n"] for e in entries if e["metric"] == "detect.recall" and e["slice"] is None)
    assert sum(e["n"] for e in by_size.values()) == total
    assert ("ground.iou", ("object_size", "none")) in slices


def test_examining_and_reporting_need_no_torch() -> None:
    code = "import sys, chiasm.examine.run, chiasm.report.html; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
