"""The vision side of a model of the library: pictures to E_pre, E_pre to E_post, and features in between."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.connection import Context, fitting
from chiasm.models.features import Features
from chiasm.models.recording import recorded

Seen = tuple[Mapping[str, Tensor], Context]
"""What the encoder is given of one picture, and what is remembered of it."""
Calls = dict[int, tuple[tuple[Any, ...], Mapping[str, Any]]]


class Vision:
    """Encoder and connector of `model`."""

    def __init__(self, model: Any, architecture: Architecture):
        self.model, self.architecture = model, architecture
        self.connection = architecture.connection(model, architecture.connector)
        layers = model.get_submodule(architecture.layers) if architecture.layers else []
        # An encoder in stages: what leaves the last layer of each is what the next is given.
        self.layers = [layer[-1] if isinstance(layer, nn.ModuleList) else layer for layer in layers]
        strategy = getattr(model.config, "vision_feature_select_strategy", "default")
        self.dropped = architecture.dropped if strategy == "default" else 0

    def sites(self) -> tuple[str, ...]:
        return (*(f"encoder.{layer}" for layer in range(len(self.layers))), "encoder", "connector.in", "connector")

    def capture(self, pictures: Sequence[Seen], sites: Sequence[str]) -> dict[str, Features]:
        """One forward for all pictures whose inputs have equal shapes. Raises ConfigError for an unknown site."""
        if unknown := set(sites) - set(self.sites()):
            raise ConfigError(f"this model has no site {', '.join(sorted(unknown))}; it has {', '.join(self.sites())}")
        found: list[dict[str, Tensor]] = [{} for _ in pictures]
        for members in grouped(_shapes(inputs) for inputs, _ in pictures):
            for i, at in zip(members, self._capture([pictures[i] for i in members], sites), strict=True):
                found[i] = at
        contexts = [context for _, context in pictures]
        return {site: self._features([at[site] for at in found], site, contexts) for site in sites}

    def connect(self, features: Features, instructions: Sequence[Tensor] | None = None) -> Features:
        """E_pre -> E_post. `instructions` is what an instruction-aware connector reads, token ids (1, length) for each
        picture. Raises ConfigError for features that are not E_pre of this model."""
        if features.site != "encoder" or features.context is None:
            raise ConfigError(
                f"features of the site {features.site!r} can't be connected, only those that `encode` returned"
            )
        contexts = features.context
        parts = [tokens.to(self.model.device, self.model.dtype) for tokens in features.split()]
        result = list(parts)
        for members in grouped(context.raw for context in contexts):
            raw = torch.cat([self.connection.raw(parts[i], contexts[i]) for i in members])
            given = [contexts[i] for i in members]
            extra = {} if instructions is None else {"instructions": [instructions[i] for i in members]}
            for i, tokens in zip(members, self.connection(raw, given, **extra), strict=True):
                result[i] = tokens
        return self._features(result, "connector", contexts)

    @torch.no_grad()
    def _capture(self, pictures: Sequence[Seen], sites: Sequence[str]) -> list[dict[str, Tensor]]:
        """Site -> tokens of each picture."""
        inputs = {name: torch.cat([given[name] for given, _ in pictures]) for name in pictures[0][0]}
        watched = {f"encoder.{i}": layer for i, layer in enumerate(self.layers) if f"encoder.{i}" in sites}
        if self.architecture.norm and "connector.in" in sites:
            watched["connector.in"] = self.model.get_submodule(self.architecture.norm)
        calls: Calls = {}
        with recorded(watched) as outputs, ExitStack() as stack:
            for number, module in enumerate(self.connection.modules()):
                hook = module.register_forward_pre_hook(partial(_remember, calls, number), with_kwargs=True)
                stack.callback(hook.remove)
            output = self.connection.features(inputs)

        received = [self.connection.received(*calls[number]) for number in sorted(calls)]
        raws = torch.cat(received, -1).chunk(len(pictures)) if len(received) > 1 else received[0].chunk(len(pictures))
        e_posts = self.connection.output(output, len(pictures))
        result = []
        for i, ((_, context), raw, e_post) in enumerate(zip(pictures, raws, e_posts, strict=True)):
            context.raw = raw.shape
            self.connection.note(context, i, calls[0][1])
            e_pre = self.connection.tokens(raw, context)
            at = {"encoder": e_pre, "connector.in": e_pre, "connector": e_post}
            for site, tensor in outputs.items():
                dropped = self.dropped if site.startswith("encoder") else 0
                own = tensor.chunk(len(pictures))[i]
                at[site] = self.connection.tokens(own[:, dropped:] if dropped else own, context)
            result.append(at)
        return result

    def _features(self, tokens: Sequence[Tensor], site: str, contexts: Sequence[Context]) -> Features:
        placed = site != "connector" or self.connection.in_place
        grids = tuple(
            fitting(context.grid if placed else None, len(t)) for context, t in zip(contexts, tokens, strict=True)
        )
        return Features(torch.cat(list(tokens)), grids, site, tuple(contexts))


def grouped(keys: Iterable[Hashable]) -> list[list[int]]:
    """Indices of equal keys together, in order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _shapes(inputs: Mapping[str, Tensor]) -> Hashable:
    return tuple((name, tensor.shape) for name, tensor in inputs.items())


def _remember(calls: Calls, number: int, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    calls[number] = args, kwargs
