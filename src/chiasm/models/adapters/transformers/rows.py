"""Prompts and answers laid out for a decoder-only language model: tokens, kinds, positions, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.prompts import Prompt
from chiasm.models.adapters.transformers.vision import grouped
from chiasm.models.features import Features
from chiasm.models.protocol import Patched


@dataclass(frozen=True)
class Row:
    """A prompt about a picture (its number in the features, or None), with an answer after it or without."""

    prompt: Prompt
    picture: int | None
    answer: Sequence[int] = ()


@dataclass
class Line:
    """A row laid out: ids, is_picture and types (length,), positions (1 or 3, length). `trunk` is the length of what
    it shares with the other rows of its picture."""

    ids: Tensor
    is_picture: Tensor
    types: Tensor
    positions: Tensor
    picture: int | None
    trunk: int = 0

    def __len__(self) -> int:
        return len(self.ids)


class Layout:
    """Lays out the rows of a model."""

    def __init__(self, model: Any, architecture: Architecture):
        self.model, self.architecture = model, architecture
        # Kosmos-2 counts from its padding token's number on.
        counts_padding = architecture.feature_input == "image_embeds"
        pad_token = model.config.get_text_config().pad_token_id
        self.first = pad_token + 1 if counts_padding else architecture.first_position

    def lines(self, rows: Sequence[Row], features: Features | None) -> list[Line]:
        """Rows laid out, with their trunks."""
        lines = [self.line(row, features) for row in rows]
        for members in grouped(line.picture for line in lines):
            if self.architecture.prefix != "shared" or len(members) == 1:
                continue
            first, *others = [lines[i] for i in members]
            # Every token that an answer's token is chosen from stays in the branch.
            trunk = min(len(rows[i].prompt.ids) for i in members) - 1
            for line in others:
                differs = (line.ids[:trunk] != first.ids[:trunk]).nonzero()
                trunk = int(differs[0]) if len(differs) else trunk
            for line in (first, *others):
                line.trunk = trunk if not line.is_picture[trunk:].any() else 0
        return lines

    def line(self, row: Row, features: Features | None) -> Line:
        """A row by itself, which shares nothing."""
        prompt, more = row.prompt, len(row.answer)
        ids = torch.cat([prompt.ids, torch.tensor(row.answer, dtype=prompt.ids.dtype)])
        is_picture = pad(prompt.is_picture, (0, more))
        types = prompt.types if prompt.types is not None else torch.zeros_like(prompt.ids)
        types = pad(types, (0, more), value=self.architecture.answer_type or 0)
        positions = torch.arange(len(ids))[None] + self.first
        inner: Any = getattr(self.model, "model", None)
        if features is not None and row.picture is not None and hasattr(inner, "get_rope_index"):
            grid = (features.context or ())[row.picture].inputs["image_grid_thw"]
            kinds = is_picture[None].int()
            positions = inner.get_rope_index(ids[None], image_grid_thw=grid, mm_token_type_ids=kinds)[0][:, 0]
        return Line(ids, is_picture, types, positions, row.picture)


def places_of(line: Line, answer: int, where: Patched) -> Tensor:
    """The tokens of a kind in a line that ends with `answer` tokens of an answer, as a mask."""
    chosen_from = torch.zeros_like(line.is_picture)
    chosen_from[-answer - 1 : -1] = True
    places = {"image": line.is_picture, "answer": chosen_from}
    return places[where] if where in places else ~(line.is_picture | chosen_from)
