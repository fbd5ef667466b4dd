"""The command line as a user types it, on the model that comes with Chiasm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from chiasm.cli.app import app
from chiasm.data.worlds.scenes import Scenes


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn pictures and one that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    scenes = Scenes("test", count=2)
    for i in range(2):
        Image.fromarray(scenes[i].image).save(folder / f"{i}.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


def test_see_prints_a_json_object_a_photo_and_names_the_broken_one(photos):
    result = run("see", photos, "--json", "-q", "what is the scene?", "--find", "lamp")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["0.png", "1.png", "broken.jpg"]
    assert "broken.jpg" in lines[2]["error"]
    assert result.exit_code == 1
    for line in lines[:2]:
        assert set(line) == {"image", "scene_type", "caption", "objects", "answer", "grounded", "notice"}
        assert set(line["grounded"]) == {"lamp"}
        assert all(set(thing) == {"name", "box", "score"} for thing in line["objects"])
        assert line["notice"] is None


def test_see_shows_a_panel_and_saves_the_overlay(photos, tmp_path):
    result = run("see", photos / "0.png", "--overlay", tmp_path / "seen.png")
    assert result.exit_code == 0, result.output
    assert all(word in result.stdout for word in ("scene", "caption", "objects"))
    assert Image.open(tmp_path / "seen.png").size == (480, 480)


def test_a_picture_from_elsewhere_gets_a_notice(tmp_path):
    """Noise is nothing like the drawn world."""
    Image.effect_noise((300, 200), 90).convert("RGB").save(tmp_path / "noise.png")
    result = run("see", tmp_path / "noise.png", "--json")
    assert "unlike the pictures" in json.loads(result.stdout)["notice"]


def test_examine_scores_and_reports_and_the_same_command_changes_nothing(tmp_path):
    arguments = ("examine", "chiasm-tiny", "scenes:test?count=4", "--out", tmp_path / "run", "--batch", 2)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"report: {tmp_path / 'run' / 'report.html'}" in result.stdout
    rows = (tmp_path / "run" / "samples.jsonl").read_bytes()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["images"] == 4
    assert {m["metric"] for m in summary["metrics"]} >= {
        "scene.accuracy",
        "answer.exact",
        "detect.recall",
        "ground.iou",
    }
    assert "</html>" in (tmp_path / "run" / "report.html").read_text()
    assert run(*arguments).exit_code == 0
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == rows
    other = run(*arguments, "--pictures", "blank")
    assert other.exit_code == 1
    assert "blank" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("see", "nowhere.png"), "nowhere.png"),
        (("see", "x.png", "--model", "chiasm-tyni"), "no such model folder"),
        (("examine", "chiasm-tiny", "scene:test", "--out", "run"), "did you mean 'scenes'"),
        (("train", "chiasm-tini", "--out", "run"), "did you mean 'chiasm-tiny'"),
        (("train", "chiasm-tiny", "--out", "run", "tune.stesp=3"), "did you mean 'steps'"),
        (("train", "chiasm-tiny", "--out", "run", "tunes.steps=3"), "did you mean 'tune'"),
        (("report", "norun"), "norun"),
        (("card", "notraining", "norun"), "not a finished training folder"),
    ],
)
def test_a_wrong_input_is_a_sentence_and_exit_code_1(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[1] == "x.png":
        Image.new("RGB", (4, 4)).save("x.png")
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("chiasm: ")
    assert "Traceback" not in result.output
    assert not Path("run").exists() or not any(Path("run").iterdir())


def test_preview_draws_the_sheet(tmp_path):
    result = run("data", "preview", "scenes:test", "--count", 2, "--out", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "sheet.png").width > 600


@pytest.mark.parametrize(
    "arguments", [["--help"], ["score", "--help"], ["score", "pope", "--help"], ["probe", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"torch", "numpy", "PIL", "matplotlib", "jinja2", "rapidfuzz", "pydantic", "chiasm.score.bootstrap"}
    code = (
        f"import sys; from chiasm.cli.app import app; app({arguments}, standalone_mode=False);"
        f"sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert "Usage" in done.stdout
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_scoring_and_reporting_never_import_torch():
    code = "import sys, chiasm.examine.run, chiasm.report.html, chiasm.report.card; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
