"""Tokens of two sites side by side: the tokens that share a cell of the coarser site's grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.features import Features, Grid


def shared_cells(first: Sequence[Grid], second: Sequence[Grid]) -> tuple[Grid, ...]:
    """For each picture the coarser of its two grids. Raises DataError where the finer one doesn't divide into it, as
    for a resampler, whose tokens have no place in the picture."""
    cells = []
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        coarse = (min(one[0], other[0]), min(one[1], other[1]))
        # One row of tokens is how features say that they have no place in the picture.
        placeless = one != other and any(rows == 1 < columns for rows, columns in (one, other))
        if placeless or any(side % part for grid in (one, other) for side, part in zip(grid, coarse, strict=True)):
            raise DataError(
                f"picture {index}: tokens on grids of {one} and {other} share no cells; use a sequence model for them"
            )
        cells.append(coarse)
    return tuple(cells)


def share_cells(first: Sequence[Grid], second: Sequence[Grid]) -> bool:
    """Whether `shared_cells` and `into_cells` can do with these pictures."""
    try:
        cells = shared_cells(first, second)
    except DataError:
        return False
    return all(
        len({(rows * columns) // (cell[0] * cell[1]) for (rows, columns), cell in zip(grids, cells, strict=True)}) == 1
        for grids in (first, second)
    )


def into_cells(features: Features, cells: Sequence[Grid]) -> Tensor:
    """A row a cell: the tokens in it one after the other, in raster order. (sum of cells, tokens a cell * width).

    Raises DataError where pictures differ in the tokens of a cell.
    """
    rows = [
        blocks(tokens.view(*grid, -1), cell)
        for tokens, grid, cell in zip(features.split(), features.grids, cells, strict=True)
    ]
    if len({part.shape[1] for part in rows}) > 1:
        raise DataError(f"{features.site}: pictures differ in their tokens a cell; use a sequence model for them")
    return torch.cat(rows)


def out_of_cells(rows: Tensor, cells: Sequence[Grid], grids: Sequence[Grid]) -> Tensor:
    """What `into_cells` has been given, tokens (sum of rows * columns, width) on their own grids."""
    parts = rows.split([height * width for height, width in cells])
    return torch.cat([_unblocked(part, cell, grid) for part, cell, grid in zip(parts, cells, grids, strict=True)])


def blocks(tokens: Tensor, cells: Grid) -> Tensor:
    """A picture's tokens (height, width, features) by its rows and columns of `cells`, those of one side by side:
    (rows * columns, tokens a cell * features)."""
    (height, width), (rows, columns) = tokens.shape[:2], cells
    parted = tokens.view(rows, height // rows, columns, width // columns, -1)
    return parted.transpose(1, 2).reshape(rows * columns, -1)


def _unblocked(part: Tensor, cell: Grid, grid: Grid) -> Tensor:
    (rows, columns), (height, width) = cell, grid
    blocks = part.view(rows, columns, height // rows, width // columns, -1)
    return blocks.transpose(1, 2).reshape(height * width, -1)
