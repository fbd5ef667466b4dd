"""A short name for a model's weights, the same wherever they are stored."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's and buffer's name, type, shape, sum of bits and a thousand of its values.

    As fast as the weights can be read, and the same in whatever order threads add: bits are summed as integers.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        bits = tensor.detach().contiguous().flatten().view(_BITS[tensor.element_size()])
        sample = bits[:: max(1, len(bits) // 1000)].cpu().numpy().tobytes()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {int(bits.sum(dtype=torch.int64))}".encode())
        digest.update(sample)
    return digest.hexdigest()
