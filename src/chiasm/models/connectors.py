"""Connectors: from the vision encoder's features to the decoder's, E_pre -> E_post.

The protocol is two methods. `out_tokens` tells how many tokens a grid becomes *before* anything runs, so that the
sequence can be built from picture sizes alone; `forward` does it. A connector with an input norm of its own applies it
in `normalize`, which is the site "connector.in".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.errors import ConfigError
from chiasm.models.features import Features, Grid
from chiasm.models.nn import linear


class Connector(Protocol):
    """What every connector offers. Tokens are (sum of rows * columns, width), pictures one after the other."""

    in_width: int
    out_width: int

    def out_tokens(self, grid: Grid) -> int:
        """How many tokens a grid of E_pre becomes. Raises ConfigError for a grid that does not fit."""
        ...

    def normalize(self, features: Features) -> Features:
        """E_pre after the own input norm, unchanged where there is none; in_width wide, site "connector.in"."""
        ...

    def __call__(self, features: Features) -> Features:
        """E_pre -> E_post, out_width wide, site "connector"."""
        ...


class Linear(nn.Module):
    """One projection a token (LLaVA 1.0, Liu et al. 2023)."""

    def __init__(self, in_width: int, out_width: int):
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.project = linear.Linear(in_width, out_width)

    def out_tokens(self, grid: Grid) -> int:
        return grid[0] * grid[1]

    def normalize(self, features: Features) -> Features:
        return replace(features, site="connector.in")

    def forward(self, features: Features) -> Features:
        return replace(features, tokens=self.project(features.tokens), site="connector")


class MLP(nn.Module):
    """Two layers with GELU a token (LLaVA 1.5, Liu et al. 2023)."""

    def __init__(self, in_width: int, out_width: int, hidden: int | None = None):
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.up = linear.Linear(in_width, hidden or out_width)
        self.down = linear.Linear(hidden or out_width, out_width)

    def out_tokens(self, grid: Grid) -> int:
        return grid[0] * grid[1]

    def normalize(self, features: Features) -> Features:
        return replace(features, site="connector.in")

    def forward(self, features: Features) -> Features:
        return replace(features, tokens=self.down(F.gelu(self.up(features.tokens))), site="connector")


class PatchMerger(nn.Module):
    """Each `merge` x `merge` square of tokens becomes one (Qwen2-VL, Wang et al. 2024): norm, concatenate, MLP."""

    def __init__(self, in_width: int, out_width: int, merge: int = 2, hidden: int | None = None):
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.merge = merge
        self.norm = nn.LayerNorm(in_width, 1e-6)
        joined = in_width * merge * merge
        self.up = linear.Linear(joined, hidden or joined)
        self.down = linear.Linear(hidden or joined, out_width)

    def out_tokens(self, grid: Grid) -> int:
        rows, columns = self._merged(grid)
        return rows * columns

    def normalize(self, features: Features) -> Features:
        return replace(features, tokens=self.norm(features.tokens), site="connector.in")

    def forward(self, features: Features) -> Features:
        squares = torch.cat(
            [
                self._squares(tokens, grid)
                for tokens, grid in zip(*_stack_equal_grids(self.normalize(features)), strict=True)
            ]
        )
        grids = tuple(self._merged(grid) for grid in features.grids)
        return Features(self.down(F.gelu(self.up(squares))), grids, "connector")

    def _merged(self, grid: Grid) -> Grid:
        if grid[0] % self.merge or grid[1] % self.merge:
            raise ConfigError(f"a grid of {grid[0]} x {grid[1]} tokens can't be merged {self.merge} x {self.merge}")
        return grid[0] // self.merge, grid[1] // self.merge

    def _squares(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(pictures * rows * columns, width) -> (pictures * squares, merge * merge * width), raster order."""
        rows, columns = self._merged(grid)
        return (
            tokens.view(-1, rows, self.merge, columns, self.merge, tokens.shape[-1])
            .transpose(2, 3)
            .reshape(-1, self.merge**2 * tokens.shape[-1])
        )


def _stack_equal_grids(features: Features) -> tuple[list[Tensor], list[Grid]]:
    """Runs of neighbouring pictures with one grid, so that a batch of equal pictures is a single operation."""
    stacks: list[int] = []
    grids: list[Grid] = []
    for grid in features.grids:
        if grids and grids[-1] == grid:
            stacks[-1] += grid[0] * grid[1]
        else:
            stacks.append(grid[0] * grid[1])
            grids.append(grid)
    return list(features.tokens.split(stacks)), grids


CONNECTORS = {"linear": Linear, "mlp": MLP, "patch_merger": PatchMerger}
