"""Rotary position embedding (Su et al. 2021), in the half-split layout of Llama."""

from __future__ import annotations

import torch
from torch import Tensor


def angles(positions: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """positions (N,) -> cosines and sines, each (N, 1, head_width / 2), fp32."""
    frequency = base ** -(torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32) / head_width)
    angle = positions.float()[:, None, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) of x (N, heads, D) by its angle."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
