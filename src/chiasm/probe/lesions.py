"""Planted losses: a model that loses a known amount at a known stage, to check what is said about where it loses.

A lesion acts on pictures, on E_pre, on E_post, or on what the decoder makes of E_post while E_post itself stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image, ImageFilter
from torch import Tensor

from chiasm.data.images import open_image
from chiasm.errors import ConfigError
from chiasm.models.features import Features
from chiasm.models.protocol import Dialect, Patched, Picture, Prompts, VisionLanguageModel
from chiasm.types import Answer

OnFeatures = Callable[[Features], Features]


@dataclass(frozen=True)
class Lesioned:
    """`model` with a loss at one stage or several; itself a `VisionLanguageModel`.

    picture, encoder, connector   act on a picture, on E_pre and on E_post
    decoder                       acts on what the decoder is given of E_post; the site "connector" does not show it
    """

    model: VisionLanguageModel
    picture: Callable[[Picture], Picture] | None = None
    encoder: OnFeatures | None = None
    connector: OnFeatures | None = None
    decoder: OnFeatures | None = None

    @property
    def dialect(self) -> Dialect:
        return self.model.dialect

    def sites(self) -> tuple[str, ...]:
        return ("encoder", "connector")

    def encode(self, images: Sequence[Picture]) -> Features:
        seen = [self.picture(image) for image in images] if self.picture else images
        features = self.model.encode(seen)
        return self.encoder(features) if self.encoder else features

    def connect(self, features: Features) -> Features:
        connected = self.model.connect(features)
        return self.connector(connected) if self.connector else connected

    def capture(self, images: Sequence[Picture], sites: Sequence[str]) -> dict[str, Features]:
        if unknown := set(sites) - set(self.sites()):
            raise ConfigError(f"a model with a lesion has no site {sorted(unknown)}, only {', '.join(self.sites())}")
        with torch.no_grad():
            found = {"encoder": self.encode(images)}
            if "connector" in sites:
                found["connector"] = self.connect(found["encoder"])
        return {site: found[site] for site in sites}

    def generate(self, features: Features | None, prompts: Prompts, *, limit: int = 64) -> list[list[Answer]]:
        return self.model.generate(self._given(features), prompts, limit=limit)

    def logprob(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[float]]:
        return self.model.logprob(self._given(features), prompts, answers)

    def logits(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[Tensor]]:
        return self.model.logits(self._given(features), prompts, answers)

    def hidden(self, features: Features | None, prompts: Prompts, layers: Sequence[int]) -> list[list[Tensor]]:
        return self.model.hidden(self._given(features), prompts, layers)

    @property
    def decoder_layers(self) -> int:
        return self.model.decoder_layers

    def patched_logprob(
        self,
        features: Features,
        other: Features,
        prompts: Prompts,
        answers: Prompts,
        layers: Sequence[int],
        where: Patched,
    ) -> list[list[Tensor]]:
        own, another = (self.decoder(f) if self.decoder else f for f in (features, other))
        return self.model.patched_logprob(own, another, prompts, answers, layers, where)

    def answer_loss(self, features: Features, prompts: Prompts, answers: Prompts) -> tuple[Tensor, int]:
        return self.model.answer_loss(self.decoder(features) if self.decoder else features, prompts, answers)

    def _given(self, features: Features | None) -> Features | None:
        return features if features is None or self.decoder is None else self.decoder(features)


def blur(radius: float) -> Callable[[Picture], Picture]:
    """Gaussian blur of the picture; `radius` is the standard deviation in parts of the shorter side."""

    def blurred(picture: Picture) -> Picture:
        image = picture if isinstance(picture, Image.Image) else open_image(picture)
        return image.filter(ImageFilter.GaussianBlur(radius * min(image.size)))

    return blurred


def channels_lost(share: float, seed: int = 0) -> OnFeatures:
    """The same random share of the channels is 0 in every token."""

    def lose(features: Features) -> Features:
        width = features.tokens.shape[1]
        order = torch.randperm(width, generator=torch.Generator().manual_seed(seed))
        tokens = features.tokens.clone()
        tokens[:, order[: round(share * width)]] = 0
        return replace(features, tokens=tokens)

    return lose


def tokens_lost(share: float, seed: int = 0) -> OnFeatures:
    """A random share of each picture's tokens, the same places for pictures of one size, becomes the mean token of
    those that are kept; at least one is kept."""

    def lose(features: Features) -> Features:
        parts = []
        for part in features.split():
            order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
            kept = order[min(round(share * len(part)), len(part) - 1) :]
            tokens = part[kept].mean(dim=0).repeat(len(part), 1)
            tokens[kept] = part[kept]
            parts.append(tokens)
        return replace(features, tokens=torch.cat(parts))

    return lose


def directions_kept(count: int, mean: Tensor, seed: int = 0) -> OnFeatures:
    """Only `count` random directions of the deviations from `mean` (width,) are left."""
    draw = torch.randn(len(mean), count, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(draw.to(mean.device, mean.dtype)).Q

    def lose(features: Features) -> Features:
        return replace(features, tokens=(features.tokens - mean) @ basis @ basis.T + mean)

    return lose


def faded(share: float, mean: Tensor) -> OnFeatures:
    """Tokens on their way to `mean` (width,): at 1 all pictures look alike and only the prior is left."""

    def fade(features: Features) -> Features:
        return replace(features, tokens=torch.lerp(features.tokens, mean.expand_as(features.tokens), share))

    return fade


def places_mixed(share: float, seed: int = 0) -> OnFeatures:
    """A random share of a picture's tokens is exchanged for those of the next picture of the batch."""

    def mix(features: Features) -> Features:
        parts = features.split()
        mixed = []
        for part, other in zip(parts, [*parts[1:], parts[0]], strict=True):
            order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[: round(share * len(part))]
            tokens = part.clone()
            tokens[order] = other[order % len(other)]
            mixed.append(tokens)
        return replace(features, tokens=torch.cat(mixed))

    return mix


@dataclass(frozen=True)
class Lesion:
    """One planted loss: `stage` is where it is, `strength` a word, `parts` the keyword arguments of `Lesioned`."""

    stage: str
    name: str
    strength: str
    parts: Mapping[str, Any]

    def on(self, model: VisionLanguageModel) -> Lesioned:
        return Lesioned(model, **self.parts)


def planted(mean: Tensor) -> list[Lesion]:
    """Two losses at each stage in three strengths, and none at all; `mean` (width,) is the mean token of E_post."""
    none = Lesion("none", "none", "none", {})
    strengths = ("weak", "medium", "strong")
    families: list[tuple[str, str, str, list[Any]]] = [
        ("encoder", "blurred picture", "picture", [blur(r) for r in (0.01, 0.04, 0.15)]),
        ("encoder", "channels lost", "encoder", [channels_lost(s) for s in (0.5, 0.9, 0.99)]),
        ("connector", "tokens lost", "connector", [tokens_lost(s) for s in (0.25, 0.7, 0.97)]),
        ("connector", "directions lost", "connector", [directions_kept(n, mean) for n in (64, 8, 1)]),
        ("language model", "picture faded", "decoder", [faded(s, mean) for s in (0.4, 0.7, 1.0)]),
        ("language model", "pictures mixed", "decoder", [places_mixed(s) for s in (0.25, 0.6, 1.0)]),
    ]
    return [none] + [
        Lesion(stage, name, strength, {part: lesion})
        for stage, name, part, lesions in families
        for strength, lesion in zip(strengths, lesions, strict=True)
    ]
