"""How much of the right answers' likelihood comes from the picture, and through which states it passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.open import open_model
from chiasm.probe.asked import Asked
from chiasm.probe.lesions import Lesioned, faded
from chiasm.probe.patching import PatchedLogprobs, _partners, carried, patched_logprobs
from chiasm.probe.result import Measurement
from chiasm.probe.use import GIVEN, AnswerLogprobs, answer_logprobs, ratio_interval, share_interval, turned, use
from chiasm.types import Example, Question

one_thread = tiny.one_thread


def few(count: int = 7) -> Asked:
    """`count` noise pictures with two questions each, of two kinds."""
    one = (Question("a", "what colour is the cup", ("red",), "color"), Question("b", "the cat", ("no",), "existence"))
    examples = tuple(Example(f"p{i}", Image.fromarray(picture)) for i, picture in enumerate(tiny.pictures(count)))
    return Asked(examples, (one,) * count, (tuple(question.answers for question in one),) * count)


def by_name(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    return {one.name: one for one in measurements}


def test_use_by_hand() -> None:
    """Six pictures with one question each; every number below is a mean of six."""
    of = {
        "intact": [-1, -1, -1, -1, -1, -1],
        "swapped": [-3, -3, -3, -5, -5, -5],
        "swapped again": [-4, -4, -4, -4, -4, -4],
        "mean": [-2, -2, -2, -2, -2, -2],
        "other mean": [-2, -2, -2, -2, -2, -8],
        "untrained": [-6, -6, -6, -6, -6, -6],
        "untrained swapped": [-6.5, -6.5, -6.5, -6.5, -6.5, -6.5],
    }
    kinds = np.array(["count"] * 3 + ["color"] * 3, dtype=object)
    pictures = np.array([f"p{i}" for i in range(6)], dtype=object)
    logprobs = AnswerLogprobs({name: np.array(values, float) for name, values in of.items()}, pictures, kinds)
    found = by_name(use(logprobs))
    swapped, mean = found["use.swapped"], found["use.mean"]
    assert swapped.value == 3
    assert swapped.null
    assert swapped.ceiling
    assert swapped.control
    assert (swapped.null.value, swapped.ceiling.value, swapped.control.value) == (0, 4, 0.5)
    assert mean.value == 1
    assert mean.null
    assert mean.ceiling
    assert (mean.null.value, mean.ceiling.value, mean.control) == (1, 2, None)
    assert found["use.swapped count"].value == 2
    assert found["use.swapped color"].value == 4
    assert found["use.swapped count"].settings["kind"] == "count"
    assert found["use.swapped count"].ci_low is None
    assert "3 pictures: no interval" in found["use.swapped count"].flags
    assert 2 <= swapped.ci_low < 3 < swapped.ci_high <= 4  # type: ignore[operator]


def test_questions_of_one_picture_are_one_unit() -> None:
    """Twenty copies of each picture's item make the interval no narrower."""
    values = np.random.default_rng(0).normal(size=30)
    alone = ratio_interval(values, np.ones(30), np.arange(30))
    copied = ratio_interval(np.repeat(values, 20), np.ones(600), np.repeat(np.arange(30), 20))
    assert copied == pytest.approx(alone)


def test_a_share_without_variation_has_wilson_s_interval() -> None:
    """All of 4 clusters right: Wilson's lower bound is 1 / (1 + z^2 / 4)."""
    value, low, high = share_interval(np.ones(8), np.repeat(np.arange(4), 2))
    assert (value, low, high) == pytest.approx((1, 1 / (1 + 1.959964**2 / 4), 1))
    hits = np.array([1.0, 0, 1, 1, 0, 1])
    assert share_interval(hits, np.arange(6)) == ratio_interval(hits, np.ones(6), np.arange(6))


def test_every_condition_is_what_it_says() -> None:
    """Against one question at a time on features made by hand."""
    model, asked = tiny.vlm(), few(7)
    found = answer_logprobs(model, asked, batch=3)
    assert set(found.of) == set(GIVEN)
    assert all(len(values) == 14 for values in found.of.values())
    assert found.picture.tolist() == [f"p{i}" for i in range(7) for _ in range(2)]
    e_post = model.connect(model.encode([example.image for example in asked.examples]))
    parts = e_post.split()
    odd = torch.cat(parts[1::2]).mean(dim=0)
    batches = [[0, 1, 2, 3], [4, 5, 6]]
    for name, picture, given in [
        ("intact", 2, parts[2]),
        ("swapped", 3, parts[0]),
        ("swapped", 5, parts[6]),
        ("swapped again", 6, parts[batches[1][1]]),
        ("mean", 4, odd.expand_as(parts[4])),
        ("other mean", 5, odd.expand_as(parts[5])),
    ]:
        features = replace(e_post.select([picture]), tokens=given)
        expected = model.logprob(features, [["the cat"]], [["no"]])[0][0]
        assert found.of[name][2 * picture + 1] == pytest.approx(expected, abs=1e-4), name


