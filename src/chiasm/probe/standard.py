"""Features with mean 0 and standard deviation 1, by the statistics of other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.features import Features

ROWS = 2**16
"""Tokens held in float64 at a time."""
CONSTANT = 1e-6
"""A feature whose standard deviation is this small against its size varies by fp32's rounding alone."""


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation of each feature, (width,) each, of some tokens; a constant feature's deviation is
    0, and it stays 0 when standardised."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def of(tokens: Tensor, site: str) -> Standard:
        """From tokens (n, width). Raises DataError for values that are not finite."""
        if not torch.isfinite(tokens).all():
            raise DataError(f"{site}: there are features that are not finite; extract them again")
        mean = sum((part.double().sum(0) for part in tokens.split(ROWS)), torch.zeros(1)) / len(tokens)
        squares = sum(((part.double() - mean).square().sum(0) for part in tokens.split(ROWS)), torch.zeros(1))
        deviation = (squares / len(tokens)).sqrt()
        deviation[deviation <= CONSTANT * mean.abs()] = 0
        return Standard(mean.float(), deviation.float())

    @property
    def varies(self) -> Tensor:
        """(width,) bool."""
        return self.deviation > 0

    def __call__(self, features: Features) -> Features:
        scale = torch.where(self.varies, 1 / self.deviation, 0)
        return replace(features, tokens=(features.tokens - self.mean) * scale)

    def undo(self, features: Features) -> Features:
        """Standardised features as they were; a constant one takes its mean."""
        return replace(features, tokens=features.tokens * self.deviation + self.mean)


def of_pictures(features: Features, which: Sequence[int]) -> Standard:
    """By the tokens of some pictures."""
    return Standard.of(features.select(which).tokens, features.site)
