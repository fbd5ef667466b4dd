"""Effects of damage on chiasm-tiny, against a plain loop over pictures; and models that can't be given everything."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.data.worlds.scenes import Scenes
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.open import open_model
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.captured import Captured, capture_dataset
from chiasm.probe.forced import divergence
from chiasm.probe.lesions import Lesioned
from chiasm.probe.perturb import rank_kept, tokens_masked, tokens_removed
from chiasm.probe.perturb_effects import Damage, mean_token, perturbation_effects, standard_damages
from chiasm.probe.result import Measurement


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return open_model("chiasm-tiny")


@pytest.fixture(scope="module")
def captured(model: VisionLanguageModel) -> Captured:
    return capture_dataset(model, Scenes("test"), ["connector"], 7, batch=4)


@pytest.fixture(scope="module")
def measured(model: VisionLanguageModel, captured: Captured) -> dict[str, Measurement]:
    mean = mean_token(captured.features["connector"])
    damages = [
        Damage("rank", 2, rank_kept(2)),
        Damage("mask_mean", 1, tokens_masked(1.0, mean)),
        Damage("remove", 0.5, tokens_removed(0.5), matched=False),
        Damage("none", 0, lambda features, ids: features),
    ]
    found = perturbation_effects(model, captured, damages, questions=3, batch=4)
    return {m.name: m for m in found}


def test_divergence_worked_by_hand() -> None:
    # (1/2, 1/2) against (1/4, 3/4): 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3, for one token of two; the other is equal.
    before = torch.log(torch.tensor([[0.5, 0.5, 0], [0.2, 0.2, 0.6]]))
    after = torch.log(torch.tensor([[0.25, 0.75, 0], [0.2, 0.2, 0.6]])) + 3
    assert divergence(before, after) == pytest.approx(0.5 * np.log(4 / 3), abs=1e-6)
    assert divergence(before, before) == 0


def test_putting_back_what_was_there_changes_nothing_at_all(measured: dict[str, Measurement]) -> None:
    for m in measured.values():
        assert m.ceiling is not None
        assert m.ceiling.value == 0
        assert not any("noise floor" in flag for flag in m.flags)
    for metric in ("answer.logprob_drop", "answer.kl"):
        assert measured[f"{metric} none@0"].value == 0
        assert measured[f"{metric} none@0"].flags == ("every picture scores alike: no interval",)


def test_equal_to_a_loop(model: VisionLanguageModel, captured: Captured, measured: dict[str, Measurement]) -> None:
    damage = rank_kept(2)
    dropped = divergence_sum = tokens = 0.0
    for index, example in enumerate(captured.examples):
        own = captured.features["connector"].select([index])
        worse = damage(own, [example.id])
        for question in example.questions[:3]:
            asked, said = [[question.text]], [[question.answers[0]]]
            dropped += model.logprob(own, asked, said)[0][0] - model.logprob(worse, asked, said)[0][0]
            before, after = (model.logits(f, asked, said)[0][0].log_softmax(-1) for f in (own, worse))
            divergence_sum += float((before.exp() * (before - after)).sum())
            tokens += len(before)
    assert measured["answer.logprob_drop rank@2"].value == pytest.approx(dropped / tokens, rel=1e-3, abs=1e-5)
    assert measured["answer.kl rank@2"].value == pytest.approx(divergence_sum / tokens, rel=1e-3, abs=1e-5)
    assert measured["answer.kl rank@2"].n == measured["answer.kl rank@2"].clusters == 7


def test_yardsticks(measured: dict[str, Measurement]) -> None:
    emptied = measured["answer.kl mask_mean@1"]
    assert emptied.null is not None
    assert emptied.value == emptied.null.value
    assert emptied.settings["distortion"] > 0.3
    rank = measured["answer.kl rank@2"]
    assert rank.control is not None
    assert rank.value is not None
    assert rank.null is not None
    assert 0 < rank.control.value < rank.value < rank.null.value
    assert rank.ci_low is not None
    assert rank.ci_low < rank.value
    removed = measured["answer.kl remove@0.5"]
    assert removed.control is None
    assert removed.value is not None
    assert removed.value > 0


def test_a_model_that_only_takes_all_tokens(model: VisionLanguageModel, captured: Captured) -> None:
    class Fixed(Lesioned):
        def _given(self, features: Features | None) -> Features | None:
            if features is not None and any(length != 36 for length in features.lengths):
                raise ConfigError("picture 0 has 18 features but 36 places in the prompt")
            return features

    damages = [Damage("remove", 0.5, tokens_removed(0.5), matched=False), Damage("rank", 1, rank_kept(1))]
    found = perturbation_effects(Fixed(model), captured, damages, questions=1)
    assert [m.name for m in found] == [
        f"answer.{metric} {damage}" for metric in ("logprob_drop", "kl") for damage in ("remove@0.5", "rank@1")
    ]
    assert found[0].value is None
    assert "this model can't be given remove@0.5: picture 0 has 18 features" in found[0].flags[0]
    assert found[1].value is not None


def test_a_published_model_with_fixed_places() -> None:
    pytest.importorskip("transformers")
    from tiny_checkpoints import checkpoint

    llava = open_model(str(checkpoint("llava")))
    few = capture_dataset(llava, Scenes("test"), ["connector"], 3)
    damages = [Damage("remove", 0.5, tokens_removed(0.5), matched=False), Damage("rank", 1, rank_kept(1))]
    found = perturbation_effects(llava, few, damages, questions=1)
    assert "this model can't be given " in found[0].flags[0]
    assert found[3].value is not None
    assert found[3].value > 0
    assert found[3].ceiling is not None
    assert found[3].ceiling.value == 0


def test_a_noise_floor_is_flagged(model: VisionLanguageModel, captured: Captured) -> None:
    """Stored features in half precision: the model's own E_post put back is no longer quite its own."""
    stored = captured.features["connector"]
    rounded = replace(captured, features={"connector": replace(stored, tokens=stored.tokens.bfloat16().float())})
    found = perturbation_effects(model, rounded, [Damage("rank", 2, rank_kept(2))], questions=1)
    assert found[1].ceiling is not None
    assert found[1].ceiling.value > 0
    assert any(flag.startswith("noise floor: putting the model's own E_post back") for flag in found[1].flags)


def test_nothing_to_measure(model: VisionLanguageModel, captured: Captured) -> None:
    silent = replace(captured, examples=tuple(replace(e, questions=()) for e in captured.examples))
    with pytest.raises(DataError, match="nothing to measure"):
        perturbation_effects(model, silent, [Damage("rank", 1, rank_kept(1))])


def test_all_standard_damages_work(model: VisionLanguageModel, captured: Captured) -> None:
    damages = standard_damages(mean_token(captured.features["connector"]))
    assert len({damage.name for damage in damages}) == len(damages)
    for damage in damages:
        after = damage.perturb(captured.features["connector"], captured.ids)
        assert torch.isfinite(after.tokens).all()
        assert len(after) == 7
