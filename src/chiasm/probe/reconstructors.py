"""Ways to predict one site's tokens from another's, each with a capacity that can be set.

All work on standardised features and learn from training pictures only; validation pictures choose the ridge penalty
and the epoch. `fit` returns a function from features of the first site, and the second's grids, to its tokens. Networks
learn what the ridge leaves over, so that they can only add to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.models.cells import into_cells, out_of_cells, share_cells, shared_cells
from chiasm.models.features import Features, Grid
from chiasm.models.nn.grid_waves import grid_waves
from chiasm.probe.epochs import Schedule, best_epoch, seeded_network

Predict = Callable[[Features, Sequence[Grid]], Tensor]
PENALTIES = tuple(10.0**power for power in range(-9, 3))
"""Ridge penalties in parts of the mean eigenvalue of the inputs' covariance."""
ROWS = 2**15
"""Rows held in float64 at a time."""
FREQUENCIES = 10
"""Octaves of a token's place that a sequence model is given: enough to tell 512 tokens in a row apart."""


@dataclass(frozen=True)
class Pairs:
    """Features of the same pictures at two sites, standardised."""

    given: Features
    wanted: Features

    def cells(self) -> tuple[Tensor, Tensor]:
        """The tokens of both sites, a row for each cell that they share."""
        cells = shared_cells(self.given.grids, self.wanted.grids)
        return into_cells(self.given, cells), into_cells(self.wanted, cells)

    def left_over(self, predict: Predict) -> Pairs:
        """With the errors of a prediction in place of what is wanted."""
        predicted = predict(self.given, self.wanted.grids)
        return Pairs(self.given, replace(self.wanted, tokens=self.wanted.tokens - predicted))


class Reconstructor(Protocol):
    @property
    def name(self) -> str: ...

    def fit(self, train: Pairs, validation: Pairs, seed: int = 0) -> Predict: ...


@dataclass(frozen=True)
class Ridge:
    """A linear map from each cell's tokens, in closed form from covariances that are summed over blocks of rows.

    components   the inputs' strongest principal directions that it may use; None for all
    """

    components: int | None = None

    @property
    def name(self) -> str:
        return "ridge" if self.components is None else f"ridge-{self.components}"

    def fit(self, train: Pairs, validation: Pairs, seed: int = 0) -> Predict:
        x, y = train.cells()
        mean_x, mean_y = x.mean(0), y.mean(0)
        inner, cross, _ = _products(x, y, mean_x, mean_y)
        energies, axes = torch.linalg.eigh(inner)
        axes, energies = axes[:, -(self.components or 0) :], energies[-(self.components or 0) :].clamp(min=0)
        # The validation error of every penalty from the validation pictures' own covariances, without a prediction.
        inner_new, cross_new, energy_new = _products(*validation.cells(), mean_x, mean_y)
        rotated, wanted, wanted_new = axes.T @ inner_new @ axes, axes.T @ cross, axes.T @ cross_new
        least, best = float("inf"), wanted
        for penalty in PENALTIES:
            coefficients = wanted / (energies + max(penalty * float(energies.mean()), 1e-30))[:, None]
            error = float(((rotated @ coefficients - 2 * wanted_new) * coefficients).sum()) + energy_new
            if error < least:
                least, best = error, coefficients
        weights = (axes @ best).float()
        return _by_cells(lambda rows: (rows - mean_x) @ weights + mean_y)


@dataclass(frozen=True)
class PerTokenMLP:
    """Two hidden layers of GELU on each cell's tokens alone, on top of the ridge."""

    hidden: int = 256
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=15, batch=256))

    @property
    def name(self) -> str:
        return f"mlp-{self.hidden}"

    def fit(self, train: Pairs, validation: Pairs, seed: int = 0) -> Predict:
        ridge = Ridge().fit(train, validation)
        x, left = train.left_over(ridge).cells()
        new_x, new_left = validation.left_over(ridge).cells()
        widths = (x.shape[1], self.hidden, self.hidden, left.shape[1])
        network = seeded_network(lambda: _layers(widths), seed)

        def loss(rows: Tensor) -> Tensor:
            return (network(x[rows]) - left[rows]).square().mean()

        def validate() -> float:
            return float((network(new_x) - new_left).square().mean())

        best_epoch(network, loss, validate, len(x), self.schedule, seed)
        return _sum(ridge, _by_cells(network))


