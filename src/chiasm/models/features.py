"""Features at a site of a model: the one currency between encoder, connector, decoder and probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Grid = tuple[int, int]
"""Rows and columns of a picture's tokens."""


@dataclass(frozen=True)
class Features:
    """Tokens of several pictures, flat and ragged.

    tokens   (sum of rows * columns, width), pictures in order, each in raster order (left to right, top to bottom)
    grids    (rows, columns) of each picture; (1, n) where tokens have no place in the picture
    site     where on the model they were taken: "encoder.<layer>", "encoder", "connector.in", "connector"
    context  for each picture what the model that made the features has to know to go on from them (tile layout,
             patch grid, ...); nobody else looks inside. None where it needs nothing.
    cls      (pictures, width), the class token of each, where the encoder has one and leaves it out of `tokens`
    """

    tokens: Tensor
    grids: tuple[Grid, ...]
    site: str
    context: tuple[Any, ...] | None = None
    cls: Tensor | None = None

    @property
    def lengths(self) -> list[int]:
        """Tokens of each picture."""
        return [rows * columns for rows, columns in self.grids]

    def __len__(self) -> int:
        return len(self.grids)

    def split(self) -> list[Tensor]:
        """One (rows * columns, width) tensor a picture."""
        return list(self.tokens.split(self.lengths))

    def select(self, indices: Sequence[int]) -> Features:
        """The given pictures, in the given order; one may be taken several times."""
        parts = self.split()
        return replace(
            self,
            tokens=torch.cat([parts[i] for i in indices]),
            grids=tuple(self.grids[i] for i in indices),
            context=None if self.context is None else tuple(self.context[i] for i in indices),
            cls=None if self.cls is None else self.cls[list(indices)],
        )
