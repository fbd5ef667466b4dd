"""Connectors to put in the place of a model's own, between the same encoder and the same decoder.

Each takes E_pre of any model and the grids on which its decoder expects E_post, and starts at the scale of the model's
own E_post: what it is to learn is where to go from the mean token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.models.cells import blocks
from chiasm.models.features import Features, Grid
from chiasm.models.nn.grid_waves import grid_waves

HIDDEN = 512
COUPLINGS = 4
FREQUENCIES = 8


class Replacement(nn.Module):
    """`kind` is one of `KINDS`; `cell` is how many rows and columns of E_pre become one token of E_post, None where it
    does not divide so evenly."""

    def __init__(self, kind: str, in_width: int, out_width: int, cell: Grid | None):
        super().__init__()
        self.norm = nn.LayerNorm(in_width)
        self.map = KINDS[kind](in_width, out_width, cell)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(out_width))
        self.register_buffer("deviation", torch.ones(out_width))

    @staticmethod
    def between(kind: str, e_pre: Features, e_post: Features) -> Replacement:
        """Untrained, with sizes and scale of some pictures' features before and after a model's own connector."""
        cell = cell_of(e_pre.grids, e_post.grids)
        found = Replacement(kind, e_pre.tokens.shape[1], e_post.tokens.shape[1], cell).to(e_post.tokens.device)
        found.mean.copy_(e_post.tokens.float().mean(dim=0))
        found.deviation.copy_(e_post.tokens.float().std(dim=0).clamp(min=1e-6))
        return found

    def forward(self, e_pre: Features, grids: Sequence[Grid]) -> Tensor:
        """-> tokens of E_post on `grids`, (sum of rows * columns, out_width)."""
        tokens = self.norm(e_pre.tokens.float())
        return self.map(Features(tokens, e_pre.grids, e_pre.site), grids) * self.deviation + self.mean

    def standardised(self, tokens: Tensor) -> Tensor:
        """Tokens of E_post with the mean taken off and the deviation made 1, a channel at a time."""
        return (tokens.float() - self.mean) / self.deviation


def cell_of(before: Sequence[Grid], after: Sequence[Grid]) -> Grid | None:
    """How many rows and columns of one grid fall on one of the other; None where pictures differ or it is no whole."""
    ratios = {(a[0] / b[0], a[1] / b[1]) for a, b in zip(before, after, strict=True)}
    rows, columns = ratios.pop()
    whole = not ratios and rows >= 1 and columns >= 1 and rows == int(rows) and columns == int(columns)
    return (int(rows), int(columns)) if whole else None


class PerCell(nn.Module):
    """A map of each cell of E_pre by itself: of its tokens one after the other, or where cells are not even, of the
    mean token of each part of E_pre."""

    def __init__(self, cell: Grid | None, map_: nn.Module):
        super().__init__()
        self.cell, self.map = cell, map_

    def forward(self, e_pre: Features, grids: Sequence[Grid]) -> Tensor:
        """-> (sum of rows * columns of `grids`, out_width)."""
        pairs = zip(e_pre.split(), e_pre.grids, grids, strict=True)
        return self.map(torch.cat([_cells(tokens, before, after, self.cell) for tokens, before, after in pairs]))


def _cells(tokens: Tensor, before: Grid, after: Grid, cell: Grid | None) -> Tensor:
    if cell is None:
        return F.adaptive_avg_pool1d(tokens.T[None], after[0] * after[1])[0].T
    return blocks(tokens.view(*before, -1), after)


class Coupling(nn.Module):
    """Half of the channels move by what the other half says, which can be undone (RealNVP, Dinh et al. 2017, equations
    7 and 8). Starts as the identity."""

    def __init__(self, width: int, hidden: int, second_half: bool):
        super().__init__()
        self.second_half = second_half
        given, moved = (width // 2, width - width // 2)[:: -1 if second_half else 1]
        self.sizes = (given, moved)
        last = nn.Linear(hidden, 2 * moved)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(given, hidden), nn.GELU(), last)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        given, moved = self._halves(x)
        scale, shift = self._move(given)
        return self._whole(given, moved * scale.exp() + shift)

    def inverse(self, y: Tensor) -> Tensor:
        """`x` from ``forward(x)``."""
        given, moved = self._halves(y)
        scale, shift = self._move(given)
        return self._whole(given, (moved - shift) * (-scale).exp())

    def _move(self, given: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.net(given).chunk(2, dim=-1)
        return scale.tanh(), shift  # bounded, so that no channel runs away

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.split(self.sizes[:: -1 if self.second_half else 1], dim=-1)
        return (second, first) if self.second_half else (first, second)

    def _whole(self, given: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, given] if self.second_half else [given, moved], dim=-1)


class Resampler(nn.Module):
    """Queries for the places of E_post look over all tokens of E_pre (Perceiver, Jaegle et al. 2021): two layers of
    attention among the queries, attention to E_pre, and an MLP."""

    def __init__(self, in_width: int, out_width: int, width: int = 256, depth: int = 2, heads: int = 4):
        super().__init__()
        self.enter, self.leave = nn.Linear(in_width, width), nn.Linear(width, out_width)
        self.key_place, self.query_place = nn.Linear(4 * FREQUENCIES, width), nn.Linear(4 * FREQUENCIES, width)
        layer = nn.TransformerDecoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerDecoder(layer, depth, nn.LayerNorm(width))

    def forward(self, e_pre: Features, grids: Sequence[Grid]) -> Tensor:
        """-> (sum of rows * columns of `grids`, out_width)."""
        entered = self.enter(e_pre.tokens).split(e_pre.lengths)
        device = e_pre.tokens.device
        places = [self.key_place(grid_waves(grid, FREQUENCIES).to(device)) for grid in e_pre.grids]
        keys, no_key = _padded([tokens + place for tokens, place in zip(entered, places, strict=True)])
        queries, no_query = _padded([self.query_place(grid_waves(grid, FREQUENCIES).to(device)) for grid in grids])
        found = self.layers(queries, keys, tgt_key_padding_mask=no_query, memory_key_padding_mask=no_key)
        return self.leave(found[~no_query])


def _padded(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(parts, longest, width), and True where there is no token."""
    lengths = torch.tensor([len(part) for part in parts], device=parts[0].device)
    rows = nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    return rows, torch.arange(rows.shape[1], device=rows.device) >= lengths[:, None]