@dataclass(frozen=True)
class SequenceModel:
    """A transformer over a picture's tokens and, for each token to be predicted, a query that starts from the token at
    its place: what one site has at a place may lie anywhere at the other, and token counts may differ. Where the two
    sites share cells it works on top of the ridge.

    Pre-norm self-attention (Xiong et al. 2020) with `depth` layers of `width`.
    """

    width: int = 128
    depth: int = 2
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=15, batch=8))

    @property
    def name(self) -> str:
        return f"sequence-{self.width}x{self.depth}"

    def fit(self, train: Pairs, validation: Pairs, seed: int = 0) -> Predict:
        start = (
            Ridge().fit(train, validation)
            if share_cells(train.given.grids, train.wanted.grids)
            else _zeros(train.wanted)
        )
        train, validation = train.left_over(start), validation.left_over(start)
        widths = train.given.tokens.shape[1], train.wanted.tokens.shape[1]
        network = seeded_network(lambda: TokenTransformer(*widths, self.width, self.depth), seed)
        batch = self.schedule.batch

        def loss(pictures: Tensor) -> Tensor:
            some = train.wanted.select(pictures.tolist())
            return (network(train.given.select(pictures.tolist()), some.grids) - some.tokens).square().mean()

        @torch.no_grad()
        def predict(given: Features, grids: Sequence[Grid]) -> Tensor:
            parts = [part.tolist() for part in torch.arange(len(given)).split(batch)]
            return torch.cat([network(given.select(part), [grids[i] for i in part]) for part in parts])

        def validate() -> float:
            wanted = validation.wanted
            return float((predict(validation.given, wanted.grids) - wanted.tokens).square().mean())

        best_epoch(network, loss, validate, len(train.given), self.schedule, seed)
        return _sum(start, predict)


class TokenTransformer(nn.Module):
    def __init__(self, given: int, wanted: int, width: int, depth: int):
        super().__init__()
        self.enter = nn.Linear(given, width)
        self.place = nn.Linear(4 * FREQUENCIES, width)
        self.is_query = nn.Parameter(torch.zeros(width))
        layer = nn.TransformerEncoderLayer(
            width, max(1, width // 32), 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.leave = nn.Sequential(nn.LayerNorm(width), _starting_at_zero(width, wanted))

    def forward(self, given: Features, grids: Sequence[Grid]) -> Tensor:
        """Tokens on the other site's `grids`, (sum of rows * columns, wanted)."""
        sequences, counts = [], []
        entered = self.enter(given.tokens).split(given.lengths)
        for tokens, here, there in zip(entered, given.grids, grids, strict=True):
            keys = tokens + self.place(grid_waves(here, FREQUENCIES))
            queries = tokens[_nearest(here, there)] + self.place(grid_waves(there, FREQUENCIES)) + self.is_query
            sequences.append(torch.cat([queries, keys]))
            counts.append(len(queries))
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
        absent = torch.arange(padded.shape[1]) >= lengths[:, None]
        seen = self.layers(padded, src_key_padding_mask=absent if absent.any() else None)
        return self.leave(torch.cat([row[:count] for row, count in zip(seen, counts, strict=True)]))


def reconstructor_named(name: str) -> Reconstructor:
    """ "ridge", "mlp" or "sequence" in its own size. Raises ConfigError for another name."""
    known: dict[str, Reconstructor] = {"ridge": Ridge(), "mlp": PerTokenMLP(), "sequence": SequenceModel()}
    if name not in known:
        raise ConfigError(
            f"no reconstructor is called {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
        )
    return known[name]


def _layers(widths: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.GELU(), nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers[1:-1], _starting_at_zero(*widths[-2:]))


def _starting_at_zero(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _sum(first: Predict, second: Predict) -> Predict:
    return lambda given, grids: first(given, grids) + second(given, grids)


def _zeros(wanted: Features) -> Predict:
    width = wanted.tokens.shape[1]
    return lambda given, grids: torch.zeros(sum(rows * columns for rows, columns in grids), width)


def _nearest(here: Grid, there: Grid) -> Tensor:
    """For each token of the grid `there` the index of the one of `here` at its place."""
    rows, columns = ((2 * torch.arange(b) + 1) * a // (2 * b) for a, b in zip(here, there, strict=True))
    return (rows[:, None] * here[1] + columns).flatten()


def _products(x: Tensor, y: Tensor, mean_x: Tensor, mean_y: Tensor) -> tuple[Tensor, Tensor, float]:
    """x'x, x'y and the sum of y squared, less the means, in float64."""
    inner = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
    cross, energy = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64), 0.0
    for some_x, some_y in zip(x.split(ROWS), y.split(ROWS), strict=True):
        some_x, some_y = (some_x - mean_x).double(), (some_y - mean_y).double()
        inner += some_x.T @ some_x
        cross += some_x.T @ some_y
        energy += float(some_y.square().sum())
    return inner, cross, energy


def _by_cells(map_: Callable[[Tensor], Tensor]) -> Predict:
    @torch.no_grad()
    def predict(given: Features, grids: Sequence[Grid]) -> Tensor:
        cells = shared_cells(given.grids, grids)
        return out_of_cells(map_(into_cells(given, cells)), cells, grids)

    return predict
