"""LPIPS through a package of the user's: here one that measures the mean distance of pixels in [-1, 1]."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from chiasm.cli.app import app

PACKAGE = """
import numpy as np

def im2tensor(picture):
    return picture / 127.5 - 1

class LPIPS:
    def __init__(self, net, verbose):
        if net == "squeeze":
            raise OSError("no route to the weights")
        self.weight = {"alex": 1, "vgg": 3}[net]

    def requires_grad_(self, wanted):
        assert not wanted

    def __call__(self, a, b):
        if min(a.shape[:2]) < 12:
            raise RuntimeError("output size is too small")
        return self.weight * np.abs(a - b).mean()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lpips.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two grey references of 20 x 30 pixels; of the pictures made for them one is 51 of 255 brighter, one the same."""
    true, made = tmp_path / "true", tmp_path / "made"
    for folder, brighter in ((true, 0), (made, 51)):
        folder.mkdir()
        for name, value in (("a", 100 + brighter), ("b", 100)):
            Image.fromarray(np.full((20, 30, 3), value, dtype=np.uint8)).save(folder / f"{name}.png")
    return true, made


def score(true: Path | None, made: Path, network: str) -> Result:
    references = [] if true is None else ["--gt", str(true)]
    return CliRunner().invoke(
        app, ["score", "pictures", "--pred", str(made), *references, "--lpips", network, "--json"]
    )


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("network", "distance"), [("alex", 0.2), ("vgg", 0.6)])
def test_the_mean_over_pictures_stands_beside_ssim(folders: tuple[Path, Path], network: str, distance: float) -> None:
    found = json.loads(score(*folders, network).output)
    values = {value["metric"]: value["value"] for value in found["metrics"]}
    # One pair is 51 / 127.5 = .4 apart, one not at all.
    assert values["lpips"] == pytest.approx(distance)
    assert {"psnr", "ssim", "piqe"} < values.keys()
    assert found["dialect"].endswith(f"LPIPS by {network}")


@pytest.mark.usefixtures("package")
def test_what_cannot_be_compared_is_named(folders: tuple[Path, Path]) -> None:
    true, made = folders
    assert "name the folder of references" in score(None, made, "alex").stderr
    assert "weights of squeeze (no route" in score(true, made, "squeeze").stderr
    for folder in folders:
        Image.new("RGB", (40, 11)).save(folder / "small.png")
    assert "'small': lpips can't compare pictures of 11 x 40 pixels" in score(true, made, "alex").stderr


def test_without_the_package_it_says_what_to_install(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    result = score(*folders, "alex")
    assert result.exit_code == 1
    assert "pip install lpips" in result.stderr
