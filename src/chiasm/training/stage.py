"""A stage of training: which parameters learn and how, on what, for how long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from chiasm.errors import ConfigError


@dataclass(frozen=True)
class Full:
    """Trained in full, with peak learning rate `lr`."""

    lr: float


@dataclass(frozen=True)
class Lora:
    """Frozen linear layers with a trained low-rank update on top, merged when the stage ends (`lora`)."""

    rank: int
    lr: float
    alpha: float = 16.0


How = Literal["frozen"] | Full | Lora


@dataclass(frozen=True)
class Stage:
    """One stage. A step sees `batch` examples in micro-batches of `micro_batch`; both give the same gradient.

    train        ordered (regex, how): the first regex that matches a parameter's whole name decides, and every
                 parameter must match one
    objective    name in `objectives.OBJECTIVES`, with its `options`
    data         dataset as on the command line, e.g. "scenes:train"; the recipe's where it is empty
    warmup       steps of linear warm-up, before a cosine down to `final_lr` times the peak
    clip         largest gradient norm
    precision    "bf16" autocast or "fp32"
    save_every   steps between checkpoints, from which a killed run goes on
    """

    name: str
    train: tuple[tuple[str, How], ...]
    objective: str
    steps: int
    batch: int
    micro_batch: int
    data: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    warmup: int = 100
    final_lr: float = 0.0
    weight_decay: float = 0.05
    clip: float = 1.0
    precision: Literal["bf16", "fp32"] = "bf16"
    save_every: int = 200

    def __post_init__(self) -> None:
        for key in ("steps", "batch", "micro_batch", "save_every"):
            if getattr(self, key) < 1:
                raise ConfigError(f"stage {self.name!r}: {key} is {getattr(self, key)}, it must be at least 1")
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"stage {self.name!r}: precision is {self.precision!r}, it must be bf16 or fp32")


def assign(model: nn.Module, rules: Iterable[tuple[str, How]]) -> dict[str, How]:
    """How each parameter of the model is trained. Raises ConfigError for a parameter without a rule, for a rule that
    decides nothing (a typing error, or hidden behind an earlier one) and where nothing would be trained."""
    rules = list(rules)
    decided: dict[str, How] = {}
    used = set()
    for name, _ in model.named_parameters():
        for number, (pattern, how) in enumerate(rules):
            if re.fullmatch(pattern, name):
                decided[name] = how
                used.add(number)
                break
        else:
            raise ConfigError(f"no rule says how to train {name}; rules: {[p for p, _ in rules]}")
    idle = [pattern for number, (pattern, _) in enumerate(rules) if number not in used]
    if idle:
        raise ConfigError(f"rules that decide no parameter: {idle}")
    if all(how == "frozen" for how in decided.values()):
        raise ConfigError("every rule says frozen, so there is nothing to train")
    return decided


def freeze(model: nn.Module, decided: Mapping[str, How]) -> None:
    """Apply `decided`: frozen parameters take no gradient, and modules that are frozen as a whole stay in eval mode
    even when `.train()` is called on the model."""
    for module in model.modules():
        module.__dict__.pop("train", None)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(decided[name] != "frozen")
    model.train()
    _hold_eval(model)


def _hold_eval(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        module.train = lambda mode=True: module  # type: ignore[method-assign]
    else:
        for child in module.children():
            _hold_eval(child)
