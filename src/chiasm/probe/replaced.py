"""A model with another connector in the place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from chiasm.models.features import Features
from chiasm.models.protocol import Picture
from chiasm.models.replacement import Replacement
from chiasm.probe.lesions import Lesioned


@dataclass(frozen=True)
class Replaced(Lesioned):
    """`model` with `replacement`; the model's own connector still says how many tokens a picture has, and where."""

    replacement: Replacement = field(kw_only=True)

    @torch.no_grad()
    def connect(self, features: Features) -> Features:
        own = self.model.connect(features)
        return replace(own, tokens=self.replacement(features, own.grids).to(own.tokens))

    def both(self, images: Sequence[Picture]) -> tuple[Features, Features]:
        """E_post of the model's own connector and of the replacement."""
        with torch.no_grad():
            e_pre = self.encode(images)
            return self.model.connect(e_pre), self.connect(e_pre)
