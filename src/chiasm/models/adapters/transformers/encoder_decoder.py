"""Encoder-decoder language models of the library (Florence-2, BLIP-2 with T5): the encoder reads picture and prompt
together, so nothing but the picture's features can be shared between prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.decoder import (
    append_token,
    first_module,
    likeliest_token,
    spliced,
    tokens_that_fit,
)
from chiasm.models.adapters.transformers.rows import Row
from chiasm.models.features import Features
from chiasm.models.generation.engine import Generated
from chiasm.models.recording import recorded


class EncoderDecoder:
    """Runs rows, see `Decoder`."""

    def __init__(self, model: Any, architecture: Architecture, ends: frozenset[int]):
        self.model, self.ends = model, ends
        self.layers = first_module(model, architecture.decoder)
        # Florence-2's own class generates; BLIP-2 hands over to its language model.
        self.writer = model if hasattr(model, "lm_head") else model.language_model
        self.positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        settings = self.writer.generation_config
        start = settings.decoder_start_token_id
        if start is None:
            start = model.config.get_text_config().decoder_start_token_id
        forced = settings.forced_bos_token_id
        self.begin = [start] if forced is None else [start, forced]

    @torch.inference_mode()
    def generate(self, rows: Sequence[Row], features: Features | None, limit: int) -> list[Generated]:
        """See `Decoder.generate`. Closed rows stay in the batch until all have closed."""
        encoded, mask = self._encode(rows, features)
        result = [Generated() for _ in rows]
        tokens, cache = torch.tensor([self.begin] * len(rows), device=mask.device), None
        for _ in range(tokens_that_fit(self.positions, len(self.begin), limit)):
            output = self._forward(encoded, mask, tokens, cache)
            chosen, logprobs = likeliest_token(output.logits)
            for k, row in enumerate(result):
                append_token(row, int(chosen[k]), float(logprobs[k]), self.ends)
            if all(row.complete for row in result):
                break
            tokens, cache = chosen[:, None], output.past_key_values
        return result

    @torch.no_grad()
    def logits(self, rows: Sequence[Row], features: Features | None) -> list[Tensor]:
        """See `Decoder.logits`."""
        return self.differentiable_logits(rows, features)

    def differentiable_logits(self, rows: Sequence[Row], features: Features | None) -> list[Tensor]:
        """See `Decoder.differentiable_logits`."""
        encoded, mask = self._encode(rows, features)
        # The decoder looks back only, so that padding behind an answer changes nothing.
        given = pad_sequence([torch.tensor([*self.begin, *row.answer]) for row in rows], batch_first=True)
        logits = self._forward(encoded, mask, given.to(mask.device), None).logits
        before = len(self.begin) - 1
        return [own[before : before + len(row.answer)] for row, own in zip(rows, logits, strict=True)]

    @torch.no_grad()
    def hidden(self, rows: Sequence[Row], features: Features | None, layers: Sequence[int]) -> list[Tensor]:
        """States (layers, tokens, width) of the decoder before it writes the first word of an answer: the tokens are
        those it begins with, not the prompt's."""
        encoded, mask = self._encode(rows, features)
        begin = torch.tensor([self.begin] * len(rows), device=mask.device)
        with recorded({str(layer): self.layers[layer] for layer in layers}) as outputs:
            self._forward(encoded, mask, begin, None)
        return list(torch.stack([outputs[str(layer)] for layer in layers], 1))

    def _encode(self, rows: Sequence[Row], features: Features | None) -> tuple[Any, Tensor]:
        def right(parts: list[Tensor]) -> Tensor:
            return pad_sequence(parts, batch_first=True).to(self.model.device)

        tokens_that_fit(self.positions, max(len(row.prompt.ids) for row in rows) - 1, 1)
        mask = right([torch.ones_like(row.prompt.ids) for row in rows])
        ids = right([row.prompt.ids for row in rows])
        is_picture = right([row.prompt.is_picture for row in rows])
        shown = [row.picture for row in rows if row.picture is not None]
        pictures = features.select(shown).split() if features is not None and shown else []
        embeddings = spliced(self.model, ids, is_picture, pictures)
        return self.writer.get_encoder()(inputs_embeds=embeddings, attention_mask=mask), mask

    def _forward(self, encoded: Any, mask: Tensor, tokens: Tensor, cache: Any) -> Any:
        return self.writer(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=tokens,
            past_key_values=cache,
            use_cache=True,
        )
