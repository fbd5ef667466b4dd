"""Outputs of modules while a model runs: kept, or overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def recorded(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """name -> output of each module in the last forward inside the block; of a tuple, its first tensor."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs[name] = output if isinstance(output, Tensor) else output[0]

        return hook

    with ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(keep(name)).remove)
        yield outputs


@contextmanager
def overwritten(module: nn.Module, places: Tensor, states: Tensor) -> Iterator[None]:
    """Inside the block `module` puts out `states` where `places` is True: (..., width) and (...) for an output
    (..., width); of a tuple, its first tensor."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        own = output if isinstance(output, Tensor) else output[0]
        changed = torch.where(places[..., None], states, own)
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
