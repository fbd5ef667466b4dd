"""The feature store: what it holds against a plain loop, one process or several, killed, and fed with nonsense."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny import one_thread  # noqa: F401
from tiny_sees import PatchMeans, contents, side, write_pictures

from chiasm.data.images import open_image
from chiasm.errors import ConfigError, DataError, RunError
from chiasm.models.features import Features
from chiasm.probe.comoments import Centred, Comoments
from chiasm.probe.extract import Extraction
from chiasm.probe.pictures import open_pictures
from chiasm.probe.spectrum import token_energies
from chiasm.probe.store import FeatureStore
from chiasm.probe.token_sample import sampled_places
from chiasm.probe.vision_side import open_vision_side

SITES = ("encoder.0", "encoder", "connector.in", "connector")
PICTURES = 23
SETTINGS: dict[str, Any] = {"sites": SITES, "tokens": True, "sample": 60, "batch": 3, "shard": 5}


def extraction(pictures: Path, folder: Path, **changes: Any) -> Extraction:
    return Extraction(side(), open_pictures([str(pictures)]), folder, **(SETTINGS | changes))


def extract(pictures: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    work = extraction(pictures, folder, **changes)
    work.run()
    return work.finish()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures", PICTURES)


@pytest.fixture(scope="module")
def stored(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "store"
    assert extract(pictures, folder) == {"pictures": PICTURES, "problems": 0, "duplicates": []}
    return folder


# What it holds


def test_equals_a_loop_over_capture(pictures: Path, stored: Path) -> None:
    store = FeatureStore.open(stored)
    images = [open_image(path) for path in sorted(pictures.iterdir())]
    assert store.ids == [path.name for path in sorted(pictures.iterdir())]
    assert sorted(p.name for p in stored.iterdir()) == [
        "features.safetensors", "index.json", "items.jsonl", "manifest.json", "statistics.safetensors", "tokens",
    ]  # fmt: skip
    for site in SITES:
        each = [PatchMeans().capture([image], [site])[site] for image in images]
        tokens = [features.tokens.numpy() for features in each]
        assert [tuple(grid) for grid in store.grids(site)] == [features.grids[0] for features in each]
        np.testing.assert_allclose(store.pooled(site), [t.mean(0) for t in tokens], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(store.pooled(site, "max"), [t.max(0) for t in tokens])
        for start, half in enumerate(store.halves(site)):
            expected = [t[min(start, len(t) - 1) :: 2].mean(0) for t in tokens]
            np.testing.assert_allclose(half, expected, rtol=1e-5, atol=1e-6)
        for i, own in enumerate(tokens):
            np.testing.assert_array_equal(store.tokens(site, i), own)
            expected = token_energies(own)
            np.testing.assert_allclose(store.spectra(site)[i], expected, rtol=1e-5, atol=1e-5 * max(expected[0], 1))
        everything = np.concatenate(tokens).astype(np.float64)
        np.testing.assert_allclose(store.covariance(site), np.cov(everything.T), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(store.mean(site), everything.mean(0), rtol=1e-6)
        sample = store.reservoir(site)
        for row, picture, place in zip(sample.tokens, sample.pictures, sample.places, strict=True):
            np.testing.assert_array_equal(row, tokens[picture][place])
        # 60 tokens of 23 pictures are 3 of each; some have fewer at the connector.
        counts = [min(3, len(t)) for t in tokens]
        assert np.bincount(sample.pictures).tolist() == counts
    first, second = ([PatchMeans().capture(images, [s])[s].tokens.numpy()] for s in SITES[:2])
    joint = np.cov(np.concatenate(first).T, np.concatenate(second).T)[:3, 3:]
    np.testing.assert_allclose(store.cross_covariance("encoder.0", "encoder"), joint, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(store.cross_covariance("encoder", "connector.in"), store.covariance("encoder"))
    some = store.features("connector", [4, 0, 7])
    np.testing.assert_array_equal(
        some.tokens, PatchMeans().capture(images, SITES)["connector"].select([4, 0, 7]).tokens
    )


def test_space_for_geometry(stored: Path) -> None:
    store = FeatureStore.open(stored)
    space = store.space("connector")
    assert (space.site, space.width, len(space)) == ("connector", 5, PICTURES)


def test_bf16_is_kept_as_such(pictures: Path, tmp_path: Path) -> None:
    half = replace(side(), precision="bf16", autocast=True)
    work = Extraction(half, open_pictures([str(pictures)]), tmp_path / "s", **SETTINGS)
    work.run()
    work.finish()
    weights = load_file(tmp_path / "s" / "tokens" / "00000.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    tokens = FeatureStore.open(tmp_path / "s").tokens("encoder", 0)
    exact = PatchMeans().capture([open_image(pictures / "000.png")], ["encoder"])["encoder"].tokens
    np.testing.assert_array_equal(tokens, exact.bfloat16().float())


def test_size_squeezes_every_picture(pictures: Path, tmp_path: Path) -> None:
    extract(pictures, tmp_path / "s", size=8)
    assert (FeatureStore.open(tmp_path / "s").grids("encoder") == 2).all()


def test_unreadable_and_equal_pictures_are_listed(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    image = open_image(pictures / "000.png")
    image.save(folder / "a.png")
    image.save(folder / "b.bmp")
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:60])
    open_image(pictures / "001.png").save(folder / "e.png")
    index = extract(folder, tmp_path / "s", shard=2)
    assert index == {"pictures": 5, "problems": 1, "duplicates": [["a.png", "b.bmp", "c.png"]]}
    store = FeatureStore.open(tmp_path / "s")
    assert store.ids == ["a.png", "b.bmp", "c.png", "e.png"]
    assert list(store.problems) == ["d.png"]
    assert "damaged" in store.problems["d.png"]
    assert store.duplicates == index["duplicates"]
    items = {item["id"]: item for item in store.items}
    assert items["a.png"]["sha256"] == items["c.png"]["sha256"] != items["b.bmp"]["sha256"]
    exact = PatchMeans().capture([open_image(folder / "e.png")], ["encoder"])["encoder"].tokens
    np.testing.assert_array_equal(store.tokens("encoder", 3), exact)


class BlindToRed(PatchMeans):
    """Divides by zero where a picture's first pixel has no red in it."""

    def capture(self, images: Any, sites: Any) -> dict[str, Features]:
        found = super().capture(images, sites)
        at = found["connector"]
        parts = list(at.split())
        for i, image in enumerate(images):
            if image.getpixel((0, 0))[0] == 0:
                parts[i] = parts[i] / 0
        return found | {"connector": replace(at, tokens=torch.cat(parts))}


