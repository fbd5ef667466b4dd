"""Captions from features: what changes, against what, and whether distortion foretells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from tiny import tokenizer
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.vlm import VLM
from chiasm.probe.caption_change import caption_change
from chiasm.probe.captured import Captured, capture_dataset
from chiasm.probe.feature_captions import (
    ANOTHER,
    INTACT,
    MEAN,
    PUT_BACK,
    Captions,
    Case,
    caption_from_features,
    round_trip,
    some_pictures,
)
from chiasm.probe.lesions import Lesioned
from chiasm.probe.perturb import noised, tokens_removed
from chiasm.probe.result import Measurement
from chiasm.probe.study_captions import study_damages
from chiasm.types import Example

one_thread = tiny.one_thread
WRITTEN = ["a red cup on a table", "a cat and a dog", "two birds in a tree", "a boat on a lake", "a man with a hat",
           "a car in a street"]  # fmt: skip


class Noise:
    name, object_names, scene_names = "noise", None, None

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Example:
        return Example(f"p{index}", tiny.pictures(6)[index], captions=(WRITTEN[index],))

    def fingerprint(self) -> str:
        return "noise"


def captured(model: VLM) -> Captured:
    return capture_dataset(model, Noise(), ["encoder", "connector"])


def describing(**changes: Any) -> VLM:
    return tiny.vlm(dialect={"prompts": {"caption": "what is the cup"}}, **changes)


def made_up(changed: list[str], distortion: np.ndarray | None = None, kl: np.ndarray | None = None) -> Captions:
    """Captions of six pictures, and one case of which everything is known."""

    def case(texts: list[str], far: float) -> Case:
        values = np.full(6, far)
        return Case(texts, {"cosine": 1 - values, "mse": values}, values, values)

    mine = case(changed, 0.5)
    if distortion is not None and kl is not None:
        mine = Case(changed, {"cosine": -distortion, "mse": distortion}, kl, kl)
    cases = {PUT_BACK: case(WRITTEN, 0), ANOTHER: case(WRITTEN[1:] + WRITTEN[:1], 2), MEAN: case(["a"] * 6, 1)}
    tokens = np.array([4, 4, 4, 4, 2, 2])
    return Captions([f"p{i}" for i in range(6)], [(text,) for text in WRITTEN], np.arange(6), WRITTEN, tokens,
                    cases | {"mine": mine})  # fmt: skip


def by_name(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {one.name.removesuffix(" mine"): one for one in measurements}


def test_the_same_features_put_back_change_nothing_at_all() -> None:
    model = describing()
    found = caption_from_features(
        model, captured(model), np.arange(6), {"same": lambda features, ids: features}, limit=6
    )
    for name in (PUT_BACK, "same"):
        case = found.cases[name]
        assert case.captions == found.intact
        assert np.array_equal(case.distortion["mse"], np.zeros(6))
        assert case.logprob_drop == pytest.approx(np.zeros(6), abs=1e-5)
        assert case.kl == pytest.approx(np.zeros(6), abs=1e-6)
    assert (found.cases[ANOTHER].kl > 1e-3).all()


def test_teacher_forced_numbers_are_those_of_the_intact_caption() -> None:
    """One picture by itself, from logits, in numpy."""
    model = describing()
    pictures = captured(model)
    found = caption_from_features(model, pictures, np.arange(6), {"noise": noised(1.0)}, limit=5, batch=4)
    e_post = pictures.features["connector"].select([2])
    damaged = noised(1.0)(e_post, ["p2"])
    prompt, said = [["what is the cup"]], [[found.intact[2]]]
    ids = [*tokenizer().encode(found.intact[2]), tokenizer().end]
    assert found.tokens[2] == len(ids)
    p, q = (
        model.logits(features, prompt, said)[0][0].double().log_softmax(-1).numpy() for features in (e_post, damaged)
    )
    rows = np.arange(len(ids))
    assert found.cases["noise"].logprob_drop[2] == pytest.approx((p - q)[rows, ids].sum(), abs=1e-4)
    assert found.cases["noise"].kl[2] == pytest.approx((np.exp(p) * (p - q)).sum(), abs=1e-4)
    change = (damaged.tokens - e_post.tokens).double()
    assert found.cases["noise"].distortion["mse"][2] == pytest.approx(change.square().mean().item(), rel=1e-4)


def test_yardsticks_are_another_picture_and_the_mean_token() -> None:
    model = describing()
    pictures = captured(model)
    found = caption_from_features(model, pictures, np.arange(6), {}, limit=6)
    e_post = pictures.features["connector"]
    following = model.generate(e_post.select([1, 2, 3, 4, 5, 0]), [["what is the cup"]] * 6, limit=6)
    assert found.cases[ANOTHER].captions == [answer.text for (answer,) in following]
    # The mean token is the same for all, and so is what is written from it.
    assert len(set(found.cases[MEAN].captions)) == 1


def test_a_round_trip_of_the_real_e_pre_is_e_post() -> None:
    model = describing()
    pictures = some_pictures(captured(model), [4, 1])
    assert pictures.ids == ["p4", "p1"]
    trip = round_trip(model, pictures.features["encoder"], pictures.ids, batch=1)
    e_post = pictures.features["connector"]
    back = trip(e_post.select([1, 0]), ["p1", "p4"])
    assert torch.allclose(back.tokens, e_post.select([1, 0]).tokens, atol=1e-5)


def test_changes_by_hand() -> None:
    """Captions of three pictures stay, those of three become another's; 20 tokens, 0.5 nats a picture lost."""
    found = by_name(caption_change(made_up([*WRITTEN[:3], *WRITTEN[:3]])))
    assert found["kept.unchanged"].value == 0.5
    assert found["forced.kl"].value == pytest.approx(6 * 0.5 / 20)
    assert found["distortion.cosine"].value == 0.5
    # The intact captions are the references themselves, so what is lost against either is the same.
    assert found["change.rouge_l"].value == pytest.approx(found["kept.rouge_l"].value - 1)  # type: ignore[operator]
    for name, ceiling in (("kept.unchanged", 1), ("kept.cider_d", 10), ("change.cider_d", 0), ("forced.kl", 0)):
        one = found[name]
        assert one.ceiling is not None
        assert one.null is not None
        assert one.ceiling.value == pytest.approx(ceiling)
        assert min(one.ceiling.value, one.null.value) <= one.value <= max(one.ceiling.value, one.null.value)  # type: ignore[operator]


