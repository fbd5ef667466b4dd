"""A connector with nothing learned in it: the control for what is said about a trained one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from chiasm.errors import ConfigError
from chiasm.models.protocol import VisionLanguageModel
from chiasm.models.vlm import VLM


@contextmanager
def untrained_connector(model: VisionLanguageModel, seed: int = 0) -> Iterator[None]:
    """Inside, the model's connector has random weights: matrices are normal with variance 1 / inputs, gains 1 and
    biases 0. The trained weights are put back afterwards.

    Raises ConfigError for a model whose connector can't be reached.
    """
    connector = _connector(model)
    trained = {name: tensor.detach().clone() for name, tensor in connector.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for name, weight in connector.named_parameters():
                if weight.dim() > 1:
                    inputs = weight[0].numel()
                    weight.copy_(torch.randn(weight.shape, generator=generator) / inputs**0.5)
                else:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
        yield
    finally:
        connector.load_state_dict(trained)


def _connector(model: VisionLanguageModel) -> nn.Module:
    if isinstance(model, VLM):
        connector: object = model.connector
        if isinstance(connector, nn.Module):
            return connector
    architecture = getattr(model, "architecture", None)
    if architecture is not None:
        found: nn.Module = model.model.get_submodule(architecture.connector)  # type: ignore[attr-defined]
        return found
    raise ConfigError(f"a {type(model).__name__} doesn't show its connector, so there is no untrained one as control")