def _linear(in_width: int, out_width: int, cell: Grid | None) -> nn.Module:
    return PerCell(cell, nn.Linear(_cell_width(in_width, cell), out_width))


def _mlp(in_width: int, out_width: int, cell: Grid | None) -> nn.Module:
    inputs = _cell_width(in_width, cell)
    return PerCell(cell, nn.Sequential(nn.Linear(inputs, out_width), nn.GELU(), nn.Linear(out_width, out_width)))


def _flow(in_width: int, out_width: int, cell: Grid | None) -> nn.Module:
    couplings = (Coupling(out_width, HIDDEN, second_half=bool(k % 2)) for k in range(COUPLINGS))
    projection = nn.Linear(_cell_width(in_width, cell), out_width)
    return PerCell(cell, nn.Sequential(projection, nn.LayerNorm(out_width), *couplings))


def _resampler(in_width: int, out_width: int, cell: Grid | None) -> nn.Module:
    return Resampler(in_width, out_width)


def _cell_width(in_width: int, cell: Grid | None) -> int:
    return in_width if cell is None else in_width * cell[0] * cell[1]


KINDS: dict[str, Callable[[int, int, Grid | None], nn.Module]] = {
    "linear": _linear,
    "mlp": _mlp,
    "resampler": _resampler,
    "flow": _flow,
}