def test_a_decoder_that_ignores_the_picture_has_no_use() -> None:
    model = tiny.vlm()
    mean = model.connect(model.encode(tiny.pictures(3))).tokens.mean(dim=0)
    blind = Lesioned(model, decoder=faded(1.0, mean))
    found = by_name(use(answer_logprobs(blind, few(), batch=7, untrained=False)))
    for name in ("use.swapped", "use.mean", "use.swapped color"):
        assert found[name].value == pytest.approx(0, abs=1e-5)
        assert found[name].control is None
    patched = by_name(carried(patched_logprobs(blind, few(), batch=7)))
    assert patched["carried.image"].value is None
    assert "nothing to carry over" in patched["carried.image"].flags[0]


def test_too_few_pictures_and_unknown_layers_are_refused() -> None:
    with pytest.raises(DataError, match="2 pictures at a time can't be swapped twice"):
        answer_logprobs(tiny.vlm(), few(2))
    with pytest.raises(ConfigError, match=r"layers 0 to 1, not 5"):
        patched_logprobs(tiny.vlm(), few(3), [0, 5])
    with pytest.raises(DataError, match="no two pictures have as many tokens"):
        patched_logprobs(tiny.vlm(), few(1))


def test_carried_by_hand() -> None:
    """Own -1, other -5: a patched -2 has carried a quarter, and -5 all."""
    n = 6
    logprobs = PatchedLogprobs(
        layers=(0, 3),
        own=np.full(n, -1.0),
        other=np.full(n, -5.0),
        patched={"answer": np.array([[-2.0, -5.0]] * n)},
        restored={"answer": np.array([[-1.0, -1.2]] * 2)},
        picture=np.array([f"p{i}" for i in range(n)], dtype=object),
        left_out=3,
    )
    first, last = carried(logprobs)
    assert (first.value, last.value, first.sites, last.sites) == (0.25, 1.0, ("decoder.0",), ("decoder.3",))
    assert first.null
    assert last.null
    assert (first.null.value, last.null.value) == (0, pytest.approx(0.05))
    assert first.flags == ("3 pictures without another of as many tokens left out",)


def test_the_picture_moves_from_the_image_s_states_to_the_answer_s() -> None:
    """In a trained model: at the first layer the image's tokens carry nearly all, at the last the answer's all."""
    model, asked = open_model("chiasm-tiny"), Asked.of(open_dataset("scenes:test?count=6"), 6)
    logprobs = patched_logprobs(model, asked, [0, -1], batch=6)
    assert len(logprobs.own) == sum(map(len, asked.questions)) == len(logprobs.patched["image"])
    found = {(one.name, one.sites[0]): one for one in carried(logprobs)}
    assert found["carried.answer", "decoder.3"].value == pytest.approx(1, abs=1e-4)
    assert found["carried.image", "decoder.3"].value == pytest.approx(0, abs=1e-4)
    assert found["carried.question", "decoder.3"].value == pytest.approx(0, abs=1e-4)
    assert found["carried.image", "decoder.0"].value > 0.8  # type: ignore[operator]
    assert all(one.null is not None and abs(one.null.value) < 1e-4 for one in found.values())


def test_only_pictures_of_one_size_take_each_other_s_places() -> None:
    features = Features(torch.arange(8.0)[:, None], ((1, 2), (1, 3), (1, 2), (1, 1)), "connector")
    assert turned(features, 1).lengths == [3, 2, 1, 2]
    assert _partners(features) == {0: 2, 2: 0}


def test_commands_print_and_keep_measurements(tmp_path: Path) -> None:
    common = ["chiasm-tiny", "scenes:test", "-o", str(tmp_path), "-n", "3", "--json"]
    result = CliRunner().invoke(app, ["probe", "use", *common])
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "use.json").read_text())
    printed = json.loads(result.stdout)
    assert [one["name"] for one in printed] == [one["name"] for one in kept["measurements"]]
    assert next(one for one in printed if one["name"] == "use.swapped")["value"] > 1
    result = CliRunner().invoke(app, ["probe", "patch", *common, "--layers", "0,-1"])
    assert result.exit_code == 0, result.output
    values = {(one["name"], one["sites"][0]): one for one in json.loads(result.stdout)}
    assert values["carried.answer", "decoder.3"]["flags"]  # three pictures: no interval, so nothing is claimed
    assert CliRunner().invoke(app, ["probe", "patch", *common, "--layers", "x"]).exit_code == 1
