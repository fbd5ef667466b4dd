"""One attention for encoders and decoders. What sees what is not its business: it gets that as `attend`.

Keys: N tokens (flat, all documents), H heads, G key-value heads, D head width, R rows, Q queries a row, K keys a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.data.sequence import Packed, View, steps, views
from chiasm.data.sequence import Sequence as TokenSequence
from chiasm.errors import ConfigError
from chiasm.models.nn.linear import Linear
from chiasm.models.nn.rope import rotate

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q (N,H,D), k (N,G,D), v (N,G,D)) -> (N, H*D)"""


class Attention(nn.Module):
    """Multi-head attention with grouped keys and values (Ainslie et al. 2023, GQA) over flat tokens (N, width)."""

    def __init__(self, width: int, heads: int, kv_heads: int | None = None, bias: bool = False):
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads or heads, width // heads
        if width % heads or heads % self.kv_heads:
            raise ConfigError(f"width {width} can't be divided over {heads} heads in {self.kv_heads} groups")
        self.qkv = Linear(width, (heads + 2 * self.kv_heads) * self.head_width, bias)
        self.out = Linear(heads * self.head_width, width, bias)

    def forward(self, x: Tensor, layer: int, attend: Attend, rope: tuple[Tensor, Tensor] | None = None) -> Tensor:
        qkv = self.qkv(x).view(len(x), -1, self.head_width)
        if rope is not None:
            # Queries and keys turn together: they are neighbours in the fused projection.
            turned = rotate(qkv[:, : self.heads + self.kv_heads], *rope)
            q, k = turned.split([self.heads, self.kv_heads], dim=1)
            v = qkv[:, self.heads + self.kv_heads :]
        else:
            q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        return self.out(attend(layer, q, k, v))


def scaled_dot_product(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for q (R, H, Q, D) and k, v (R, G, K, D); mask (R, 1, Q, K), True = look.

    On a CPU short rows are multiplied out: torch's fused kernel is up to five times slower there in bf16, most of it
    in backward (`bench/attention.py`).
    """
    if q.device.type != "cpu" or q.shape[2] * k.shape[2] > SHORT:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])
    if q.shape[1] != k.shape[1]:
        k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


SHORT = 256 * 256
"""Queries times keys up to which the matrix of scores is small enough to write down."""


@dataclass(frozen=True)
class Everything:
    """Attention within equally long rows of `length` tokens, without a mask: a vision encoder's pattern."""

    length: int

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (t.view(-1, self.length, *t.shape[1:]).transpose(1, 2) for t in (q, k, v))
        return scaled_dot_product(q, k, v).transpose(1, 2).flatten(2).flatten(0, 1)


@dataclass(frozen=True)
class Rows:
    """Views of similar length, side by side. Unused places point at token 0 and are masked or dropped."""

    queries: Tensor  # (R, Q) indices of flat tokens
    keys: Tensor  # (R, K)
    mask: Tensor  # (R, 1, Q, K), True = look


@dataclass(frozen=True)
class PackedPattern:
    """The attention pattern of a pack, lowered to a few dense calls: a trunk or branch is a row whose keys are all it
    sees. Equal to masking with `sequence.allowed`, without computing the masked part."""

    rows: Sequence[Rows]
    places: Tensor  # (N,) where each token's output lies in the rows' outputs, laid end to end

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        outputs = []
        for rows in self.rows:
            q_rows = take(q, rows.queries)
            k_rows, v_rows = take(k, rows.keys), take(v, rows.keys)
            out = scaled_dot_product(q_rows, k_rows, v_rows, rows.mask)
            outputs.append(out.transpose(1, 2).flatten(2).flatten(0, 1))
        return F.embedding(self.places, torch.cat(outputs))


def take(t: Tensor, index: Tensor) -> Tensor:
    """(N, heads, D) at (R, n) -> (R, heads, n, D). An embedding look-up, as its backward is the fast scatter-add."""
    return F.embedding(index, t.flatten(1)).view(*index.shape, *t.shape[1:]).transpose(1, 2)


def lower(packed: Packed, device: torch.device | str = "cpu") -> PackedPattern:
    """The attention pattern of a pack. Views are grouped by length so that little of a row is padding."""
    all_views = views(packed)
    groups: dict[int, list[View]] = {}
    for view in all_views:
        groups.setdefault(_bucket(len(view.own)), []).append(view)
    rows, places, filled = [], np.empty(len(packed.sequence), np.int64), 0
    for _, members in sorted(groups.items()):
        rows.append(_rows(packed.sequence, members, device))
        width = rows[-1].queries.shape[1]
        for r, view in enumerate(members):
            places[view.own] = filled + r * width + np.arange(len(view.own))
        filled += len(members) * width
    return PackedPattern(rows, torch.from_numpy(places).to(device))


def _bucket(length: int) -> int:
    """Lengths that share a row group: finer steps where rows are short and many."""
    return -(-length // 8) if length <= 32 else 4 + int(np.ceil(4 * np.log2(length / 32)))


def _rows(sequence: TokenSequence, members: Sequence[View], device: torch.device | str) -> Rows:
    n_queries, n_keys = max(len(v.own) for v in members), max(len(v.own) + len(v.before) for v in members)
    queries = np.zeros((len(members), n_queries), np.int64)
    keys = np.zeros((len(members), n_keys), np.int64)
    query_step = np.full((len(members), n_queries), 1)  # padding looks at the first key: a row of softmax needs one
    key_step = np.full((len(members), n_keys), np.iinfo(np.int64).max)
    for r, view in enumerate(members):
        step = steps(sequence, view)
        queries[r, : len(view.own)] = view.own
        keys[r, : len(step)] = view.seen
        query_step[r, : len(view.own)] = step[len(view.before) :]
        key_step[r, : len(step)] = step
    mask = key_step[:, None, None, :] <= query_step[:, None, :, None]
    return Rows(*(torch.from_numpy(a).to(device) for a in (queries, keys, mask)))
