"""From logits to the next token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """Greedy by default. Otherwise temperature, then top-k, then top-p (Holtzman et al. 2020), then min-p (Nguyen et
    al. 2024), in that order; each is off at its default. `seed` makes a draw repeatable."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature must be 0 (greedy) or more, and finite, got {self.temperature}")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise ConfigError(f"need top_k >= 0, 0 < top_p <= 1, 0 <= min_p <= 1, got {self}")

    def generator(self, device: torch.device) -> torch.Generator:
        """A random generator with the seed, on `device`."""
        return torch.Generator(device).manual_seed(self.seed)


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """Probabilities (rows, vocabulary) that a token is drawn from."""
    # Relative to the highest, so that a tiny temperature can't overflow.
    logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        smallest = logits.topk(sampling.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    probabilities = logits.softmax(-1)
    if sampling.top_p < 1:
        ordered, index = probabilities.sort(descending=True)
        # Keep the tokens before the sum passes top_p, and the one that passes it.
        outside = ordered.cumsum(-1) - ordered >= sampling.top_p
        probabilities = probabilities.masked_fill(outside.gather(-1, index.argsort(-1)), 0.0)
    if sampling.min_p > 0:
        probabilities = probabilities.masked_fill(
            probabilities < sampling.min_p * probabilities.amax(-1, keepdim=True), 0.0
        )
    return probabilities / probabilities.sum(-1, keepdim=True)


def choose(logits: Tensor, sampling: Sampling, generator: torch.Generator | None) -> Tensor:
    """Next token of each row: logits (rows, vocabulary) -> (rows,)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(filtered(logits, sampling), 1, generator=generator)[:, 0]
