"""Inputs of models that fill one role (a picture without prompt or tiles), and a check of their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chiasm.errors import CheckpointError
from chiasm.models.adapters.transformers.vision import grouped

Inputs = dict[str, Tensor]

_LONGEST_TO_SHORTEST = 50


def prepare(image_processor: Any, image: Image.Image) -> Inputs:
    """An RGB picture as a model's inputs, a batch of one."""
    return dict(image_processor(limit_aspect_ratio(image), return_tensors="pt"))


def limit_aspect_ratio(image: Image.Image) -> Image.Image:
    """The picture itself, or, where one side is more than 50 times the other, with its last row or column repeated
    until it is not: processors would shrink such a picture to nothing. Pixel coordinates stay the same."""
    least = -(-max(image.size) // _LONGEST_TO_SHORTEST)
    if min(image.size) >= least:
        return image
    missing = [(0, max(0, least - image.height)), (0, max(0, least - image.width)), (0, 0)]
    return Image.fromarray(np.pad(np.asarray(image), missing, mode="edge"))


def without_nan(outputs: Tensor) -> Tensor:
    """`outputs` unchanged. Raises CheckpointError if one is NaN, which would pass for "nothing found"."""
    if outputs.isnan().any():
        raise CheckpointError("the model puts out NaN instead of numbers; its weights are damaged")
    return outputs


def same_size(prepared: Sequence[Inputs]) -> Iterator[tuple[list[int], Inputs]]:
    """Batches of pictures whose pixels have equal shapes, each after the indices of its pictures. Without padding a
    picture's output does not depend on the others in its batch."""
    for places in grouped(inputs["pixel_values"].shape for inputs in prepared):
        yield places, {key: torch.cat([prepared[i][key] for i in places]) for key in prepared[places[0]]}
