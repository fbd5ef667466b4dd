"""Where a token is in its picture, as numbers that a linear layer can read."""

from __future__ import annotations

import torch
from torch import Tensor

from chiasm.models.features import Grid


def grid_waves(grid: Grid, octaves: int) -> Tensor:
    """Sine and cosine of each token's row and column at every octave, from half a wave a picture on:
    (rows * columns, 4 * octaves) in raster order."""
    places = torch.cartesian_prod(*((torch.arange(side) + 0.5) / side for side in grid))
    angles = (places[:, :, None] * torch.pi * 2.0 ** torch.arange(octaves)).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
