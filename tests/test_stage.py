"""Which parameters learn, how fast, and that the others hold still."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_training import one_thread, tiny_model, tiny_stage  # noqa: F401
from torch import nn

from chiasm.errors import ConfigError
from chiasm.training import lora
from chiasm.training.optimizer import optimizer, rate
from chiasm.training.stage import Full, Lora, assign, freeze

SLOW, FAST = Full(1e-4), Full(1e-2)


def test_first_matching_rule_decides() -> None:
    decided = assign(tiny_model(), (("encoder.norm.*", "frozen"), ("encoder.*", SLOW), (".*", FAST)))
    assert decided["encoder.norm.weight"] == "frozen"
    assert decided["encoder.embed.weight"] == SLOW
    assert decided["decoder.embed.weight"] == FAST
    assert decided.keys() == {name for name, _ in tiny_model().named_parameters()}


def test_rules_match_whole_names() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.positions"):
        assign(tiny_model(), (("encoder", "frozen"), ("(connector|decoder).*", FAST)))


def test_a_parameter_without_a_rule_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no rule says how to train decoder\."):
        assign(tiny_model(), (("encoder.*", "frozen"), ("connector.*", FAST)))


@pytest.mark.parametrize("idle", ["encodr.*", "decoder.head.weight", "encoder.norm.bias"])
def test_a_rule_that_decides_nothing_is_named(idle: str) -> None:
    """A typing error, the other name of a tied head, and a rule hidden behind an earlier one."""
    with pytest.raises(ConfigError, match=r"decide no parameter.*" + idle.replace(".", r"\.").replace("*", r"\*")):
        assign(tiny_model(), (("encoder.*", "frozen"), (idle, SLOW), (".*", FAST)))


def test_the_same_pattern_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="decide no parameter"):
        assign(tiny_model(), ((".*", FAST), (".*", "frozen")))


def test_a_stage_that_trains_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        assign(tiny_model(), ((".*", "frozen"),))


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"micro_batch": 0}, {"save_every": 0}, {"precision": "fp16"}]
)
def test_impossible_stages_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"'tune': {next(iter(wrong))}"):
        replace(tiny_stage(), **wrong)


def test_frozen_parts_stay_in_eval_mode_and_can_be_thawed() -> None:
    model = tiny_model()
    freeze(model, assign(model, (("encoder.*", "frozen"), (".*", FAST))))
    model.train()
    assert not any(m.training for m in model.encoder.modules())
    assert model.connector.training
    assert model.decoder.training
    assert [p.requires_grad for p in model.encoder.parameters()] == [False] * len(list(model.encoder.parameters()))

    freeze(model, assign(model, ((".*", FAST),)))
    assert all(m.training for m in model.encoder.modules())
    assert all(p.requires_grad for p in model.parameters())
    model.eval()
    assert not any(m.training for m in model.modules())


def test_only_whole_modules_are_held_in_eval_mode() -> None:
    model = tiny_model()
    freeze(model, assign(model, ((r"encoder\.blocks.*", "frozen"), ("encoder.*", SLOW), (".*", FAST))))
    model.train()
    assert model.encoder.training
    assert not model.encoder.blocks[0].mlp_norm.training
    assert model.encoder.norm.training


@pytest.mark.parametrize("tied", [True, False])
def test_what_decays(tied: bool) -> None:
    model = tiny_model()
    if not tied:
        model.decoder.head.weight = nn.Parameter(model.decoder.head.weight.detach().clone())
    rules = (("encoder.norm.weight", "frozen"), ("encoder.*", SLOW), (".*", FAST))
    adam = optimizer(model, assign(model, rules), tiny_stage(weight_decay=0.3))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = {names[id(p)]: group for group in adam.param_groups for p in group["params"]}
    still = {"encoder.positions", "decoder.embed.weight"}
    for name, parameter in model.named_parameters():
        if name == "encoder.norm.weight":
            assert name not in groups
            continue
        decays = parameter.dim() == 2 and name not in still
        assert groups[name]["weight_decay"] == (0.3 if decays else 0.0), name
        assert groups[name]["peak_lr"] == (1e-4 if name.startswith("encoder") else 1e-2), name
    assert ("decoder.head.weight" in groups) != tied
    assert sum(len(group["params"]) for group in adam.param_groups) == len(groups)


def test_rate_by_hand() -> None:
    stage = tiny_stage(steps=12, warmup=4, final_lr=0.1)
    assert [rate(step, stage) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate(8, stage) == pytest.approx(0.55)  # half-way down
    assert rate(10, stage) == pytest.approx(0.1 + 0.9 * 0.5 * (1 - math.sqrt(0.5)))  # cos(3/4 pi)
    assert rate(12, stage) == pytest.approx(0.1)
    down = [rate(step, stage) for step in range(4, 13)]
    assert down == sorted(down, reverse=True)


def test_no_warmup_and_nothing_but_warmup() -> None:
    assert rate(0, tiny_stage(warmup=0)) == 1.0
    assert [rate(step, tiny_stage(steps=2, warmup=4)) for step in range(2)] == [0.25, 0.5]


LORA = ((r"decoder\.blocks.*", Lora(rank=2, lr=1e-2)), ("connector.*", FAST), (".*", "frozen"))


def test_lora_starts_as_the_model_and_trains_factors_only() -> None:
    model, plain = tiny_model(), tiny_model()
    decided = lora.attach(model, assign(model, LORA))
    block, before = model.decoder.blocks[0], plain.decoder.blocks[0]
    assert torch.equal(block.down.weight, before.down.weight)
    trained = {name for name, how in decided.items() if how != "frozen"}
    assert all("parametrizations" in name or name.startswith("connector") for name in trained)
    assert decided["decoder.blocks.0.attention_norm.weight"] == "frozen"
    assert decided["decoder.blocks.0.down.parametrizations.weight.original"] == "frozen"
    assert decided["decoder.blocks.0.down.parametrizations.weight.0.up"] == Full(1e-2)


def test_lora_merges_into_the_model_it_was() -> None:
    """W + alpha / rank * up @ down by hand; names, order and number of parameters come back."""
    rules = ((r"connector\.up.*", Lora(rank=2, lr=1e-2, alpha=6.0)), (".*", "frozen"))
    model = tiny_model()
    names = [name for name, _ in model.named_parameters()]
    base = model.connector.up.weight.detach().clone()
    lora.attach(model, assign(model, rules))
    factors = model.connector.up.parametrizations.weight[0]
    nn.init.normal_(factors.up)
    expected = base + 3.0 * factors.up.detach() @ factors.down.detach()
    lora.merge(model)
    torch.testing.assert_close(model.connector.up.weight.detach(), expected)
    assert [name for name, _ in model.named_parameters()] == names
    assert list(model.state_dict()) == list(tiny_model().state_dict())


def test_lora_without_a_linear_layer_is_refused() -> None:
    model = tiny_model()
    with pytest.raises(ConfigError, match="no linear layer"):
        lora.attach(model, assign(model, ((r"decoder\.embed.*", Lora(2, 1e-2)), (".*", "frozen"))))
