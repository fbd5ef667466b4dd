"""`chiasm probe geometry` and `spectrum`, and what they are made of: stores held against plain loops."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.images import open_image
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, DataError
from chiasm.models.open import open_model
from chiasm.probe.galleries import neighbour_gallery
from chiasm.probe.geometry import Comparer, Geometry, compare_spaces
from chiasm.probe.measurement_file import read_measurements
from chiasm.probe.overlap_curve import overlap_curve
from chiasm.probe.space import Space
from chiasm.probe.spectrum import SUMMARIES
from chiasm.probe.store import FeatureStore
from chiasm.probe.store_geometry import (
    clusters_of,
    distinct_sites,
    halves,
    measure_geometry,
    site_pairs,
    untrained_space,
)
from chiasm.probe.store_pictures import StorePictures
from chiasm.probe.store_spectrum import dataset_spectrum, measure_as_study, measure_spectra
from chiasm.probe.untrained import untrained_connector
from chiasm.probe.vision_side import open_vision_side
from chiasm.probe.workers import Request, extract_here

PICTURES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("probe") / "store"
    extract_here(Request("chiasm-tiny", ("scenes:test",), out, tokens=True, sample=10 * PICTURES, limit=PICTURES))
    return out


@pytest.fixture(scope="module")
def store(folder: Path) -> FeatureStore:
    return FeatureStore.open(folder)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in ("probe", *arguments)])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in ("probe", *arguments)])
    assert isinstance(result.exception, SystemExit), result.output
    assert result.exit_code == 1
    return result.output.replace("\n", " ")


def test_the_command_gives_what_the_library_finds(folder: Path, store: FeatureStore, tmp_path: Path) -> None:
    found = json.loads(run("geometry", folder, "--sites", "encoder,connector", "--k", "5", "-o", tmp_path, "--json"))
    by_name = {one["name"]: one for one in found}
    first, second = (store.space(site) for site in ("encoder", "connector"))
    with_untrained = untrained_space(store, open_vision_side("chiasm-tiny"), "mean")
    direct = compare_spaces(
        first, second, Geometry((5,)), clusters_of(store, "picture"), halves(store, "encoder", "mean"), with_untrained
    )
    assert {one["name"]: one["value"] for one in found} == {one.name: one.value for one in direct}
    assert by_name["knor@5"]["control"]["value"] == next(
        m.control.value for m in direct if m.name == "knor@5" and m.control
    )
    assert {m.name for m in read_measurements(tmp_path / "geometry.json")} == set(by_name)
    gallery = json.loads((tmp_path / "neighbours.json").read_text())["rows"][0]
    files = {one["file"] for row in gallery["rows"] for one in [row["picture"], *row["before"], *row["after"]]}
    assert all((tmp_path / "pictures" / file).is_file() for file in files)


def test_every_scaling_at_once_and_hubness_of_a_site_only_once(folder: Path) -> None:
    found = json.loads(run("geometry", folder, "--k", "5", "--scaling", "all", "--no-control", "--json"))
    of = [(m["name"], tuple(m["sites"]), m["settings"].get("scaling")) for m in found]
    assert len(of) == len(set(of))
    assert sum(name == "knor@5" for name, _, _ in of) == 3 * 3
    assert sum(name == "hubness@5" for name, _, _ in of) == 3 * 3


def test_a_store_against_itself_as_reference_keeps_every_neighbour(folder: Path) -> None:
    found = json.loads(run("geometry", folder, folder, "--sites", "encoder", "--k", "5", "--json"))
    (knor,) = [one for one in found if one["name"] == "knor@5"]
    assert knor["sites"] == ["encoder", "chiasm-tiny encoder"]
    assert knor["value"] == 1.0


def test_a_site_that_repeats_the_one_before_is_left_out(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert distinct_sites(store) == ["encoder", "connector.in", "connector"]
    pooled = {"encoder": store.pooled("encoder"), "connector": store.pooled("connector")}
    monkeypatch.setattr(store, "pooled", lambda site: pooled["encoder" if site == "connector.in" else site])
    assert distinct_sites(store) == ["encoder", "connector"]


def test_a_model_and_a_dataset_are_extracted_first(tmp_path: Path) -> None:
    said = run("spectrum", "chiasm-tiny", "scenes:test", "--sites", "encoder.1,encoder", "-n", 8, "-o", tmp_path)
    assert "effective_rank" in said
    made = FeatureStore.open(tmp_path / "features")
    assert len(made) == 8
    assert made.sites == ("encoder.1", "encoder")


def test_what_can_not_be_measured_is_said(folder: Path, tmp_path: Path) -> None:
    assert "no feature store" in refused("geometry", tmp_path)
    assert "--out" in refused("geometry", "chiasm-tiny", "scenes:test")
    assert "no site 'conector'" in refused("geometry", folder, "--sites", "conector")
    assert "alone can't be compared" in refused("geometry", folder, "--sites", "encoder")
    assert "whole numbers" in refused("geometry", folder, "--k", "5,x")
    assert "a smaller k" in refused("geometry", folder, "--k", PICTURES, "--no-control")
    assert "is a store" in refused("spectrum", folder, "-n", 10)
    assert "run the command for each" in refused("spectrum", folder, folder)
    assert "cluster by picture" in refused("geometry", folder, "--clusters", "folder", "--k", "5", "--no-control")


def test_without_its_model_and_pictures_a_store_is_measured_without_control_and_gallery(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["model"] = "nowhere/to-be-found"
    manifest["identity"]["pictures"]["name"] = "scenes:gone"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    arguments = ["probe", "geometry", str(copy), "--k", "5", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "no control: " in result.stderr
    assert "no gallery of neighbours: " in result.stderr
    assert (tmp_path / "out" / "geometry.json").is_file()
    assert not (tmp_path / "out" / "neighbours.json").exists()


def test_the_preset_needs_a_hundred_neighbours(folder: Path) -> None:
    assert "100" in refused("geometry", folder, "--preset", "vlm-connectors")
    found = json.loads(run("spectrum", folder, "--preset", "vlm-connectors", "--json"))
    assert {one["name"] for one in found} >= {"normalised_effective_rank", "cosine_mean", "top10_energy"}
    assert "the study squeezes pictures to 336 pixels, these are native" in found[0]["flags"][1]


def test_the_preset_squeezes_pictures_as_the_study_does(tmp_path: Path) -> None:
    out = ("--preset", "vlm-connectors", "-n", 8, "-o", tmp_path)
    said = run("spectrum", "chiasm-tiny", "scenes:test", "--sites", "encoder", *out)
    assert FeatureStore.open(tmp_path / "features").identity["size"] == 336
    assert "336" not in said


def test_a_picture_of_identical_tokens_has_no_spectrum_in_the_study(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = store.tokens
    monkeypatch.setattr(store, "tokens", lambda site, i: own(site, i) if i else np.ones((9, 4), np.float32))
    found = measure_as_study(store, ["encoder"])
    assert {one.n for one in found} == {len(store) - 1}
    assert f"1 of {len(store)} images have identical tokens" in found[0].flags[-1]
    monkeypatch.setattr(store, "tokens", lambda site, i: np.ones((9, 4), np.float32))
    (alone,) = measure_as_study(store, ["encoder"])
    assert alone.value is None


def test_halves_are_of_means_alone(store: FeatureStore) -> None:
    pair = halves(store, "encoder", "mean")
    assert pair is not None
    assert (pair[0].vectors + pair[1].vectors) / 2 == pytest.approx(store.pooled("encoder"), rel=1e-4, abs=1e-5)
    assert halves(store, "encoder", "max") is None


def test_the_untrained_space_is_the_model_with_random_connector_weights(store: FeatureStore) -> None:
    model, dataset = open_model("chiasm-tiny"), open_dataset("scenes:test")
    with torch.inference_mode(), untrained_connector(model):
        features = model.connect(model.encode([open_image(dataset[3].image)]))
    found = untrained_space(store, open_vision_side("chiasm-tiny"), "mean")
    assert found.vectors[3] == pytest.approx(features.tokens.mean(dim=0).numpy(), abs=1e-4)
    assert not np.allclose(found.vectors, store.pooled("connector"), atol=1e-2)


def test_pictures_drawn_again_are_those_of_the_store_and_others_are_refused(folder: Path, tmp_path: Path) -> None:
    store = FeatureStore.open(folder)
    assert StorePictures(store).open(5).tobytes() == open_image(open_dataset("scenes:test")[5].image).tobytes()
    store.identity["pictures"]["fingerprint"] = "another"
    with pytest.raises(ConfigError, match="other options"):
        StorePictures(store)


def test_equal_pictures_are_one_cluster(store: FeatureStore) -> None:
    labels = clusters_of(store, "picture")
    assert len(set(labels)) == PICTURES
    store.items[1]["pixels"] = store.items[0]["pixels"]
    assert clusters_of(store, "picture")[1] == labels[0]
    store.items[1]["pixels"] = labels[1]


def test_the_curve_agrees_with_the_measurement_at_every_k(store: FeatureStore) -> None:
    comparer = Comparer(Geometry((3, 8)), clusters_of(store, "picture"))
    (pair,) = site_pairs(store, ["encoder", "connector"])
    found, (curve,) = measure_geometry([pair], [comparer])
    for k in comparer.how.ks:
        (knor,) = [m for m in found if m.name == f"knor@{k}"]
        assert curve["overlap"]["value"][k - 1] == pytest.approx(knor.value)
        assert knor.ceiling is not None
        assert knor.null is not None
        assert curve["ceiling"]["value"][k - 1] == pytest.approx(knor.ceiling.value)
        assert curve["null"]["value"][k - 1] == pytest.approx(knor.null.value)
        assert curve["overlap"]["low"][k - 1] <= knor.value <= curve["overlap"]["high"][k - 1]
    assert "control" not in curve


def test_of_unrelated_spaces_the_whole_curve_lies_in_the_band_of_its_null() -> None:
    generator = np.random.default_rng(0)
    ids = [str(i) for i in range(200)]
    spaces = [Space(name, ids, generator.standard_normal((200, 16))) for name in "ab"]
    curve = overlap_curve(Comparer(Geometry((40,))), *spaces)
    overlap, null = np.array(curve["overlap"]["value"]), curve["null"]
    inside = (overlap >= null["low"]) & (overlap <= null["high"])
    assert inside.mean() > 0.9
    assert null["value"] == pytest.approx(np.arange(1, 41) / 199, abs=0.002)


def test_the_gallery_shows_who_lost_neighbours_first_and_marks_those_that_stayed() -> None:
    # Two clusters on a line; in the second space item 0 has moved from the first into the other.
    line = np.concatenate([np.arange(6), np.arange(6) + 100.0])[:, None]
    moved = line.copy()
    moved[0] = 102.5
    ids = [f"p{i}" for i in range(12)]
    gallery = neighbour_gallery(Comparer(Geometry((4,), scaling="raw")), Space("a", ids, line), Space("b", ids, moved))
    assert gallery.queries[0] == 0
    assert gallery.kept[0] == 0
    shown = gallery.shown(ids, {i: f"{i}.jpg" for i in range(12)})
    assert [one["shared"] for one in shown["rows"][0]["before"]] == [False] * 4
    last = shown["rows"][-1]
    assert [one["shared"] for one in last["before"]].count(True) == round(last["kept"] * 4)
    assert gallery.kept.tolist() == sorted(gallery.kept.tolist())


def test_the_spectrum_of_the_dataset_is_that_of_its_singular_values() -> None:
    generator = np.random.default_rng(1)
    tokens = (generator.standard_normal((400, 12)) * np.arange(1, 13)).astype(np.float32)
    energies = np.linalg.svd(tokens - tokens.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    found = {m.name.removeprefix("dataset."): m for m in dataset_spectrum("x", tokens, np.arange(400) // 4)}
    for name, summary in SUMMARIES.items():
        one = found[name]
        assert one.value == pytest.approx(summary(energies), rel=1e-4)
        assert one.clusters == 100
        if one.ci_low is not None and one.ci_high is not None:
            assert one.ci_low < one.value < one.ci_high
        else:
            assert one.flags
    debiased = found["debiased_participation_ratio"]
    truth = (np.arange(1, 13) ** 2.0).sum() ** 2 / (np.arange(1, 13) ** 4.0).sum()
    assert debiased.ci_low < truth < debiased.ci_high
    assert debiased.null.value == 12
    alone = dataset_spectrum("x", tokens, np.zeros(400, dtype=int))[-1]
    assert (alone.value, alone.flags) == (None, ("the debiased participation ratio needs tokens of two clusters",))
    flat = dataset_spectrum("x", np.ones((40, 3)), np.arange(40))
    assert all(one.value is None and one.flags for one in flat)
    with pytest.raises(DataError, match="NaN"):
        dataset_spectrum("x", np.full((9, 2), np.nan), np.arange(9))


def test_sites_of_different_token_counts_are_compared_at_equally_many(store: FeatureStore) -> None:
    found, plots = measure_spectra(store, ["encoder", "connector"], clusters_of(store, "picture"))
    equal = [m for m in found if m.name == "effective_rank of 10 tokens"]
    assert [m.sites for m in equal] == [("encoder",), ("connector",)]
    assert all(1 <= m.value <= 9 for m in equal if m.value is not None)
    # Held against the site before, at equally many tokens only.
    encoder, connector = equal
    assert encoder.ceiling is None
    assert (connector.ceiling.value, connector.ceiling.low) == (encoder.value, encoder.ci_low)
    assert 1 < connector.control.value < connector.ceiling.value, "a random map mixes directions"
    unequal = next(m for m in found if (m.name, m.sites) == ("effective_rank", ("connector",)))
    assert unequal.ceiling is None
    assert "no ceiling and control: encoder has other numbers of tokens" in unequal.flags
    for plot in plots:
        assert sum(plot["picture"]) == pytest.approx(1, abs=1e-6)
        assert sum(plot["dataset"]) == pytest.approx(1, abs=1e-6)
        assert plot["picture"] == sorted(plot["picture"], reverse=True)
