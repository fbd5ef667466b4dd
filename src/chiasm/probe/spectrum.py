"""How many directions features fill: spectra of an image's tokens and of a dataset, and numbers that sum them up.

A spectrum is the eigenvalues of a covariance (energies, squared singular values), in any order and scale: (m,) >= 0.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from chiasm.errors import DataError


def effective_rank(energies: np.ndarray) -> float:
    """Exponential of the entropy of the shares of *energy*, ``p = s^2 / sum s^2``: in [1, m]. Lower than Roy and
    Vetterli's, and not comparable with it."""
    return _exp_entropy(energies)


def roy_vetterli_rank(energies: np.ndarray) -> float:
    """Exponential of the entropy of the shares of *singular values*, ``p = s / sum s``: in [1, m]. Roy and Vetterli
    2007; RankMe (Garrido et al. 2023) is this number on uncentred features."""
    return _exp_entropy(np.sqrt(energies))


def participation_ratio(energies: np.ndarray) -> float:
    """``(sum e)^2 / sum e^2``: in [1, m]. Too low where samples are few; `debiased_participation_ratio` corrects it."""
    return float(energies.sum() ** 2 / np.square(energies).sum())


def stable_rank(energies: np.ndarray) -> float:
    """``sum e / max e``: in [1, m]."""
    return float(energies.sum() / energies.max())


def top_energy(energies: np.ndarray, count: int) -> float:
    """Share of the energy in the `count` strongest directions, in [0, 1]."""
    return float(np.sort(energies)[::-1][:count].sum() / energies.sum())


def components_for(energies: np.ndarray, share: float) -> float:
    """The least number of directions that hold `share` of the energy: k80 for 0.8."""
    held = np.cumsum(np.sort(energies)[::-1]) / energies.sum()
    # Shares that are sums of many rounded numbers: 0.8 of five equal energies is four of them.
    return float(np.searchsorted(held, share - 1e-9) + 1)


SUMMARIES: dict[str, Callable[[np.ndarray], float]] = {
    "effective_rank": effective_rank,
    "roy_vetterli_rank": roy_vetterli_rank,
    "participation_ratio": participation_ratio,
    "stable_rank": stable_rank,
    "top1_energy": lambda energies: top_energy(energies, 1),
    "top5_energy": lambda energies: top_energy(energies, 5),
    "top10_energy": lambda energies: top_energy(energies, 10),
    "k80": lambda energies: components_for(energies, 0.8),
    "k90": lambda energies: components_for(energies, 0.9),
}


def token_energies(tokens: np.ndarray, centred: bool = True) -> np.ndarray:
    """Squared singular values of a token matrix (T, d), less its mean token unless `centred` is False: (min(T, d),),
    falling.

    Eigenvalues of the smaller Gram matrix, in float64: a relative error near 1e-15 of the largest, several times
    faster than the singular values themselves. Raises DataError if a value is not finite.
    """
    if not np.isfinite(tokens).all():
        raise DataError("a token holds NaN or infinity; extract the image's features again")
    return gram_energies(torch.from_numpy(np.asarray(tokens)), centred).numpy()


def gram_energies(tokens: torch.Tensor, centred: bool = True) -> torch.Tensor:
    """The same for token matrices (..., T, d) on any device, without the check: (..., min(T, d)) float64."""
    if tokens.device.type != "cpu":
        x = _centred_and_wide(tokens, centred)
        energies = torch.linalg.eigvalsh(x @ x.mT)
    else:
        matrices = tokens.reshape(-1, *tokens.shape[-2:])
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            found = list(threads.map(partial(_eigenvalues, centred=centred), matrices))
        energies = torch.from_numpy(np.stack(found)).view(*tokens.shape[:-2], -1)
    return energies.clamp(min=0).flip(-1)


def _eigenvalues(tokens: torch.Tensor, centred: bool) -> np.ndarray:
    x = _centred_and_wide(tokens, centred).numpy()
    # NumPy sees that the product is symmetric and computes only half of it; torch doesn't.
    return np.linalg.eigvalsh(x @ x.T)


def _centred_and_wide(tokens: torch.Tensor, centred: bool) -> torch.Tensor:
    """Token matrices (..., T, d) with their shorter side first, float64."""
    x = tokens.to(torch.float64, copy=True)
    if centred:
        x -= x.mean(-2, keepdim=True)
    return x.mT if x.shape[-2] > x.shape[-1] else x


class RunningCovariance:
    """Moments of rows that come in batches: all that a dataset's spectrum needs, in memory of d^2.

    Sums are taken about the first batch's mean, so that a large common offset costs no precision.
    """

    def __init__(self, width: int) -> None:
        self.n = 0
        self._origin: np.ndarray | None = None
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))
        self._squares = 0.0
        self._fourth = 0.0
        self._cubic = np.zeros(width)

    def add(self, rows: np.ndarray) -> None:
        """Take in rows (b, d). Raises DataError for another width or values that are not finite."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self._sum):
            raise DataError(f"rows of shape {rows.shape}, expected (b, {len(self._sum)})")
        if not np.isfinite(rows).all():
            raise DataError(f"row {self.n + int((~np.isfinite(rows)).any(axis=1).argmax())} holds NaN or infinity")
        if not len(rows):
            return
        if self._origin is None:
            self._origin = rows.mean(axis=0)
        rows = rows - self._origin
        squares = np.einsum("nd,nd->n", rows, rows)
        self.n += len(rows)
        self._sum += rows.sum(axis=0)
        self._products += rows.T @ rows
        self._squares += squares.sum()
        self._fourth += squares @ squares
        self._cubic += squares @ rows

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, (d, d). Raises DataError for fewer than two rows."""
        if self.n < 2:
            raise DataError(f"{self.n} rows have no covariance")
        return (self._products - np.outer(self._sum, self._sum) / self.n) / (self.n - 1)

    def energies(self) -> np.ndarray:
        """Eigenvalues of the covariance, falling: (d,)."""
        return np.maximum(np.linalg.eigvalsh(self.covariance), 0)[::-1]

    def debiased_participation_ratio(self) -> float:
        """``tr(C)^2 / tr(C^2)`` with unbiased estimates of both under the population's covariance C, for any
        distribution of the rows (Himeno and Yamada 2014, section 2): the naive ratio is too low by about
        1/PR = 1/PR_true + 1/n. Raises DataError for fewer than four rows."""
        n = self.n
        if n < 4:
            raise DataError(f"{n} rows; the debiased participation ratio needs four")
        covariance = self.covariance
        mean = self._sum / n
        length = mean @ mean
        fourth = (
            self._fourth
            + 4 * mean @ self._products @ mean
            + n * length**2
            - 4 * self._cubic @ mean
            + 2 * length * self._squares
            - 4 * n * length**2
        )
        q = fourth / (n - 1)
        trace, square = np.trace(covariance), np.square(covariance).sum()
        common = (n - 1) / (n * (n - 2) * (n - 3))
        trace_squared = common * (2 * square + (n * n - 3 * n + 1) * trace**2 - n * q)
        squares_trace = common * ((n - 1) * (n - 2) * square + trace**2 - n * q)
        return float(trace_squared / squares_trace)


def _exp_entropy(weights: np.ndarray) -> float:
    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
