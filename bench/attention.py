"""Attention on short rows: written out against torch's fused kernel, and a packed pattern against a dense mask."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F
from measure import Row, compare, options, publish
from torch import Tensor

from chiasm.data.sequence import Packed, Picture, Text, allowed, compose, pack
from chiasm.models.nn.attention import lower, scaled_dot_product

TORCH = f"torch {version('torch')} fused"
HEADS, WIDTH = 4, 64
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def row(what: str, peer: str, ours: Attention, theirs: Attention, qkv: list[Tensor], repeats: int) -> Row:
    """Times forward and backward, after both gave the same output and gradients."""

    def run(attention: Attention) -> list[Tensor]:
        out = attention(*qkv)
        return [out, *torch.autograd.grad(out, qkv, torch.ones_like(out))]

    tolerance = 2e-2 if qkv[0].dtype == torch.bfloat16 else 1e-4
    for mine, other in zip(run(ours), run(theirs), strict=True):
        assert (mine - other).norm() <= tolerance * other.norm().clamp(min=1), f"{what}: the two differ"
    return compare(what, peer, lambda: run(ours), lambda: run(theirs), repeats)


def random(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape).to(dtype).requires_grad_()


def short_rows(dtype: torch.dtype, name: str, repeats: int) -> list[Row]:
    encoder = [random(64, HEADS, 144, WIDTH, dtype=dtype) for _ in range(3)]
    # Branches of 16 tokens behind trunks of 37, some a few tokens shorter, all causal.
    branches = [random(384, HEADS, n, WIDTH, dtype=dtype) for n in (16, 53, 53)]
    missing = torch.arange(384) % 6
    step = torch.arange(53)
    mask = (step[None, None, :] <= 37 + torch.arange(16)[None, :, None]) & (step < 53 - missing[:, None, None])
    mask = mask[:, None]
    return [
        row(
            f"encoder, 64 rows of 144, {name}",
            TORCH,
            scaled_dot_product,
            F.scaled_dot_product_attention,
            encoder,
            repeats,
        ),
        row(
            f"branches, 384 rows of 16 that see 53, masked, {name}",
            TORCH,
            lambda q, k, v: scaled_dot_product(q, k, v, mask),
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
            branches,
            repeats,
        ),
    ]


def packed_row(dtype: torch.dtype, name: str, repeats: int) -> Row:
    """Documents of a picture and twelve branches: lowered, and as dense rows padded to the longest document."""
    lengths = np.random.default_rng(0).integers(6, 28, (32, 12))
    packed = pack([compose([Text([0]), Picture(0, 36)], [[Text([0] * n)] for n in document]) for document in lengths])
    pattern = lower(packed)
    qkv = [random(len(packed.sequence), HEADS, WIDTH, dtype=dtype) for _ in range(3)]
    inside, mask = dense(packed)

    def padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows = (
            t.new_zeros(*inside.shape, HEADS, WIDTH).masked_scatter(inside[..., None, None], t).transpose(1, 2)
            for t in (q, k, v)
        )
        return F.scaled_dot_product_attention(*rows, attn_mask=mask).transpose(1, 2)[inside].flatten(1)

    what = f"{len(packed)} documents of 12 branches, {len(packed.sequence)} tokens, {name}"
    return row(what, f"{TORCH}, dense mask {tuple(mask.shape)}", lambda *t: pattern(0, *t), padded, qkv, repeats)


def dense(packed: Packed) -> tuple[Tensor, Tensor]:
    """(documents, longest) places that hold a token, and the mask (documents, 1, longest, longest)."""
    lengths = np.diff(packed.offsets)
    everything = torch.from_numpy(allowed(packed))
    inside = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    mask = torch.eye(lengths.max(), dtype=torch.bool).repeat(len(packed), 1, 1, 1)  # padding looks at itself
    for document, (start, length) in enumerate(zip(packed.offsets, lengths, strict=False)):
        stop = start + length
        mask[document, 0, :length, :length] = everything[start:stop, start:stop]
    return inside, mask


def main() -> None:
    chosen = options(__doc__, repeats=15)
    torch.manual_seed(0)
    rows = []
    for dtype, name in ((torch.float32, "fp32"), (torch.bfloat16, "bf16")):
        rows += [*short_rows(dtype, name, chosen.repeats), packed_row(dtype, name, chosen.repeats)]
    notes = f"Forward and backward, {HEADS} heads of {WIDTH}."
    publish("attention", "Attention on short rows", notes, rows, chosen.json)


if __name__ == "__main__":
    main()
