"""What recoverability is made of: kept weights, cells, files, captured pictures and untrained connectors."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chiasm.data.formats.photos import Photos
from chiasm.data.worlds.scenes import Scenes
from chiasm.errors import ConfigError, DataError, RunError
from chiasm.models.cells import into_cells, out_of_cells, shared_cells
from chiasm.models.features import Features
from chiasm.models.open import open_model
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.captured import capture_dataset, connected, joined
from chiasm.probe.epochs import Schedule, best_epoch
from chiasm.probe.feature_file import read_features, write_features
from chiasm.probe.measurement_file import read_measurements, write_measurements
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.standard import Standard
from chiasm.probe.untrained import untrained_connector


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return open_model("chiasm-tiny")


def test_the_best_epoch_is_kept_not_the_last() -> None:
    """Trained away from where it validates best: the weights are those of the least validation error, not the live
    ones."""
    network = torch.nn.Linear(1, 1)
    seen: list[float] = []

    def validate() -> float:
        seen.append(float(network.weight.detach()))
        return abs(seen[-1] - seen[0] - 0.5)  # best half a unit above the start, which training passes

    history = best_epoch(network, lambda batch: -network.weight.sum(), validate, 8, Schedule(20, 8, learning_rate=0.1))
    best = int(np.argmin(history))
    assert 0 < best < 19
    assert float(network.weight.detach()) == seen[best] != seen[-1]
    assert not network.training


def test_training_that_goes_astray_is_an_error() -> None:
    network = torch.nn.Linear(1, 1)
    with pytest.raises(DataError, match="a validation error of nan"):
        best_epoch(network, lambda batch: network.weight.sum(), lambda: float("nan"), 4, Schedule(2, 4))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 4), st.integers(1, 4)), min_size=1, max_size=4), st.sampled_from([1, 2, 3]),
       st.sampled_from([1, 2]))  # fmt: skip
def test_cells_hold_the_tokens_of_their_place(cells: list[tuple[int, int]], down: int, across: int) -> None:
    grids = tuple((rows * down, columns * across) for rows, columns in cells)
    places = [torch.cartesian_prod(torch.arange(r), torch.arange(c)).view(-1, 2) for r, c in grids]
    fine = Features(torch.cat(places), grids, "encoder")
    assert shared_cells(grids, cells) == shared_cells(cells, grids) == tuple(cells)
    rows = into_cells(fine, cells)
    assert torch.equal(out_of_cells(rows, cells, grids), fine.tokens)
    first = rows.view(len(rows), down * across, 2)[:, 0]
    expected = torch.cat([torch.cartesian_prod(torch.arange(r), torch.arange(c)).view(-1, 2) for r, c in cells])
    assert torch.equal(first, expected * torch.tensor([down, across]))


def test_pictures_that_differ_in_tokens_a_cell() -> None:
    features = Features(torch.zeros(6, 1), ((1, 2), (1, 4)), "encoder")
    with pytest.raises(DataError, match="pictures differ in their tokens a cell"):
        into_cells(features, ((1, 2), (1, 2)))


def test_standard_features_and_back() -> None:
    tokens = torch.tensor([[1.0, 5, 1e4], [3, 5, 1e4 + 2]])
    standard = Standard.of(tokens, "encoder")
    features = Features(tokens, ((1, 2),), "encoder")
    assert standard(features).tokens.tolist() == [[-1, 0, -1], [1, 0, 1]]
    assert standard.varies.tolist() == [True, False, True]
    torch.testing.assert_close(standard.undo(standard(features)).tokens, tokens)


def test_captured_is_what_the_model_shows(model: VisionLanguageModel) -> None:
    data = Scenes("test", count=5)
    done: list[int] = []
    captured = capture_dataset(model, data, ["encoder", "connector"], 9, batch=2, advance=done.append)
    assert done == [2, 2, 1]
    for site, features in model.capture([Image.fromarray(data[i].image) for i in range(5)], ["connector"]).items():
        torch.testing.assert_close(captured.features[site].tokens, features.tokens, rtol=1e-4, atol=1e-4)
        assert captured.features[site].grids == features.grids
    assert len(set(captured.clusters)) == 5
    assert captured.ids == [data[i].id for i in range(5)]
    torch.testing.assert_close(
        connected(model, captured.features["encoder"], 2).tokens, captured.features["connector"].tokens
    )


def test_equal_pictures_are_one_cluster(model: VisionLanguageModel, tmp_path: Path) -> None:
    image = Image.fromarray(Scenes("test")[0].image)
    for name in ("a/one.png", "a/two.png", "b/three.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.save(tmp_path / name)
    photos = Photos(tmp_path)
    assert len(set(capture_dataset(model, photos, ["encoder"]).clusters)) == 1
    folders = capture_dataset(model, photos, ["encoder"], by="folder").clusters
    assert len(set(folders)) == 2
    assert folders[0] == folders[1]
    with pytest.raises(DataError, match="picture scenes/test/0000000 is no file"):
        capture_dataset(model, Scenes("test"), ["encoder"], 1, by="folder")
    with pytest.raises(DataError, match="scenes:test has no pictures"):
        capture_dataset(model, Scenes("test", count=0), ["encoder"])


def test_features_that_are_not_finite_name_their_picture(model: VisionLanguageModel) -> None:
    class Broken:
        def capture(self, images: list[Image.Image], sites: list[str]) -> dict[str, Features]:
            found = model.capture(images, sites)
            found["encoder"].tokens[144 + 3] = float("inf")
            return found

    with pytest.raises(DataError, match="picture scenes/test/0000001 has features at encoder that are not finite"):
        capture_dataset(Broken(), Scenes("test"), ["encoder"], 3)  # type: ignore[arg-type]


def test_joined_keeps_contexts() -> None:
    parts = [Features(torch.full((2, 1), float(i)), ((1, 2),), "encoder", (f"context {i}",)) for i in range(3)]
    both = joined(parts)
    assert both.context == ("context 0", "context 1", "context 2")
    assert both.select([2]).tokens.tolist() == [[2], [2]]
    assert joined([parts[0], replace(parts[1], context=None)]).context is None


def test_an_untrained_connector_is_put_back(model: VisionLanguageModel) -> None:
    e_pre = capture_dataset(model, Scenes("test"), ["encoder"], 2).features["encoder"]
    before = connected(model, e_pre).tokens
    with untrained_connector(model, seed=1):
        random = connected(model, e_pre).tokens
    with suppress(KeyError), untrained_connector(model, seed=2):
        other = connected(model, e_pre).tokens
        raise KeyError
    assert torch.equal(connected(model, e_pre).tokens, before)
    assert not torch.allclose(random, before)
    assert not torch.allclose(random, other)
    with pytest.raises(ConfigError, match="a str doesn't show its connector"), untrained_connector("model"):  # type: ignore[arg-type]
        pass


def test_files(tmp_path: Path) -> None:
    features = Features(torch.randn(6, 2), ((1, 2), (2, 2)), "encoder")
    write_features(tmp_path / "new" / "f.safetensors", features, ["one", "zwölf"])
    again, ids = read_features(tmp_path / "new" / "f.safetensors")
    assert torch.equal(again.tokens, features.tokens)
    assert (again.grids, again.site, ids) == (features.grids, "encoder", ["one", "zwölf"])
    made = [
        Measurement("ridge.r2", ("connector", "encoder"), 0.5, 0.4, 0.6, Yardstick(0.1), None,
                    Yardstick(0.2, 0, 1, "so"), 9, 8, "how", {"seed": 3, "damage": "rank"}, ("look out",)),
        Measurement("none", ("encoder",), None, flags=("why",)),
    ]  # fmt: skip
    write_measurements(tmp_path / "m.json", made, {"model": "tiny"})
    assert read_measurements(tmp_path / "m.json") == tuple(made)
    (tmp_path / "other.json").write_text('{"kind": "features"}')
    for name in ("other.json", "missing.json", "new/f.safetensors"):
        with pytest.raises(RunError, match="is no file of measurements"):
            read_measurements(tmp_path / name)
    for name in ("m.json", "missing"):
        with pytest.raises(RunError, match="no readable file of features"):
            read_features(tmp_path / name)
