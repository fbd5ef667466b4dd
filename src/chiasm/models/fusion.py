"""Fusion: where picture features meet text. Early fusion by prefix puts E_post in the sequence as if it were words."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.data.sequence import IMAGE, NO_TOKEN, Packed, Picture
from chiasm.errors import ConfigError
from chiasm.models.features import Features


class PrefixFusion(nn.Module):
    """Features take the places that the sequence keeps for them (LLaVA). `bidirectional`: a picture's tokens see each
    other in the decoder too."""

    def __init__(self, bidirectional: bool = False):
        super().__init__()
        self.bidirectional = bidirectional

    def picture(self, index: int, tokens: int) -> Picture:
        """The part of a document that picture number `index` with so many `tokens` fills."""
        return Picture(index, tokens, self.bidirectional)

    def forward(self, packed: Packed, embed: nn.Embedding, features: Features | None) -> Tensor:
        """-> embeddings (N, width). Raises ConfigError unless every picture has exactly as many places as features, and
        the features are as wide as the decoder."""
        sequence = packed.sequence
        is_image = sequence.kind == IMAGE
        device = embed.weight.device
        tokens = torch.from_numpy(sequence.tokens).to(device)
        embeddings = embed(tokens.clamp(min=NO_TOKEN + 1))
        if features is None:
            if is_image.any():
                raise ConfigError("the sequence has places for pictures but no features were given")
            return embeddings
        if features.tokens.shape[1] != embed.embedding_dim:
            raise ConfigError(f"features are {features.tokens.shape[1]} wide, but the decoder {embed.embedding_dim}")
        self._check(packed, features)
        places = torch.from_numpy(is_image.nonzero()[0]).to(device)
        return embeddings.index_copy(0, places, features.tokens.to(embeddings.dtype))

    def _check(self, packed: Packed, features: Features) -> None:
        media = packed.sequence.media[packed.sequence.kind == IMAGE]
        if np.array_equal(media, np.repeat(np.arange(len(features)), features.lengths)):
            return
        for picture, length in enumerate(features.lengths):
            places = int((media == picture).sum())
            if places != length:
                raise ConfigError(f"picture {picture} has {length} features but {places} places in the sequence")
        if (last := int(media.max())) >= len(features):
            places = int((media == last).sum())
            raise ConfigError(
                f"picture {last} has {places} places in the sequence but only {len(features)} pictures were given"
            )
        raise ConfigError(
            f"pictures must appear in the sequence in the order of their features: {len(features)} were given"
        )


FUSIONS = {"prefix": PrefixFusion}
