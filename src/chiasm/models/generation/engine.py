"""The generation engine: from composed documents to new tokens, with a cache that is filled once and never grows.

The prompt runs through the decoder exactly as in training (packed, a picture's prefix once for all its questions);
its keys and values then fill one cache row a question, and every further step feeds a single token a row. Rows are
ragged: a row shorter than the longest one leaves a masked gap before the common column where new tokens go, so there
is no padding side to get wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.data.sequence import Packed, View, pack, targets, views
from chiasm.data.sequence import Sequence as TokenSequence
from chiasm.errors import ConfigError
from chiasm.models.decoders import Llama
from chiasm.models.features import Features
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.constraints import Constraint
from chiasm.models.generation.sampling import Sampling, choose
from chiasm.models.nn.attention import PackedPattern, lower

GREEDY = Sampling()


@dataclass(frozen=True)
class Step:
    """Token `token` was added to row `row`; `logprob` is its log-probability among the tokens that were allowed."""

    row: int
    token: int
    logprob: float


@dataclass
class Generated:
    """New tokens of one row, without the closing token, and the log-probability of each, the closing one's last.

    `complete` is False where the row ran into the limit instead of closing.
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    complete: bool = False


class Engine:
    """Generates with a decoder and a fusion. `end` is the token id that closes an answer."""

    def __init__(self, decoder: Llama, fusion: PrefixFusion, end: int):
        self.decoder, self.fusion, self.end = decoder, fusion, end

    def generate(
        self,
        documents: Sequence[TokenSequence],
        features: Features | None,
        limit: int = 64,
        sampling: Sampling = GREEDY,
        constraints: Sequence[Constraint | None] | Constraint | None = None,
    ) -> list[Generated]:
        """One Generated a row; the rows are the documents' branches in order (a document without branches is a row)."""
        rows = [Generated() for _ in _leaves(pack(documents))]
        for steps in self.stream(documents, features, limit, sampling, constraints):
            for step in steps:
                row = rows[step.row]
                row.logprobs.append(step.logprob)
                if step.token == self.end:
                    row.complete = True
                else:
                    row.ids.append(step.token)
        return rows

    @torch.inference_mode()
    def stream(
        self,
        documents: Sequence[TokenSequence],
        features: Features | None,
        limit: int = 64,
        sampling: Sampling = GREEDY,
        constraints: Sequence[Constraint | None] | Constraint | None = None,
    ) -> Iterator[list[Step]]:
        """Yields the new token of every unfinished row, step by step, until all rows have closed or hold `limit`
        tokens. A constraint (one for all rows, or one a row) limits what may come next."""
        if limit < 1:
            raise ConfigError(f"limit must be at least 1 token, got {limit}")
        packed = pack(documents)
        leaves = _leaves(packed)
        device = self.decoder.embed.weight.device
        cache, hidden = self._prefill(packed, leaves, features, limit)
        positions = torch.from_numpy(np.array([packed.sequence.positions[v.own[-1]] for v in leaves])).to(device)
        if not isinstance(constraints, Sequence):
            constraints = [constraints] * len(leaves)
        if len(constraints) != len(leaves):
            raise ConfigError(f"{len(constraints)} constraints were given for {len(leaves)} rows")
        states = [c.start if c is not None else None for c in constraints]
        generator = sampling.generator(device) if sampling.temperature > 0 else None

        active = list(range(len(leaves)))
        for count in range(1, limit + 1):
            logits = self.decoder.head(hidden).float()
            if any(constraints[row] is not None for row in active):
                logits = logits + _forbidden(logits, [(constraints[row], states[row]) for row in active])
            tokens = choose(logits, sampling, generator)
            logprobs = logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0].tolist()
            chosen = tokens.tolist()
            yield [Step(row, t, p) for row, t, p in zip(active, chosen, logprobs, strict=True)]

            going = [i for i, token in enumerate(chosen) if token != self.end]
            if not going or count == limit:
                return
            for i in going:
                constraint = constraints[active[i]]
                if constraint is not None:
                    states[active[i]] = constraint.advance(states[active[i]], chosen[i])
            if len(going) < len(active):
                keep = torch.tensor(going, device=device)
                active, tokens, positions = [active[i] for i in going], tokens[keep], positions[keep]
                cache.keep(keep)
            positions = positions + 1
            cache.advance()
            hidden = self.decoder(self.decoder.embed(tokens), positions, cache)

    @torch.inference_mode()
    def logprob(self, documents: Sequence[TokenSequence], features: Features | None) -> Tensor:
        """Log-probability of every supervised token, in the order of `sequence.targets`."""
        packed = pack(documents)
        sources, ids = (torch.from_numpy(a).to(self.decoder.embed.weight.device) for a in targets(packed))
        hidden = self._forward(packed, features, lower(packed, sources.device))
        return self.decoder.head(hidden[sources]).float().log_softmax(-1).gather(1, ids[:, None])[:, 0]

    def _forward(self, packed: Packed, features: Features | None, attend: PackedPattern | _Recorder) -> Tensor:
        embeddings = self.fusion(packed, self.decoder.embed, features)
        positions = torch.from_numpy(packed.sequence.positions).to(embeddings.device)
        return self.decoder(embeddings, positions, attend)

    def _prefill(
        self, packed: Packed, leaves: Sequence[View], features: Features | None, limit: int
    ) -> tuple[_Cache, Tensor]:
        recorder = _Recorder(lower(packed, self.decoder.embed.weight.device))
        hidden = self._forward(packed, features, recorder)
        last = torch.tensor([int(v.own[-1]) for v in leaves], device=hidden.device)
        return _Cache(recorder.keys, recorder.values, leaves, limit), hidden[last]