def test_features_that_are_not_finite_are_a_problem_of_their_picture(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 4)
    Image.new("RGB", (8, 8)).save(folder / "002.png")
    work = Extraction(side(BlindToRed()), open_pictures([str(folder)]), tmp_path / "s", **SETTINGS)
    work.run()
    assert work.finish()["problems"] == 1
    store = FeatureStore.open(tmp_path / "s")
    assert store.problems == {"002.png": "the model's features at connector hold NaN or infinity"}
    assert store.ids == ["000.png", "001.png", "003.png"]
    assert all(np.isfinite(store.pooled(site)).all() for site in SITES)


# The sample and the sums


@given(st.integers(0, 99), st.integers(1, 300), st.integers(1, 50), st.integers(0, 50))
def test_a_larger_sample_holds_the_smaller_one(seed: int, tokens: int, count: int, more: int) -> None:
    few = sampled_places(seed, "picture", tokens, count)
    assert len(few) == min(tokens, count)
    assert (np.diff(few) > 0).all()
    assert set(few) <= set(sampled_places(seed, "picture", tokens, count + more))
    # Sites with more tokens may drop places for new ones, but take no other old ones.
    assert {p for p in sampled_places(seed, "picture", tokens + more, count) if p < tokens} <= set(few)


def test_every_place_is_sampled_equally_often() -> None:
    places = np.concatenate([sampled_places(0, str(i), 40, 5) for i in range(4000)])
    counts = np.bincount(places, minlength=40)
    assert abs(counts - 500).max() < 5 * np.sqrt(500)


@given(st.permutations(range(11)), st.integers(1, 7), st.integers(0, 3))
def test_sample_depends_neither_on_order_nor_on_splits(order: list[int], shard: int, seed: int) -> None:
    def sample(pictures: list[int]) -> dict[int, list[int]]:
        return {i: sampled_places(seed, str(i), 5 + i, 4).tolist() for i in pictures}

    joined: dict[int, list[int]] = {}
    for start in range(0, len(order), shard):
        joined |= sample(order[start : start + shard])
    assert joined == sample(list(range(11)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**31), st.sampled_from([0.0, 1e4]))
