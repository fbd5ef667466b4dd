"""What goes into a model that has one role, pictures without prompt or tiles, and a check of what comes out."""

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
    return dict(image_processor(thickened(image), return_tensors="pt"))


def thickened(image: Image.Image) -> Image.Image:
    """The picture itself, unless it is more than 50 times as long as wide, which processors shrink to nothing or blow
    up without bounds: then its last row or column is repeated until it is not. Places in the picture stay."""
    least = -(-max(image.size) // _LONGEST_TO_SHORTEST)
    if min(image.size) >= least:
        return image
    missing = [(0, max(0, least - image.height)), (0, max(0, least - image.width)), (0, 0)]
    return Image.fromarray(np.pad(np.asarray(image), missing, mode="edge"))


def numbers(outputs: Tensor) -> Tensor:
    """The outputs themselves. Raises CheckpointError if one is NaN, which would pass for "nothing there"."""
    if outputs.isnan().any():
        raise CheckpointError("the model puts out NaN instead of numbers; its weights are damaged")
    return outputs


def same_size(prepared: Sequence[Inputs]) -> Iterator[tuple[list[int], Inputs]]:
    """Pictures whose pixels have the same shape as one batch, with their places. So none is padded for the sake of
    another, and what a model says of a picture does not depend on its neighbours."""
    for places in grouped(inputs["pixel_values"].shape for inputs in prepared):
        yield places, {key: torch.cat([prepared[i][key] for i in places]) for key in prepared[places[0]]}
