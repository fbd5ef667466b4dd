"""Extraction from real kinds of models, at the command line, and by several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import one_thread  # noqa: F401
from tiny_checkpoints import checkpoint as vlm_checkpoint
from tiny_role_checkpoints import checkpoint  # noqa: F401
from tiny_sees import contents, write_pictures
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.images import open_image
from chiasm.models.adapters.transformers.encoders import open_encoder
from chiasm.models.adapters.transformers.vlm import open_vlm
from chiasm.probe.store import FeatureStore
from chiasm.probe.workers import Request, extract_here

PICTURES = 7


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["probe", "extract", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures", PICTURES)


@pytest.mark.parametrize("kind", ["llava", "qwen2_5_vl", "idefics2", "blip2"])
def test_published_models(kind: str, pictures: Path, tmp_path: Path) -> None:
    """Token counts that vary from picture to picture (Qwen), tiles and resamplers."""
    folder = vlm_checkpoint(kind)
    run(folder, pictures, "-o", tmp_path / "s", "--sites", "connector,encoder.1,encoder", "--tokens", "--batch", 3)
    store = FeatureStore.open(tmp_path / "s")
    assert store.sites == ("encoder.1", "encoder", "connector")
    model = open_vlm(str(folder), torch.float32)
    for i, path in enumerate(sorted(pictures.iterdir())):
        for site, features in model.capture([open_image(path)], store.sites).items():
            assert tuple(store.grids(site)[i]) == features.grids[0]
            np.testing.assert_allclose(store.tokens(site, i), features.tokens, rtol=1e-4, atol=1e-5)
            expected = features.tokens.mean(0)
            np.testing.assert_allclose(store.pooled(site)[i], expected, rtol=1e-4, atol=1e-5)


def test_an_encoder_as_reference_space_with_its_class_token(
    checkpoint: Callable[[str], Path],  # noqa: F811
    pictures: Path,
    tmp_path: Path,
) -> None:
    for name, has_class_token in (("dinov2", True), ("siglip", False)):
        run(checkpoint(name), pictures, "-o", tmp_path / name)
        store = FeatureStore.open(tmp_path / name)
        assert store.sites == ("encoder",)
        encoder = open_encoder(str(checkpoint(name)))
        images = [open_image(path) for path in sorted(pictures.iterdir())]
        features = encoder.encode(images)
        np.testing.assert_allclose(
            store.pooled("encoder"), [part.mean(0) for part in features.split()], rtol=1e-4, atol=1e-5
        )
        assert (features.cls is not None) == has_class_token
        if features.cls is not None:
            np.testing.assert_allclose(store.pooled("encoder", "cls"), features.cls, rtol=1e-4, atol=1e-5)
            inputs = encoder.image_processor(images[2], return_tensors="pt")
            with torch.no_grad():
                state = encoder.model(**inputs).last_hidden_state[0]
            np.testing.assert_allclose(store.pooled("encoder", "cls")[2], state[0], rtol=1e-4, atol=1e-5)


def test_one_size_makes_token_counts_equal(pictures: Path, tmp_path: Path) -> None:
    run(vlm_checkpoint("qwen2_vl"), pictures, "-o", tmp_path / "native")
    run(vlm_checkpoint("qwen2_vl"), pictures, "-o", tmp_path / "square", "--size", 64)
    counts = [len(np.unique(FeatureStore.open(tmp_path / n).lengths("connector"))) for n in ("native", "square")]
    assert counts[0] > counts[1] == 1


def test_command_line(tmp_path: Path) -> None:
    command = ("chiasm-tiny", "scenes:test?size=32", "-n", 5, "-o", tmp_path / "s", "--dtype", "bf16")
    assert f"features: {tmp_path / 's'}, 5 pictures" in run(*command)
    before = contents(tmp_path / "s")
    run(*command)  # finished: nothing is left to do
    assert contents(tmp_path / "s") == before
    manifest = json.loads(before["manifest.json"])
    assert manifest["identity"]["precision"] == "bf16"
    assert manifest["identity"]["sites"] == ["encoder", "connector.in", "connector"]
    refused = CliRunner().invoke(app, ["probe", "extract", *map(str, command), "--seed", "1"])
    assert refused.exit_code == 1
    assert "holds other features (seed: 0 there, 1 now)" in refused.output
    nonsense = CliRunner().invoke(app, ["probe", "extract", *map(str, command[:-2]), "--size", "big"])
    assert "--size big is neither native nor a number" in nonsense.output


def test_problems_and_duplicates_are_told(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "same.png").write_bytes((pictures / "000.png").read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no")
    output = run("chiasm-tiny", pictures, tmp_path / "same.png", tmp_path / "broken.png", "-o", tmp_path / "s")
    assert f"{PICTURES + 1} pictures\n" in output
    assert "1 pictures gave no features" in output
    assert f"1 groups of equal pictures, listed in index.json; the first: {pictures / '000.png'}, " in output


# Several processes. Shards of two pictures, so that there is something to share out.

COUNT = 24


def request(folder: Path) -> Request:
    return Request("chiasm-tiny", (f"scenes:test?size=32&count={COUNT}",), folder, tokens=True, batch=2, shard=2)


SCRIPT = """
import sys
from pathlib import Path
import torch
from chiasm.probe.workers import extract_here, extract_with_ray
from test_probe_store_models import request
torch.set_num_threads(1)
if __name__ == "__main__":
    folder, how = Path(sys.argv[1]), sys.argv[2]
    extract_with_ray(request(folder), 2) if how == "ray" else extract_here(request(folder))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "s"
    index = extract_here(request(folder))
    assert index is not None
    assert index["pictures"] == COUNT
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "several.py"
    path.write_text(SCRIPT)
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}


def test_shares_of_machines_that_know_nothing_of_each_other(alone: Path, tmp_path: Path) -> None:
    for share in range(3):
        assert extract_here(request(tmp_path / "s"), part=(share, 3)) is None
    assert extract_here(request(tmp_path / "s")) is not None
    assert contents(tmp_path / "s") == contents(alone)


@pytest.mark.slow
def test_torchrun(alone: Path, tmp_path: Path, script: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*launch, str(script), str(tmp_path / "s"), "torchrun"], check=True, env=environment(), timeout=120)
    assert contents(tmp_path / "s") == contents(alone)


@pytest.mark.slow
def test_ray(alone: Path, tmp_path: Path, script: Path) -> None:
    pytest.importorskip("ray")
    subprocess.run(
        [sys.executable, str(script), str(tmp_path / "s"), "ray"], check=True, env=environment(), timeout=300
    )
    assert contents(tmp_path / "s") == contents(alone)


@pytest.mark.slow
def test_killed_at_any_time(alone: Path, tmp_path: Path, script: Path) -> None:
    """kill -9 by the clock, so also in the middle of a forward or of a file."""
    kills = 0
    command = [sys.executable, str(script), str(tmp_path / "s"), "alone"]
    while kills < 6:
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
        shards = tmp_path / "s" / "shards"
        before = len(list(shards.glob("0*")))
        while process.poll() is None and len(list(shards.glob("0*"))) < before + 1:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 2
    subprocess.run(command, check=True, env=environment())
    assert contents(tmp_path / "s") == contents(alone)
