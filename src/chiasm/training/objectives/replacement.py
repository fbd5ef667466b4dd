"""A connector in the place of a model's own: by what the frozen decoder says with it, and by likeness to the own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.models.protocol import VisionLanguageModel
from chiasm.models.replacement import Replacement
from chiasm.types import Dataset, Example

Loss = Literal["caption", "match", "both"]


@dataclass(frozen=True)
class ReplacementBatch:
    images: list[Image.Image]
    prompts: list[list[str]]
    answers: list[list[str]]


class ReplacementLosses:
    """`caption`: cross-entropy of captions and answers, in nats a text, through the frozen decoder. `match`: squared
    difference to the own E_post in parts of each channel's variance, a picture's mean over tokens and channels.

    frozen      the model; nothing in it learns
    loss        one of the two, or both with equal weights
    held_out    so many pictures at the dataset's beginning are never learned from
    per_image   captions and questions of a picture in one step, drawn by (seed, picture, epoch)
    """

    def __init__(
        self,
        model: Replacement,
        dataset: Dataset,
        frozen: VisionLanguageModel,
        loss: Loss = "both",
        held_out: int = 0,
        per_image: int = 4,
        seed: int = 0,
    ):
        if len(dataset) <= held_out:
            raise DataError(f"{dataset.name} has {len(dataset)} pictures; with {held_out} held out none is left")
        self.model, self.dataset, self.frozen = model, dataset, frozen
        self.held_out, self.per_image, self.seed = held_out, per_image, seed
        self.weights: Mapping[str, float] = dict.fromkeys(("caption", "match") if loss == "both" else (loss,), 1.0)

    def prepare(self, places: Sequence[tuple[int, int]]) -> ReplacementBatch:
        """The batch of the given (epoch, example) places."""
        examples = [self.dataset[self.held_out + i % (len(self.dataset) - self.held_out)] for _, i in places]
        pairs = [self._texts(example, epoch) for example, (epoch, _) in zip(examples, places, strict=True)]
        return ReplacementBatch(
            [open_image(example.image, name=example.id) for example in examples],
            [[prompt for prompt, _ in texts] for texts in pairs],
            [[answer for _, answer in texts] for texts in pairs],
        )

    def counts(self, batch: ReplacementBatch) -> dict[str, int]:
        counts = {"caption": sum(map(len, batch.answers)), "match": len(batch.images)}
        return {name: counts[name] for name in self.weights}

    def losses(self, batch: ReplacementBatch) -> dict[str, Tensor]:
        with torch.no_grad():
            e_pre = self.frozen.encode(batch.images)
            own = self.frozen.connect(e_pre)  # also where only its grids are of use
        tokens = self.model(e_pre, own.grids)
        found = {}
        if "caption" in self.weights:
            given = replace(own, tokens=tokens.to(own.tokens.dtype))
            found["caption"] = self.frozen.answer_loss(given, batch.prompts, batch.answers)[0]
        if "match" in self.weights:
            errors = self.model.standardised(tokens) - self.model.standardised(own.tokens)
            found["match"] = torch.stack([part.square().mean() for part in errors.split(own.lengths)]).sum()
        return found

    def _texts(self, example: Example, epoch: int) -> list[tuple[str, str]]:
        """Prompts and answers."""
        prompts = self.frozen.dialect.prompts
        rng = random.Random(f"{self.seed}/{example.id}/{epoch}")
        template = prompts.get("answer", "{question}")
        known = [(template.format(question=q.text), rng.choice(q.answers)) for q in example.questions if q.answers]
        if example.captions and "caption" in prompts:
            known.append((prompts["caption"], rng.choice(example.captions)))
        if not known and "caption" in self.weights:
            raise DataError(f"{example.id} has neither caption nor answered question to learn from; use --loss match")
        return rng.sample(known, min(self.per_image, len(known)))
