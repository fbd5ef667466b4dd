"""Covariances of rows that come in parts, in any number of processes: parts are summed up apart and then joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.nn.linear import inner_products

STRIP = 256
"""Rows whose products with all later ones are made at a time."""


@dataclass(frozen=True)
class Centred:
    """Rows less their mean. They are kept in fp32, which is enough for their products however large the mean is.

    mean     (width,) float64
    columns  (width, n), a row of them each
    """

    mean: Tensor
    columns: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Centred:
        """Of rows (n, width), n >= 1."""
        wide = rows if rows.dtype == torch.float64 else rows.float()
        almost = wide.mean(0)
        columns = wide.T.clone(memory_format=torch.contiguous_format).sub_(almost[:, None]).float()
        return cls(almost.double() + columns.mean(1), columns)


@dataclass
class Comoments:
    """Number, means and centred products of paired rows, all that a covariance needs.

    count          rows
    first, second  means, (a,) and (b,) float64
    products       sum over rows of (x - mean x)(y - mean y)^T, (a, b); float64 once parts are added to `none`
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
    def of(cls, first: Centred, second: Centred) -> Comoments:
        """Of rows (n, a) and (n, b), n >= 1."""
        product = _with_itself(first.columns) if first is second else inner_products(first.columns, second.columns)
        return cls(first.columns.shape[1], first.mean, second.mean, product)

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


def _with_itself(rows: Tensor) -> Tensor:
    """Inner products of rows (a, n) with each other, (a, a): little more than half of them, the others being equal."""
    found = rows.new_empty(len(rows), len(rows))
    for start in range(0, len(rows), STRIP):
        strip, later = slice(start, start + STRIP), slice(start + STRIP, None)
        found[strip, start:] = inner_products(rows[strip], rows[start:])
        found[later, strip] = found[strip, later].T
    return found