def test_distortion_that_foretells_the_change_is_found() -> None:
    rising = np.arange(6.0)
    found = by_name(caption_change(made_up(WRITTEN, rising, rising * made_up(WRITTEN).tokens)))
    assert found["rank_correlation.mse~forced.kl"].value == pytest.approx(1)
    assert found["rank_correlation.cosine~forced.kl"].value == pytest.approx(-1)
    null = found["rank_correlation.mse~forced.kl"].null
    assert null is not None
    assert abs(null.value) < 0.2
    assert found["rank_correlation.mse~kept.rouge_l"].value is None  # all captions stay, nothing to foretell
    assert found["rank_correlation.mse~kept.rouge_l"].flags


def test_signals_of_a_user_s_model_are_compared_with_the_intact_ones() -> None:
    clip = {name: {"clipscore": np.full(6, value)} for name, value in
            ((INTACT, 0.8), ("mine", 0.7), (PUT_BACK, 0.8), (ANOTHER, 0.2), (MEAN, 0.1))}  # fmt: skip
    bert = {name: {"bertscore": np.full(6, 0.9)} for name in ("mine", PUT_BACK, ANOTHER, MEAN)}
    signals = {name: clip[name] | bert.get(name, {}) for name in clip}
    found = by_name(caption_change(made_up(WRITTEN), signals))
    assert found["change.clipscore"].value == pytest.approx(-0.1)
    assert found["change.clipscore"].null is not None
    assert found["change.clipscore"].null.value == pytest.approx(-0.6)
    assert found["kept.bertscore"].value == pytest.approx(0.9)


