"""Low-rank adaptation (Hu et al. 2022): a frozen matrix W learns an update (alpha / rank) up @ down.

The update sits on the layer as a parametrization, so nothing else changes: the model runs as before, checkpoints taken
during the stage hold base and factors together, and `merge` leaves a plain model behind.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from chiasm.errors import ConfigError
from chiasm.training.stage import Full, How, Lora


class LowRank(nn.Module):
    """W (out, in) -> W + alpha / rank * up @ down. `up` starts at zero, so the model starts unchanged."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1]).to(weight.device) / weight.shape[1] ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def attach(model: nn.Module, decided: Mapping[str, How]) -> dict[str, How]:
    """Put an update on every linear layer whose weight is decided `Lora`, and return how the parameters are trained
    now: the base frozen, the factors in full. What else such a rule matches (norms, biases, embeddings) is frozen.

    Raises ConfigError where the rules ask for LoRA and match no linear layer.
    """
    modules = dict(model.named_modules())
    wanted = {name: how for name, how in decided.items() if isinstance(how, Lora)}
    factors: dict[str, How] = {}
    for name, lora in wanted.items():
        owner, _, kind = name.rpartition(".")
        layer = modules[owner]
        if isinstance(layer, nn.Linear) and kind == "weight":
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, lora.rank, lora.alpha))
            factors[f"{owner}.parametrizations.weight.0.down"] = Full(lora.lr)
            factors[f"{owner}.parametrizations.weight.0.up"] = Full(lora.lr)
    if wanted and not factors:
        raise ConfigError(f"lora was asked for, but no linear layer is among {sorted(wanted)[:5]}")
    kept: dict[str, How] = {name: "frozen" if name in wanted else how for name, how in decided.items()}
    return {
        name: factors[name] if name in factors else kept[name.replace("parametrizations.weight.original", "weight")]
        for name, _ in model.named_parameters()
    }


def merge(model: nn.Module) -> None:
    """Add every update to its matrix and take the factors off. The parameters keep their order, on which a resumed
    optimizer and the last bit of the gradient norm depend."""
    for layer in list(model.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
            if "bias" in layer._parameters:
                layer.register_parameter("bias", layer._parameters.pop("bias"))
