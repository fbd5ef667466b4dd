"""Decoder-only language models of the library: one prefix in the cache for all prompts about a picture.

Rows go through the model in two pieces. The *trunk* is what all prompts about a picture have in common, with the
picture in it; it runs once a picture. The *branch* is the rest of a row and goes on from the trunk's keys and values.
Pieces are padded on the left, and the padding is masked: it takes columns of the cache but no positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from chiasm.errors import PromptError
from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.connection import Connection
from chiasm.models.adapters.transformers.rows import Layout, Line, Row, places_of
from chiasm.models.adapters.transformers.vision import grouped
from chiasm.models.features import Features
from chiasm.models.generation.engine import Generated
from chiasm.models.protocol import Patched
from chiasm.models.recording import overwritten, recorded

ROWS, TOKENS = 32, 8192
"""The most rows in a batch, and the most tokens of all its rows: each row holds a copy of its trunk's keys and values,
and 8192 tokens of a 7B model take 4 GB."""


@dataclass
class _State:
    """What has run so far: the library's cache, and which of its columns are no padding, (rows, columns)."""

    mask: Tensor
    cache: Any = None

    def select(self, rows: Tensor) -> None:
        self.cache.reorder_cache(rows)
        self.mask = self.mask[rows]


class Decoder:
    """Runs rows. `ends` are the tokens that close an answer."""

    def __init__(self, model: Any, architecture: Architecture, connection: Connection, ends: frozenset[int]):
        self.model, self.architecture, self.connection, self.ends = model, architecture, connection, ends
        self.layers = first_module(model, architecture.decoder)
        text = model.config.get_text_config()
        self.layout = Layout(model, architecture)
        self.window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
        self.positions = getattr(text, "max_position_embeddings", None)

    @torch.inference_mode()
    def generate(self, rows: Sequence[Row], features: Features | None, limit: int) -> list[Generated]:
        """Greedy continuations of prompts, of at most `limit` tokens. Raises PromptError for a prompt that is longer
        than the model has positions for."""
        result = [Generated() for _ in rows]
        lines = self.layout.lines(rows, features)
        for members in self._batches(lines, limit):
            batch = [lines[i] for i in members]
            fitting = tokens_that_fit(self.positions, max(map(len, batch)), limit)
            self._generate(batch, features, fitting, [result[i] for i in members])
        return result

    @torch.no_grad()
    def logits(self, rows: Sequence[Row], features: Features | None) -> list[Tensor]:
        """Logits (tokens, vocabulary) from which each token of each row's answer is chosen."""
        return self._answer_logits(rows, self.layout.lines(rows, features), features)

    def differentiable_logits(self, rows: Sequence[Row], features: Features | None) -> list[Tensor]:
        """As `logits`, with gradients: each row runs as a whole, because writing to a shared cache would break them."""
        return self._answer_logits(rows, [self.layout.line(row, features) for row in rows], features)

    @torch.no_grad()
    def hidden(self, rows: Sequence[Row], features: Features | None, layers: Sequence[int]) -> list[Tensor]:
        """States (layers, tokens, width) of each row at the output of some layers."""
        lines = [self.layout.line(row, features) for row in rows]
        result = [torch.empty(0)] * len(lines)
        for members in self._batches(lines):
            with recorded({str(layer): self.layers[layer] for layer in layers}) as outputs:
                self._prefill([lines[i] for i in members], features, 1)
            states = torch.stack([outputs[str(layer)] for layer in layers], 1)
            for i, own in zip(members, states, strict=True):
                result[i] = own[:, -len(lines[i]) :]
        return result

    @torch.no_grad()
    def patched_logprob(
        self, rows: Sequence[Row], features: Features, other: Features, layers: Sequence[int], where: Patched
    ) -> list[Tensor]:
        """Log-probability (layers,) of each row's answer, see `VisionLanguageModel.patched_logprob`."""
        lines = [self.layout.line(row, features) for row in rows]
        result = [torch.empty(0)] * len(rows)
        for members in self._batches(lines):
            batch, answers = [lines[i] for i in members], [rows[i].answer for i in members]
            blocks = {str(layer): self.layers[layer] for layer in layers}
            with recorded(blocks) as states:
                self._prefill(batch, other, 1)
            masks = [places_of(line, len(answer), where) for line, answer in zip(batch, answers, strict=True)]
            places = torch.stack([pad(mask, (max(map(len, batch)) - len(mask), 0)) for mask in masks])
            values = []
            for name, block in blocks.items():
                with overwritten(block, places.to(self.model.device), states[name]):
                    _, logits = self._prefill(batch, features, max(map(len, answers)) + 1)
                values.append([
                    answer_logprob(own[-len(answer) - 1 : -1], answer)
                    for own, answer in zip(logits, answers, strict=True)
                ])  # fmt: skip
            for i, column in zip(members, zip(*values, strict=True), strict=True):
                result[i] = torch.stack(column)
        return result

    def _answer_logits(self, rows: Sequence[Row], lines: Sequence[Line], features: Features | None) -> list[Tensor]:
        result = [torch.empty(0)] * len(rows)
        for members in self._batches(lines):
            longest = max(len(rows[i].answer) for i in members)
            _, logits = self._prefill([lines[i] for i in members], features, longest + 1)
            for i, own in zip(members, logits, strict=True):
                result[i] = own[-len(rows[i].answer) - 1 : -1]
        return result

    def _generate(
        self, lines: Sequence[Line], features: Features | None, limit: int, result: Sequence[Generated]
    ) -> None:
        state, logits = self._prefill(lines, features, 1, room=limit)
        positions = torch.stack([line.positions[:, -1:] for line in lines]).to(logits.device)
        active = list(result)
        for count in range(1, limit + 1):
            tokens, logprobs = likeliest_token(logits)
            for row, token, logprob in zip(active, tokens.tolist(), logprobs.tolist(), strict=True):
                append_token(row, token, logprob, self.ends)
            going = [k for k, row in enumerate(active) if not row.complete]
            if not going or count == limit:
                return
            if len(going) <= len(active) // 2:  # closed rows stay in the batch until half of it is closed
                keep = torch.tensor(going, device=tokens.device)
                active, tokens, positions = [active[k] for k in going], tokens[keep], positions[keep]
                state.select(keep)
            positions = positions + 1
            state.mask = pad(state.mask, (0, 1), value=1)
            logits = self._forward(state, tokens[:, None], positions, 1)

    def _batches(self, lines: Sequence[Line], limit: int = 0) -> list[list[int]]:
        """Indices of the rows that run together. Where padding would not stay without effect (a recurrent layer, or a
        window that it would fill) only rows of equal lengths do."""
        longest = max((len(line) for line in lines), default=0) + limit
        if self.architecture.padded and (self.window is None or longest <= self.window):
            groups = grouped(line.trunk > 0 for line in lines)
        else:
            groups = grouped((line.trunk, len(line)) for line in lines)
        rows = max(1, min(ROWS, TOKENS // max(1, longest)))
        return [group[start : start + rows] for group in groups for start in range(0, len(group), rows)]

    def _prefill(
        self, lines: Sequence[Line], features: Features | None, keep: int, room: int = 0
    ) -> tuple[_State, Tensor]:
        """Run whole rows -> logits of the last `keep` tokens of each. The cache gets space for `room` more tokens."""
        groups = grouped(line.picture for line in lines) if lines[0].trunk else []
        heads = [lines[members[0]] for members in groups]
        state = _State(torch.empty(len(heads or lines), 0, dtype=torch.long, device=self.model.device))
        starts, stops = [line.trunk for line in lines], [len(line) for line in lines]
        if heads:
            from chiasm.models.adapters.transformers.cache import expand_to_branches

            self._piece(state, heads, [0] * len(heads), [head.trunk for head in heads], features, 1)
            owner = {head.picture: k for k, head in enumerate(heads)}
            rows = torch.tensor([owner[line.picture] for line in lines], device=self.model.device)
            longest_branch = max(stop - start for start, stop in zip(starts, stops, strict=True))
            expand_to_branches(state.cache, rows, longest_branch + room)
            state.mask = state.mask[rows]
        return state, self._piece(state, lines, starts, stops, features, keep)

    def _piece(
        self,
        state: _State,
        lines: Sequence[Line],
        starts: Sequence[int],
        stops: Sequence[int],
        features: Features | None,
        keep: int,
    ) -> Tensor:
        """Run lines[i] from starts[i] to stops[i]."""
        spans = list(zip(lines, starts, stops, strict=True))
        width = max(stop - start for _, start, stop in spans)

        def left(parts: Iterable[Tensor]) -> Tensor:
            padded = [pad(part, (width - part.shape[-1], 0)) for part in parts]
            return torch.stack(padded).to(self.model.device)

        real = left(torch.ones(stop - start, dtype=torch.long) for _, start, stop in spans)
        state.mask = torch.cat([state.mask, real], 1)
        is_picture = left(line.is_picture[start:stop] for line, start, stop in spans)
        shown = [line.picture for line, start, stop in spans if line.is_picture[start:stop].any()]
        types = left(line.types[start:stop] for line, start, stop in spans)
        return self._forward(
            state,
            left(line.ids[start:stop] for line, start, stop in spans),
            left(line.positions[:, start:stop] for line, start, stop in spans),
            keep,
            is_picture,
            self._shown(features, shown),
            types if self.architecture.answer_type is not None and (shown or state.cache is None) else None,
        )

    def _shown(self, features: Features | None, pictures: Sequence[int | None]) -> list[Tensor]:
        numbers = [number for number in pictures if number is not None]
        if features is None or not numbers:
            return []
        return [tokens.to(self.model.device, self.model.dtype) for tokens in features.select(numbers).split()]

    def _forward(
        self,
        state: _State,
        ids: Tensor,
        positions: Tensor,
        keep: int,
        is_picture: Tensor | None = None,
        pictures: Sequence[Tensor] = (),
        types: Tensor | None = None,
    ) -> Tensor:
        """One forward of the library -> logits (rows, keep, vocabulary). ids, is_picture and types are
        (rows, columns), positions (rows, 1 or 3, columns)."""
        given: dict[str, Any] = {
            "attention_mask": state.mask,
            "position_ids": positions[:, 0] if positions.shape[1] == 1 else positions.transpose(0, 1),
            "past_key_values": state.cache,
            "use_cache": True,
            "logits_to_keep": keep,
        }
        if types is not None:
            given["token_type_ids"] = types
        if self.architecture.feature_input == "injected":
            if pictures:
                given["mm_encoder_outputs"] = {"image": self.connection.injected(pictures)}
            output = self.model(input_ids=ids, **given)
        elif self.architecture.feature_input == "image_embeds":
            if pictures:
                given |= {"image_embeds": torch.stack(list(pictures)), "image_embeds_position_mask": is_picture}
            output = self.model.text_model(input_ids=ids, **given)
        else:
            output = self.model.language_model(inputs_embeds=spliced(self.model, ids, is_picture, pictures), **given)
        state.cache = output.past_key_values
        return output.logits


def answer_logprob(logits: Tensor, answer: Sequence[int]) -> Tensor:
    """Log-probability of an answer from the logits (tokens, vocabulary) that its tokens are chosen from."""
    chosen = torch.tensor(answer, device=logits.device)[:, None]
    return logits.float().log_softmax(-1).gather(1, chosen).sum()


def tokens_that_fit(positions: int | None, used: int, wanted: int) -> int:
    """How many of `wanted` tokens fit after `used` ones in `positions` (None: all). Raises PromptError if none do."""
    if positions is None:
        return wanted
    if used >= positions:
        raise PromptError(f"a prompt of {used} tokens, its picture included, does not fit in {positions} positions")
    return min(wanted, positions - used)


def append_token(row: Generated, token: int, logprob: float, ends: frozenset[int]) -> None:
    """Add a token to a row, unless the row has closed."""
    if row.complete:
        return
    row.logprobs.append(logprob)
    row.complete = token in ends
    if not row.complete:
        row.ids.append(token)


def likeliest_token(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest next token of each row, and its log-probability. `logits` (rows, columns, vocabulary)."""
    last = logits[:, -1].float().log_softmax(-1)
    logprobs, tokens = last.max(-1)
    return tokens, logprobs


def spliced(model: Any, ids: Tensor, is_picture: Tensor | None, pictures: Sequence[Tensor]) -> Tensor:
    """Word embeddings (rows, columns, width) with the pictures' features in their places."""
    embeddings = model.get_input_embeddings()(ids)
    if is_picture is None or not pictures:
        return embeddings
    return embeddings.masked_scatter(is_picture[..., None], torch.cat(list(pictures)).to(embeddings))


def first_module(model: nn.Module, paths: Sequence[str]) -> Any:
    """The first of some modules that the model has."""
    names = dict(model.named_modules())
    return next(names[path] for path in paths if path in names)
