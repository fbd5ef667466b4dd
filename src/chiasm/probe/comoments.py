"""Covariances of rows that come in parts, in any number of processes: parts are summed up apart and then joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.nn.linear import inner_products


@dataclass
class Comoments:
    """Number, means and centred products of paired rows, all that a covariance needs.

    count          rows
    first, second  means, (a,) and (b,) float64
    products       sum over rows of (x - mean x)(y - mean y)^T, (a, b) float64
    """

    count: int
    first: Tensor
    second: Tensor
    products: Tensor

    @classmethod
    def none(cls, first: int, second: int) -> Comoments:
        """Of no rows, of widths `first` and `second`."""
        widths = (first,), (second,), (first, second)
        return cls(0, *(torch.zeros(width, dtype=torch.float64) for width in widths))

    @classmethod
    def of(cls, first: Tensor, second: Tensor) -> Comoments:
        """Of rows (n, a) and (n, b), n >= 1. Products are of centred rows, so fp32 is enough for them however large a
        common offset is."""
        means = first.mean(0, dtype=torch.float64), second.mean(0, dtype=torch.float64)
        centred = [_less(rows, mean) for rows, mean in zip((first, second), means, strict=True)]
        return cls(len(first), *means, inner_products(centred[0].T, centred[1].T).double())

    def add(self, other: Comoments) -> None:
        """Take in the rows of `other` (Chan, Golub and LeVeque 1983, equation 2.1)."""
        both = self.count + other.count
        gaps = other.first - self.first, other.second - self.second
        self.products += other.products
        self.products.addr_(*gaps, alpha=self.count * other.count / both)
        self.first += gaps[0] * (other.count / both)
        self.second += gaps[1] * (other.count / both)
        self.count = both

    def to(self, device: torch.device | str) -> Comoments:
        return Comoments(self.count, *(part.to(device) for part in (self.first, self.second, self.products)))

    def covariance(self) -> np.ndarray:
        """Unbiased, (a, b) float64. Raises DataError for fewer than two rows."""
        if self.count < 2:
            raise DataError(f"{self.count} token has no covariance")
        return (self.products / (self.count - 1)).cpu().numpy()


def _less(rows: Tensor, mean: Tensor) -> Tensor:
    wide = rows if rows.dtype == torch.float64 else rows.float()
    return (wide - mean.to(wide.dtype)).float()