def test_fewer_tokens_have_captions_and_no_distortion() -> None:
    model = tiny.vlm()
    cases = {"fewer": tokens_removed(0.5)}
    written = caption_from_features(model, captured(model), np.arange(6), cases, prompt="describe", limit=4)
    assert written.cases["fewer"].distortion == {}
    found = {m.name: m for m in caption_change(written)}
    assert found["kept.unchanged fewer"].value is not None
    assert not any("distortion" in name or "rank_correlation" in name for name in found)


def test_a_case_that_the_model_refuses_has_a_reason() -> None:
    class Fixed(Lesioned):
        def _given(self, features: Features | None) -> Features | None:
            if features is not None and any(rows == 1 for rows, _ in features.grids):
                raise ConfigError("it has fixed places")
            return features

    model = tiny.vlm()
    cases = {"fewer": tokens_removed(0.5), "noise@1": noised(1.0)}
    written = caption_from_features(Fixed(model), captured(model), np.arange(6), cases, prompt="describe", limit=4)
    assert set(written.cases) == {PUT_BACK, ANOTHER, MEAN, "noise@1"}
    (refused,) = [m for m in caption_change(written) if m.name.endswith("fewer")]
    assert refused.value is None
    assert refused.flags == ("this model can't be given fewer: it has fixed places",)


def test_noise_can_be_the_control_of_a_damage() -> None:
    model = tiny.vlm()
    cases = {"noise@2": noised(2.0), "noise@2 as noise": noised(2.0)}
    written = caption_from_features(model, captured(model), np.arange(6), cases, prompt="describe", limit=4)
    found = {m.name: m for m in caption_change(written, controls={"noise@2": "noise@2 as noise"})}
    kl = found["forced.kl noise@2"]
    assert kl.control is not None
    assert kl.control.value == kl.value
    assert kl.control.method == "noise of the same norm"
    assert not any("as noise" in name for name in found)


def test_bad_input_is_refused() -> None:
    model = tiny.vlm()
    with pytest.raises(ConfigError, match="not taught to write captions"):
        caption_from_features(model, captured(model), np.arange(6), {})
    with pytest.raises(DataError, match="at least two"):
        caption_from_features(model, some_pictures(captured(model), [0]), np.arange(1), {}, prompt="x")


def test_the_study_s_ranks_are_shares_of_the_smaller_side() -> None:
    """T = 4 tokens of width 32: .01 keeps one component, .5 two."""
    e_post = Features(torch.randn(8, 32, generator=torch.Generator().manual_seed(0)), ((2, 2), (2, 2)), "connector")
    for damage, rank in zip(study_damages(e_post)[2:], (1, 1, 2), strict=True):
        tokens = damage.perturb(e_post, ["a", "b"]).split()[0]
        assert torch.linalg.matrix_rank(tokens - tokens.mean(dim=0), rtol=1e-4) == rank
    half = study_damages(e_post)[0].perturb(e_post, ["a", "b"]).tokens
    assert int((half == 0).all(dim=1).sum()) == 4


@pytest.mark.slow
def test_command_writes_captions_and_measurements(tmp_path: Path) -> None:
    arguments = ["probe", "captions", "chiasm-tiny", "scenes:test", "-n", "16", "--damage", "rank@4", "--json"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = {one["name"]: one for one in json.loads(result.stdout)}
    assert found["forced.kl rank@4"]["ceiling"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["forced.kl rank@4"]["value"] < found["forced.kl rank@4"]["null"]["value"]
    assert "forced.kl ridge" in found
    assert "ridge.r2" in found
    intact = json.loads((tmp_path / "captions" / "intact.json").read_text())
    assert json.loads((tmp_path / "captions" / "put-back.json").read_text()) == intact
    wrong = CliRunner().invoke(app, [*arguments[:5], "8", "-o", str(tmp_path), "--damage", "rank@5"])
    assert wrong.exit_code == 1
    assert "no damage is called 'rank@5'" in wrong.output
