"""Decoder states of one run in another, and the way back for gradients: our models and published ones alike."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import tiny
import torch
from tiny import pictures, vlm
from tiny_checkpoints import MAKERS, checkpoint, picture

from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.vlm import open_vlm
from chiasm.models.features import Features
from chiasm.models.protocol import Patched, VisionLanguageModel

one_thread = tiny.one_thread
PROMPTS = [["what colour is the cup", "find the cat"], ["yes"]]
ANSWERS = [["red", "none"], ["a cup"]]
ENCODER_DECODERS = ("blip2_t5", "florence2")
KINDS = ("ours", *(kind for kind in MAKERS if kind not in ENCODER_DECODERS))


@cache
def model_of(kind: str) -> VisionLanguageModel:
    return vlm() if kind == "ours" else open_vlm(str(checkpoint(kind)))


def two(kind: str) -> tuple[VisionLanguageModel, Features, Features]:
    """A model, two pictures, and two others of the same size."""
    model = model_of(kind)
    images: list[Any] = pictures(4) if kind == "ours" else [picture(60, 60, seed) for seed in range(4)]
    features = model.connect(model.encode(images))
    return model, features.select([0, 1]), features.select([2, 3])


def flat(values: Any) -> torch.Tensor:
    return torch.stack([torch.as_tensor(value) for group in values for value in group])


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_the_same_run_change_nothing(kind: str) -> None:
    model, own, _ = two(kind)
    layers = range(model.decoder_layers)
    expected = flat(model.logprob(own, PROMPTS, ANSWERS))
    for where in ("image", "question", "answer"):
        found = flat(model.patched_logprob(own, own, PROMPTS, ANSWERS, layers, where))
        assert torch.allclose(found, expected[:, None].expand(3, len(layers)), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_last_layer_the_answer_s_tokens_carry_everything_and_the_others_nothing(kind: str) -> None:
    model, own, other = two(kind)
    before, after = (flat(model.logprob(features, PROMPTS, ANSWERS)) for features in (own, other))
    assert ((before - after).abs() > 1e-3).any()

    def last(where: Patched) -> torch.Tensor:
        return flat(model.patched_logprob(own, other, PROMPTS, ANSWERS, [-1], where))[:, 0]

    assert torch.allclose(last("answer"), after, atol=1e-4)
    assert torch.allclose(last("image"), before, atol=1e-4)
    assert torch.allclose(last("question"), before, atol=1e-4)


def test_at_the_first_layer_all_kinds_of_tokens_matter_by_hand() -> None:
    """Block 0's output overwritten for the image tokens, by a hand-written forward of one document."""
    model, own, other = two("ours")
    from chiasm.data.sequence import IMAGE, compose, pack, targets
    from chiasm.models.nn.attention import lower
    from chiasm.models.nn.rope import angles

    text = model.tokenizer
    document = compose([*model.trunk([own.lengths[1]]), *model.branch(text.encode("yes"), text.encode("a cup"))])
    packed = pack([document])
    positions = torch.from_numpy(packed.sequence.positions)
    rope = angles(positions, model.decoder.head_width, model.decoder.rope_base)
    attend = lower(packed)
    first, second = model.decoder.blocks
    states = [
        first(model.fusion(packed, model.decoder.embed, features.select([1])), 0, attend, rope)
        for features in (own, other)
    ]
    image = torch.from_numpy(packed.sequence.kind == IMAGE)[:, None]
    hidden = model.decoder.norm(second(torch.where(image, states[1], states[0]), 1, attend, rope))
    sources, ids = (torch.from_numpy(a) for a in targets(packed))
    expected = model.decoder.head(hidden[sources]).log_softmax(-1).gather(1, ids[:, None]).sum()
    found = model.patched_logprob(own, other, PROMPTS, ANSWERS, [0], "image")[1][0]
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, *ENCODER_DECODERS])
def test_loss_is_minus_logprob_and_its_gradient_that_of_small_steps(kind: str) -> None:
    model, own, _ = two(kind)
    answers: list[list[str]] = [["red", "none"], ["a cup"]]
    tokens = own.tokens.detach().clone().requires_grad_()
    moved = Features(tokens, own.grids, own.site, own.context)
    loss, count = model.answer_loss(moved, PROMPTS, answers)
    assert loss.item() == pytest.approx(-flat(model.logprob(own, PROMPTS, answers)).sum().item(), rel=1e-4)
    assert count == sum(len(one) for group in model.logits(own, PROMPTS, answers) for one in group)
    (gradient,) = torch.autograd.grad(loss, [tokens])
    step = 1e-2 * gradient / gradient.norm()
    there, back = (
        model.answer_loss(Features(own.tokens + sign * step, own.grids, own.site, own.context), PROMPTS, answers)[0]
        for sign in (1, -1)
    )
    assert ((there - back) / 2).item() == pytest.approx(1e-2 * gradient.norm().item(), rel=0.05)


def test_pictures_of_other_sizes_and_encoder_decoders_are_refused() -> None:
    model, own, _ = two("ours")
    smaller = Features(own.tokens[:-2], (own.grids[0], (1, own.lengths[1] - 2)), own.site)
    with pytest.raises(ConfigError, match="as many tokens"):
        model.patched_logprob(own, smaller, PROMPTS, ANSWERS, [0], "image")
    florence, own, other = two("florence2")
    with pytest.raises(ConfigError, match="does not hold the picture's tokens"):
        florence.patched_logprob(own, other, PROMPTS, ANSWERS, [0], "image")
