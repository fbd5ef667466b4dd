"""Transformer blocks: the encoder's (LayerNorm, GELU; Dosovitskiy et al. 2021) and the decoder's (RMSNorm, SwiGLU;
Touvron et al. 2023). Both over flat tokens (N, width)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.models.nn.attention import Attend, Attention
from chiasm.models.nn.linear import Linear


class EncoderBlock(nn.Module):
    """Pre-norm transformer block with GELU (ViT). (tokens, width) -> the same."""

    def __init__(self, width: int, heads: int, hidden: int, eps: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps)
        self.attention = Attention(width, heads, bias=True)
        self.mlp_norm = nn.LayerNorm(width, eps)
        self.up = Linear(width, hidden)
        self.down = Linear(hidden, width)

    def forward(self, x: Tensor, layer: int, attend: Attend) -> Tensor:
        x = x + self.attention(self.attention_norm(x), layer, attend)
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class DecoderBlock(nn.Module):
    """Pre-norm transformer block with RMSNorm, rotary positions and SwiGLU (Llama). (tokens, width) -> the same."""

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int, eps: float):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps)
        self.attention = Attention(width, heads, kv_heads)
        self.mlp_norm = nn.RMSNorm(width, eps)
        self.gate_up = Linear(width, 2 * hidden, bias=False)
        self.down = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, layer: int, attend: Attend, rope: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.attention(self.attention_norm(x), layer, attend, rope)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)
