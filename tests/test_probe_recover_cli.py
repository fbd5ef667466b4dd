"""The commands on a few drawn pictures: the table, the file, and what goes wrong."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.probe.feature_file import read_features
from chiasm.probe.measurement_file import read_measurements

RUNNER = CliRunner()


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, ["probe", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_recover(tmp_path: Path) -> None:
    command = ("recover", "chiasm-tiny", "scenes:test", "-n", "16", "-o", tmp_path, "--methods", "ridge", "--export")
    code, out, _ = run(*command)
    assert code == 0
    assert "ridge.r2" in out
    assert "control: a connector with random weights" in out
    names = [m.name for m in read_measurements(tmp_path / "recover.json")]
    assert names[:3] == ["ridge.r2", "ridge.mse", "ridge.cosine"]
    assert {"ridge.round_trip_r2", "ridge-16.r2@1", "ridge.r2@10"} <= set(names)
    features, ids = read_features(tmp_path / "reconstructed-ridge.safetensors")
    assert len(features) == len(ids) == 4
    assert features.site == "encoder"


def test_recover_between_other_sites_as_json(tmp_path: Path) -> None:
    command = ("recover", "chiasm-tiny", "scenes:test", "-n", "12", "-o", tmp_path, "--methods", "ridge", "--no-curve")
    code, out, _ = run(*command, "--from", "encoder.0", "--to", "connector.in", "--json")
    assert code == 0
    found = json.loads(out)
    assert [m["name"] for m in found] == ["ridge.r2", "ridge.mse", "ridge.cosine"]
    assert found[0]["sites"] == ["encoder.0", "connector.in"]
    assert found[0]["control"] is None


def test_perturb(tmp_path: Path) -> None:
    code, out, _ = run("perturb", "chiasm-tiny", "scenes:test", "-n", "2", "-o", tmp_path, "--no-captions",
                       "--questions", "1")  # fmt: skip
    assert code == 0
    assert "answer.kl" in out
    assert " rank@1 " in out
    found = read_measurements(tmp_path / "perturb.json")
    assert len(found) == 2 * 15
    assert all(m.ceiling is not None and m.ceiling.value == 0 for m in found)


def test_readout(tmp_path: Path) -> None:
    code, out, _ = run("readout", "chiasm-tiny", "scenes:test", "-n", "48", "-o", tmp_path, "--sites",
                       "encoder,connector", "--width", "8")  # fmt: skip
    assert code == 0
    assert " count.r2 " in out
    assert " red" not in out
    found = read_measurements(tmp_path / "readout.json")
    assert any(m.settings["fact"] for m in found)
    lost = next(m for m in found if m.name == "color.lost")
    assert lost.sites == ("encoder", "connector")
    assert lost.control is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recover", "chiasm-tiny", "scenes:test", "--methods", "magic"), "no reconstructor is called 'magic'"),
        (("recover", "chiasm-tiny", "scenes:test", "-n", "5", "--to", "decoder"), "no site"),
        (("recover", "chiasm-tiny", "scenes:test", "-n", "5", "--by", "folder"), "is no file"),
        (("perturb", "no-such-model", "scenes:test"), "no such model folder"),
    ],
)
def test_what_goes_wrong_is_a_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run(*arguments, "-o", tmp_path)
    assert code == 1
    assert message in " ".join(err.split())
    assert not list(tmp_path.iterdir())


def test_tokens_without_places_are_recovered_by_a_sequence_model(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tiny_checkpoints import checkpoint

    code, _, err = run("recover", checkpoint("idefics2"), "scenes:test", "-n", "8", "-o", tmp_path)
    assert (code, err.count("chiasm:")) == (0, 0)
    names = [m.name for m in read_measurements(tmp_path / "recover.json")]
    assert names[0] == "sequence-128x2.r2"
    assert "sequence-128x2.round_trip_r2" in names
    assert not any("@" in name for name in names)


def test_photos_have_no_facts(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for shade in range(8):
        Image.new("RGB", (32, 32), (30 * shade, 0, 0)).save(tmp_path / "photos" / f"{shade}.png")
    code, _, err = run("readout", "chiasm-tiny", tmp_path / "photos", "-o", tmp_path / "out")
    assert code == 1
    assert "no picture has annotated objects" in err