def test_comoments_of_parts_are_those_of_the_whole(lengths: list[int], seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((sum(lengths), 3)) + offset
    second = first @ rng.standard_normal((3, 2)) + rng.standard_normal((sum(lengths), 2))
    total = Comoments.none(3, 2)
    rows = [torch.from_numpy(array).split(lengths) for array in (first, second)]
    for parts in zip(*rows, strict=True):
        total.add(Comoments.of(*map(Centred.of, parts)))
    assert total.count == sum(lengths)
    if total.count < 2:
        with pytest.raises(DataError, match="no covariance"):
            total.covariance()
        return
    expected = np.cov(first.T, second.T)[:3, 3:]
    np.testing.assert_allclose(total.covariance(), expected, rtol=1e-5, atol=1e-5 * abs(expected).max())


# Several processes, and killed ones


def test_any_number_of_processes_gives_the_same_bytes(pictures: Path, stored: Path, tmp_path: Path) -> None:
    work = extraction(pictures, tmp_path / "s")
    for rank in (2, 0, 1):
        with pytest.raises(RunError, match="is missing"):
            work.finish()
        with pytest.raises(RunError, match="half a store"):
            FeatureStore.open(tmp_path / "s")
        extraction(pictures, tmp_path / "s").run(range(len(work.store.blocks))[rank::3])
    work.finish()
    assert contents(tmp_path / "s") == contents(stored)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_blocks_of_several_shards(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """With fewer blocks than shards, sums are carried from shard to shard: the same however they are stopped, and
    whether sums are written after every shard or only after the last of a block."""
    monkeypatch.setattr("chiasm.probe.store_folder.BLOCKS", 2)
    monkeypatch.setattr("chiasm.probe.extract.SUMS_EVERY", seconds)
    extract(pictures, tmp_path / "whole")
    whole = contents(tmp_path / "whole")

    class Stopped(Exception):
        pass

    for stop in range(1, 9):

        def advance(pictures: int, left: list[int] = [stop]) -> None:  # noqa: B006
            left[0] -= 1
            if not left[0]:
                raise Stopped

        work = extraction(pictures, tmp_path / f"{stop}")
        with pytest.raises(Stopped):
            work.run(advance=advance)
        extract(pictures, tmp_path / f"{stop}")
        assert contents(tmp_path / f"{stop}") == whole


@pytest.fixture(scope="module")
def server() -> Any:
    """A fork server that has everything imported, so that a process starts at once."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["chiasm.probe.extract", "chiasm.probe.store", "tiny_sees", "hypothesis"])
    return context


def _extract_and_die(pictures: Path, folder: Path, die_at: int | None) -> None:
    """With `die_at`, as kill -9 does at the n-th time that a file below `folder` is opened, renamed or removed."""
    torch.set_num_threads(1)
    if die_at is not None:
        touched = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal touched
            removes = event in ("os.remove", "os.rmdir")
            writes = event in ("open", "os.mkdir", "os.rename", "os.chmod") and str(folder) in str(arguments[0])
            if removes or writes:
                touched += 1
                if touched >= die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
    extract(pictures, folder)


def _run(process: BaseProcess) -> int:
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def test_killed_again_and_again_and_nothing_is_lost(server: Any, pictures: Path, stored: Path, tmp_path: Path) -> None:
    random, kills = Random(0), 0
    folder = tmp_path / "s"
    while (
        status := _run(server.Process(target=_extract_and_die, args=(pictures, folder, random.randint(1, 45))))
    ) != 0:
        assert status == -signal.SIGKILL
        kills += 1
        assert kills < 60, "no progress"
    assert kills >= 4
    assert contents(folder) == contents(stored)


def test_full_disk_is_a_clear_error_and_costs_nothing(pictures: Path, stored: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(RunError, match=r"can't be written .* make room"):
            extract(pictures, tmp_path / "s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "s").rglob(".unfinished-*"))
    extract(pictures, tmp_path / "s")
    assert contents(tmp_path / "s") == contents(stored)


# Nonsense


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"size": 32}, "size: 'native' there, 32 now"),
        ({"sites": ("encoder",)}, "sites: "),
        ({"tokens": False}, "tokens: True there, False now"),
        ({"limit": 5}, "pictures.count: 23 there, 5 now"),
    ],
)
def test_another_identity_is_refused(pictures: Path, stored: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match="holds other features") as caught:
        extraction(pictures, stored, **changes)
    assert message in str(caught.value)


def test_other_weights_are_refused_another_batch_is_not(pictures: Path, stored: Path) -> None:
    with pytest.raises(RunError, match="weights: 'w' there, 'v' now"):
        Extraction(side(weights="v"), open_pictures([str(pictures)]), stored, **SETTINGS)
    assert extract(pictures, stored, batch=7)["pictures"] == PICTURES


def test_folders_that_are_no_store(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not empty and no feature store"):
        extraction(pictures, tmp_path / "mine")
    with pytest.raises(RunError, match="is a file"):
        extraction(pictures, tmp_path / "mine" / "thesis.tex")
    with pytest.raises(RunError, match="is no feature store"):
        FeatureStore.open(tmp_path / "mine")
    (tmp_path / "mine" / "manifest.json").write_text('{"kind": "score"}')
    with pytest.raises(RunError, match="holds a score, not features"):
        FeatureStore.open(tmp_path / "mine")
    (tmp_path / "mine" / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        FeatureStore.open(tmp_path / "mine")


def test_asked_for_what_is_not_there(pictures: Path, tmp_path: Path, stored: Path) -> None:
    store = FeatureStore.open(stored)
    with pytest.raises(ConfigError, match="no site 'conector'; did you mean 'connector"):
        store.pooled("conector")
    with pytest.raises(ConfigError, match="no class token"):
        store.pooled("encoder", "cls")
    with pytest.raises(ConfigError, match="different numbers of tokens"):
        store.cross_covariance("connector.in", "connector")
    with pytest.raises(ConfigError, match="right after"):
        store.cross_covariance("encoder.0", "connector")
    extract(pictures, tmp_path / "s", tokens=False)
    with pytest.raises(ConfigError, match="--tokens"):
        FeatureStore.open(tmp_path / "s").tokens("encoder", 0)


@pytest.mark.parametrize("name", ["features.safetensors", "statistics.safetensors", "tokens/00001.safetensors"])
@pytest.mark.parametrize("broken", [True, False])
def test_damaged_files(pictures: Path, tmp_path: Path, name: str, broken: bool) -> None:
    extract(pictures, tmp_path / "s")
    if broken:
        (tmp_path / "s" / name).write_bytes(b"no")
    else:
        (tmp_path / "s" / name).unlink()
    store = FeatureStore.open(tmp_path / "s")
    with pytest.raises(Exception, match=name) as caught:
        store.pooled("encoder"), store.covariance("encoder"), store.tokens("encoder", 7)
    assert type(caught.value).__module__ == "chiasm.errors"


def test_nan_in_a_store_is_found(pictures: Path, tmp_path: Path) -> None:
    extract(pictures, tmp_path / "s")
    tensors = load_file(tmp_path / "s" / "features.safetensors")
    tensors["encoder/mean"] = tensors["encoder/mean"].clone()
    tensors["encoder/mean"][3, 1] = float("nan")
    save_file(tensors, tmp_path / "s" / "features.safetensors")
    with pytest.raises(DataError, match=r"encoder: the vector of item '003.png' holds NaN"):
        FeatureStore.open(tmp_path / "s").space("encoder")
    for name in ("encoder/energies", "connector/sample"):
        damaged = {other: part.clone() for other, part in tensors.items()}
        damaged[name].view(-1)[5] = float("inf")
        save_file(damaged, tmp_path / "s" / "features.safetensors")
        store = FeatureStore.open(tmp_path / "s")
        with pytest.raises(DataError, match=f"{name} holds NaN or infinity; delete"):
            store.spectra("encoder"), store.reservoir("connector")


def test_settings_and_pictures_that_make_no_sense(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch must be at least 1"):
        extraction(pictures, tmp_path / "s", batch=0)
    with pytest.raises(
        ConfigError, match=r"no site 'decoder.3'; extraction runs the vision side only; it has encoder\.0"
    ):
        extraction(pictures, tmp_path / "s", sites=("decoder.3",))
    with pytest.raises(ConfigError, match="has no features to take"):
        open_vision_side("openai:http://localhost/v1#model")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of the 1 pictures gave features; of the first: a\.png"):
        extract(tmp_path / "bad", tmp_path / "t")


def test_files_and_folders_together(pictures: Path, tmp_path: Path) -> None:
    data = open_pictures([str(pictures / "003.png"), str(pictures), str(pictures / "001.png")])
    assert [Path(data[i].id).name for i in range(3)] == ["003.png", "000.png", "001.png"]
    assert len(data) == PICTURES
    assert json.dumps(data.fingerprint())
