"""Answers and patches at once: the encoder goes on learning what is where while the whole model learns to tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from chiasm.errors import ConfigError
from chiasm.models.vlm import VLM
from chiasm.training.objectives.language import Language, LanguageBatch
from chiasm.training.objectives.patches import PatchBatch, Patches
from chiasm.types import Dataset


class LanguageAndPatches(nn.Module):
    """The losses of `Language` and `Patches` from one pass of the encoder, the latter times `patches_weight`. Other
    options are Language's."""

    def __init__(self, model: VLM, dataset: Dataset, patches_weight: float = 0.5, **options: Any):
        super().__init__()
        self._language = Language(model, dataset, **options)
        if not self._language.with_images or self._language.stored is not None:
            raise ConfigError("'language_and_patches' trains the encoder, so it needs pictures and can't store E_pre")
        self.patches = Patches(model, dataset)
        scaled = {name: patches_weight * weight for name, weight in self.patches.weights.items()}
        self.weights = {**self._language.weights, **scaled}

    def prepare(self, places: Sequence[tuple[int, int]]) -> tuple[LanguageBatch, PatchBatch]:
        language = self._language
        examples = [language.dataset[i] for _, i in places]
        asked = language.ask(examples, places)
        assert isinstance(asked.pictures, Tensor)
        return asked, self.patches.truth(examples, asked.pictures)

    def counts(self, batch: tuple[LanguageBatch, PatchBatch]) -> dict[str, int]:
        return self._language.counts(batch[0]) | self.patches.counts(batch[1])

    def losses(self, batch: tuple[LanguageBatch, PatchBatch]) -> dict[str, Tensor]:
        features = self._language.model.encoder(batch[1].pixels)
        return self._language.answer(features, batch[0]) | self.patches.read(features, batch[1])
