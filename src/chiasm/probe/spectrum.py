"""How many directions features fill: spectra of an image's tokens and of a dataset, and numbers that sum them up.

A spectrum is the eigenvalues of a covariance (energies, squared singular values), in any order and scale: (m,) >= 0.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

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
        # Threads of BLAS inside of these would wait for each other.
        with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(torch.get_num_threads()) as threads:
            found = list(threads.map(partial(_eigenvalues, centred=centred), matrices))
        energies = torch.from_numpy(np.stack(found)).view(*tokens.shape[:-2], -1)
    return energies.clamp(min=0).flip(-1)


@cache
def _libraries() -> ThreadpoolController:
    """Looking for the loaded ones takes longer than a small spectrum."""
    return ThreadpoolController()


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


def after_random_map(energies: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """What `token_energies` would be after a linear map of independent normal weights to `width` features: falling,
    (min(m, width),), the sum of all on average as before. A map without preferred directions sees nothing of the tokens
    but their energies, (m,)."""
    singular = np.sqrt(energies[energies > 0])
    return token_energies(singular[:, None] * rng.standard_normal((len(singular), width)) / np.sqrt(width), False)


def debiased_participation_ratio(tokens: np.ndarray, cluster: np.ndarray, energies: np.ndarray) -> float:
    """``tr(C)^2 / tr(C^2)`` of the population's covariance C, from tokens (n, d) of which those with one number in
    `cluster`, (n,), depend on each other; `energies` are `token_energies(tokens)`.

    The inner product of two independent tokens less their mean varies by tr(C^2), whatever their distribution, so pairs
    of different clusters estimate it (as Himeno and Yamada 2014 do of independent rows). The naive ratio counts all
    pairs and is too low, by about 1/PR = 1/PR_true + 1/n. Raises DataError where there are no two clusters, or too few
    tokens for the ratio to be positive.
    """
    order = np.argsort(cluster, kind="stable")
    centred = tokens[order].astype(np.float64)
    centred -= centred.mean(axis=0)
    groups = np.split(centred, np.cumsum(np.bincount(cluster))[:-1])
    pairs = len(tokens) ** 2 - sum(len(group) ** 2 for group in groups)
    if not pairs:
        raise DataError("the debiased participation ratio needs tokens of two clusters")
    # Of all pairs less those within clusters: the sum of inner products of centred tokens is 0, that of their squares
    # the sum of squared energies.
    mean = -sum(np.square(group.sum(axis=0)).sum() for group in groups) / pairs
    mean_square = (np.square(energies).sum() - sum(np.square(group @ group.T).sum() for group in groups)) / pairs
    trace_squared = (energies.sum() ** 2 - sum(np.square(group).sum() ** 2 for group in groups)) / pairs
    if mean_square <= mean**2:
        raise DataError(f"{len(tokens)} tokens of {len(groups)} clusters are too few for a participation ratio")
    return float(trace_squared / (mean_square - mean**2))


def _exp_entropy(weights: np.ndarray) -> float:
    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
