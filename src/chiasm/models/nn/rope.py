"""Rotary position embedding (Su et al. 2021), in the half-split layout of Llama."""

from __future__ import annotations

import torch
from torch import Tensor


def angles(positions: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """positions (N,) -> cosines and signed sines for `rotate`, each (N, 1, head_width), fp32."""
    frequency = base ** -(torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32) / head_width)
    angle = positions.float()[:, None, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) of x (N, heads, D) by its angle."""
    return x * cos.to(x.dtype) + x.roll(x.shape[-1] // 2, -1) * sin.to(x.dtype)
