"""Next-token prediction on the answers: the objective of both LLaVA stages (Liu et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.data.images import open_image
from chiasm.data.instructions import Instructions
from chiasm.data.sequence import Packed, compose, pack, targets
from chiasm.models.features import Features
from chiasm.models.nn.attention import PackedPattern, lower
from chiasm.models.vlm import VLM
from chiasm.types import Dataset, Example


@dataclass(frozen=True)
class LanguageBatch:
    """What a step needs, made ahead of it. `pictures` holds pixels, stored E_pre, or nothing for text alone."""

    pictures: Tensor | Features | None
    packed: Packed
    pattern: PackedPattern
    sources: Tensor
    ids: Tensor


class Language:
    """Cross-entropy of the answers' tokens and the closing token.

    per_image     how many prompts share a picture (packed branches)
    each_kind     a picture's prompts include every kind it has (`Instructions`)
    with_images   False trains the decoder on text alone
    stored        E_pre by example index, where a frozen encoder's output is kept (`feature_cache`)
    """

    weights: ClassVar = {"language": 1.0}

    def __init__(
        self,
        model: VLM,
        dataset: Dataset,
        seed: int = 0,
        per_image: int = 12,
        each_kind: bool = False,
        with_images: bool = True,
        stored: Callable[[Sequence[int]], Features] | None = None,
    ):
        self.model, self.dataset, self.with_images, self.stored = model, dataset, with_images, stored
        self.instructions = Instructions(
            model.dialect.prompts, len(model.tokenizer.locations()), per_image, seed, each_kind
        )

    def prepare(self, places: Sequence[tuple[int, int]]) -> LanguageBatch:
        """The batch of the given (epoch, example) places; another epoch draws other prompts."""
        return self.ask([self.dataset[i] for _, i in places], places)

    def ask(self, examples: Sequence[Example], places: Sequence[tuple[int, int]]) -> LanguageBatch:
        """The batch of the examples at these places."""
        device = self.model.decoder.embed.weight.device
        images = [open_image(e.image, name=e.id) for e in examples]
        grids = None
        pictures: Tensor | Features | None = None
        if self.with_images:
            if self.stored is not None:
                pictures = self.stored([i for _, i in places])
                pictures = replace(pictures, tokens=pictures.tokens.to(device))
                grids = pictures.grids
            else:
                pictures = self.model.encoder.preprocess(images)
                grids = (self.model.encoder.grid(*pictures.shape[2:]),) * len(images)
        documents = []
        for k, (example, image) in enumerate(zip(examples, images, strict=True)):
            pairs = self.instructions(example, image.size, places[k][0])
            texts = self.model.tokenizer.encode_batch([text for pair in pairs for text in pair])
            trunk = self.model.trunk([self.model.connector.out_tokens(grids[k])] if grids else [])
            documents.append(
                compose(trunk, [self.model.branch(texts[i], texts[i + 1]) for i in range(0, len(texts), 2)])
            )
        packed = pack(documents)
        sources, ids = (torch.from_numpy(a).to(device) for a in targets(packed))
        return LanguageBatch(pictures, packed, lower(packed, device), sources, ids)

    def counts(self, batch: LanguageBatch) -> dict[str, int]:
        return {"language": len(batch.ids)}

    def losses(self, batch: LanguageBatch) -> dict[str, Tensor]:
        features = batch.pictures
        return self.answer(self.model.encoder(features) if isinstance(features, Tensor) else features, batch)

    def answer(self, features: Features | None, batch: LanguageBatch) -> dict[str, Tensor]:
        """Summed cross-entropy, given E_pre. The head runs on the tokens that are predicted from, not on the rest."""
        model = self.model
        if features is not None:
            features = model.connect(features)
        embeddings = model.fusion(batch.packed, model.decoder.embed, features)
        positions = torch.from_numpy(batch.packed.sequence.positions).to(embeddings.device)
        hidden = model.decoder(embeddings, positions, batch.pattern)
        logits = model.decoder.head(F.embedding(batch.sources, hidden))
        return {"language": F.cross_entropy(logits.float(), batch.ids, reduction="sum")}