class _Recorder:
    """Attends by a packed pattern and keeps every layer's keys and values."""

    def __init__(self, pattern: PackedPattern):
        self.pattern = pattern
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.keys.append(k)
        self.values.append(v)
        return self.pattern(layer, q, k, v)


class _Cache:
    """Keys and values of every layer, (rows, heads, columns, width each), allocated once.

    Columns [0, prompt) hold the prompts, ragged, with a masked gap after a short one; new tokens follow from column
    `prompt` on in every row.
    """

    def __init__(self, keys: Sequence[Tensor], values: Sequence[Tensor], leaves: Sequence[View], limit: int):
        lengths = [len(v.before) + len(v.own) for v in leaves]
        prompt = max(lengths)
        index = np.zeros((len(leaves), prompt), np.int64)
        for row, view in enumerate(leaves):
            index[row, : lengths[row]] = view.seen
        gather = torch.from_numpy(index).to(keys[0].device)
        self.keys, self.values = ([self._allocate(t, gather, limit) for t in layers] for layers in (keys, values))
        self.filled = prompt
        self.mask: Tensor | None = None
        if min(lengths) < prompt:
            column = torch.arange(prompt + limit, device=gather.device)
            length = torch.tensor(lengths, device=gather.device)
            self.mask = ((column < length[:, None]) | (column >= prompt))[:, None, None, :]

    @staticmethod
    def _allocate(t: Tensor, gather: Tensor, limit: int) -> Tensor:
        rows, prompt = gather.shape
        out = t.new_empty(rows, t.shape[1], prompt + limit, t.shape[2])
        out[:, :, :prompt] = t[gather].transpose(1, 2)
        return out

    def keep(self, rows: Tensor) -> None:
        """Drop the rows that have closed."""
        self.keys = [t[rows] for t in self.keys]
        self.values = [t[rows] for t in self.values]
        if self.mask is not None:
            self.mask = self.mask[rows]

    def advance(self) -> None:
        """Open the next column; the layers write into it when they attend."""
        self.filled += 1

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self.keys[layer], self.values[layer]
        keys[:, :, self.filled - 1] = k
        values[:, :, self.filled - 1] = v
        out = F.scaled_dot_product_attention(
            q.view(len(q), k.shape[1], -1, q.shape[2]),  # heads that share keys are queries of one head
            keys[:, :, : self.filled],
            values[:, :, : self.filled],
            attn_mask=None if self.mask is None else self.mask[..., : self.filled],
        )
        return out.flatten(1)


def _leaves(packed: Packed) -> list[View]:
    """The views that are continued: every branch, and the trunk of a document that has none."""
    found = views(packed)
    branched = {v.document for v in found if v.segment > 0}
    return [v for v in found if v.segment > 0 or v.document not in branched]


def _forbidden(logits: Tensor, rows: Sequence[tuple[Constraint | None, object]]) -> Tensor:
    """0 where a token is allowed, -inf where it is not."""
    bias = torch.full_like(logits, -torch.inf)
    for i, (constraint, state) in enumerate(rows):
        if constraint is None:
            bias[i] = 0
        else:
            bias[i, torch.tensor(constraint.allowed(state), device=logits.device)] = 0
    return bias
