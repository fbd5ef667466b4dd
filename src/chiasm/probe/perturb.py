"""Ways to damage a picture's tokens to a chosen degree.

Each is a function from features and the pictures' ids to features. What is random is drawn from the picture's id, so
that a picture is damaged alike in any batch, and the stronger of two degrees of one damage contains the weaker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from chiasm.errors import ConfigError
from chiasm.models.features import Features

Perturb = Callable[[Features, Sequence[str]], Features]


def tokens_masked(share: float, fill: Tensor, seed: int = 0) -> Perturb:
    """A share of the tokens, rounded to whole ones, becomes `fill` (width,): zeros, or the mean token of pictures."""
    _check("share", share)

    def damage(tokens: Tensor, name: str) -> Tensor:
        tokens = tokens.clone()
        tokens[_order(len(tokens), name, seed)[: round(share * len(tokens))]] = fill.to(tokens)
        return tokens

    return _picture_by_picture(damage)


def tokens_removed(share: float, seed: int = 0) -> Perturb:
    """The same tokens as `tokens_masked` takes are left out, though never the last one: grids become (1, left)."""
    _check("share", share)

    def perturb(features: Features, names: Sequence[str]) -> Features:
        parts = []
        for tokens, name in zip(features.split(), names, strict=True):
            gone = min(round(share * len(tokens)), len(tokens) - 1)
            parts.append(tokens[_order(len(tokens), name, seed)[gone:].sort().values])
        return replace(features, tokens=torch.cat(parts), grids=tuple((1, len(part)) for part in parts))

    return perturb


def rank_kept(count: int) -> Perturb:
    """Of each picture's tokens, less their mean, only the `count` strongest principal components are left."""
    if count < 0:
        raise ConfigError(f"a rank of {count}; give 0 or more")
    return _picture_by_picture(
        lambda tokens, name: _spectrally_damped(tokens, lambda energies: _first(energies, count))
    )


def energy_kept(share: float) -> Perturb:
    """Of each picture's tokens, less their mean, the strongest principal components are left that hold `share` of the
    energy; the last of them is shrunk so that it is exactly that share. Unlike equal ranks, this is equally severe for
    tokens of any effective rank."""
    _check("share", share)

    def gains(energies: Tensor) -> Tensor:
        before = torch.cumsum(energies, 0) - energies
        left = (share * energies.sum() - before).clamp(min=0)
        return (left / energies.clamp(min=torch.finfo(energies.dtype).tiny)).clamp(max=1).sqrt()

    return _picture_by_picture(lambda tokens, name: _spectrally_damped(tokens, gains))


def haar_rotation(width: int, seed: int = 0) -> Tensor:
    """An orthogonal matrix (width, width) that is uniformly distributed (Mezzadri 2007, section 5)."""
    draw = torch.randn(width, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(draw)
    # QR alone favours some matrices; the signs of R's diagonal make up for it.
    return (q * r.diagonal().sign()).float()


def mixed(share: float, rotation: Tensor) -> Perturb:
    """``(1 - share) x + share x Q`` for every token x. At 1 all angles between tokens are kept, and only the directions
    that the decoder knows are lost."""
    _check("share", share)
    return _picture_by_picture(lambda tokens, name: torch.lerp(tokens, tokens @ rotation.to(tokens), share))


def noised(level: float, seed: int = 0) -> Perturb:
    """Gaussian noise whose norm is `level` times that of the picture's tokens."""
    if not level >= 0:
        raise ConfigError(f"a noise level of {level}; give 0 or more")
    return _picture_by_picture(lambda tokens, name: tokens + _noise(tokens, level * tokens.norm(), name, seed))


def noised_like(other: Perturb, seed: int = 0) -> Perturb:
    """Gaussian noise that changes each picture's tokens by the same norm as `other` does. `other` must keep their
    number."""

    def perturb(features: Features, names: Sequence[str]) -> Features:
        changes = zip(features.split(), other(features, names).split(), names, strict=True)
        parts = [tokens + _noise(tokens, (changed - tokens).norm(), name, seed) for tokens, changed, name in changes]
        return replace(features, tokens=torch.cat(parts))

    return perturb


def distortion(intact: Features, perturbed: Features) -> list[float]:
    """Norm of each picture's change in parts of the norm of its tokens."""
    pairs = zip(intact.split(), perturbed.split(), strict=True)
    return [float((b - a).norm() / a.norm().clamp(min=torch.finfo(a.dtype).tiny)) for a, b in pairs]


def _picture_by_picture(damage: Callable[[Tensor, str], Tensor]) -> Perturb:
    def perturb(features: Features, names: Sequence[str]) -> Features:
        parts = [damage(tokens, name) for tokens, name in zip(features.split(), names, strict=True)]
        return replace(features, tokens=torch.cat(parts))

    return perturb


def _spectrally_damped(tokens: Tensor, gains: Callable[[Tensor], Tensor]) -> Tensor:
    """Tokens (T, d) with their principal components scaled by gains of their energies (falling)."""
    exact = tokens.double()
    mean = exact.mean(0)
    centred = exact - mean
    wide = len(centred) <= centred.shape[1]
    # The smaller Gram matrix gives the same components as the singular value decomposition, many times faster.
    energies, axes = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    energies, axes = energies.clamp(min=0).flip(0), axes.flip(1)
    damped = (axes * gains(energies)) @ axes.T
    return (mean + (damped @ centred if wide else centred @ damped)).to(tokens.dtype)


def _first(energies: Tensor, count: int) -> Tensor:
    return (torch.arange(len(energies), device=energies.device) < count).to(energies)


def _noise(tokens: Tensor, norm: Tensor, name: str, seed: int) -> Tensor:
    draw = torch.randn(tokens.shape, generator=_generator(name, seed)).to(tokens)
    return draw * (norm / draw.norm())


def _order(length: int, name: str, seed: int) -> Tensor:
    return torch.randperm(length, generator=_generator(name, seed))


def _generator(name: str, seed: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _check(what: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"a {what} of {share}; give one from 0 to 1")
