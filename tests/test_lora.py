"""LoRA: an update that starts as nothing, trains alone, and merges into the plain model."""

import pytest
import torch
from torch import nn

from chiasm.errors import ConfigError
from chiasm.training import lora
from chiasm.training.stage import Full, Lora, assign, freeze


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))


def attach(model: nn.Module) -> dict:
    decided = lora.attach(model, assign(model, [("0.*", Lora(2, 0.1, alpha=4.0)), (".*", "frozen")]))
    freeze(model, decided)
    return decided


def test_a_fresh_update_changes_nothing_and_only_factors_train(model):
    x = torch.randn(4, 6)
    before = model(x)
    decided = attach(model)
    assert torch.equal(model(x), before)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"0.parametrizations.weight.0.down", "0.parametrizations.weight.0.up"}
    assert {name for name, how in decided.items() if how == Full(0.1)} == trained


def test_merging_keeps_what_was_learned_and_restores_the_plain_model(model):
    names = set(model.state_dict())
    base = model[0].weight.detach().clone()
    attach(model)
    x = torch.randn(4, 6)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(3):
        model(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    down, up = (model[0].parametrizations.weight[0].get_parameter(n).detach() for n in ("down", "up"))
    learned = model(x)
    lora.merge(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(x), learned)
    torch.testing.assert_close(model[0].weight, base + 4.0 / 2 * up @ down)
    assert not torch.equal(model[0].weight, base)


def test_a_rule_that_matches_no_linear_layer_is_refused(model):
    with pytest.raises(ConfigError, match="no linear layer"):
        lora.attach(model, assign(model, [("1.*", Lora(2, 0.1)), (".*", "frozen")]))
