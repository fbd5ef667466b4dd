"""Segmenters of transformers: masks for the objects that a detector found, by their names (CLIPSeg) or boxes (SAM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from chiasm.data.vocabulary import COCO_OBJECTS
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.loading import load_model, load_processor
from chiasm.models.adapters.transformers.pictures import limit_aspect_ratio, prepare, without_nan
from chiasm.types import Box, Detection, Object

Mask = np.ndarray
"""bool (height, width) of the picture."""


class ClipSeg:
    """CLIPSeg (Lüddecke and Ecker 2022, arXiv:2112.10003): where in the picture a text holds.

    It knows regions, not instances. Objects with a box get the region of their name inside that box. Without a detector
    it is one itself: each name's region is one object, its score the mean probability there. A pixel counts above
    `threshold`.
    """

    def __init__(
        self,
        model: Any,
        image_processor: Any,
        tokenizer: Any,
        vocabulary: Sequence[str] = COCO_OBJECTS,
        threshold: float = 0.5,
    ):
        self.model, self.image_processor, self.tokenizer = model, image_processor, tokenizer
        self.vocabulary, self.threshold = tuple(vocabulary), threshold

    def segment(self, image: Image.Image, objects: Sequence[Object]) -> list[Mask]:
        """A mask for each object."""
        names = list(dict.fromkeys(thing.name for thing in objects))
        regions = {name: heat > self.threshold for name, heat in zip(names, self._heat(image, names), strict=True)}
        return [_cut(regions[thing.name], thing.box) for thing in objects]

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """See `Detector`: every name of the vocabulary whose region is not empty."""
        return [self._detection(image, self.vocabulary) for image in images]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `Detector`."""
        return [
            [self._detection(image, [phrase]) for phrase in asked] for image, asked in zip(images, phrases, strict=True)
        ]

    def _detection(self, image: Image.Image, names: Sequence[str]) -> Detection:
        objects = []
        for name, heat in zip(names, self._heat(image, names), strict=True):
            mask = heat > self.threshold
            if mask.any():
                rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
                box = Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
                objects.append(Object(name, box, float(heat[mask].mean()), mask=mask))
        objects.sort(key=lambda thing: -(thing.score or 0))
        return Detection(tuple(objects), rule=f"probability > {self.threshold}")

    @torch.inference_mode()
    def _heat(self, image: Image.Image, names: Sequence[str]) -> list[np.ndarray]:
        """Probabilities (height, width) of each name at every pixel."""
        if not names:
            return []
        pixels = prepare(self.image_processor, image)["pixel_values"]
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(list(names), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        logits = without_nan(self.model(pixel_values=pixels.expand(len(names), -1, -1, -1), **tokens).logits)
        width, height = limit_aspect_ratio(image).size
        # One at a time: a full-size map for every name of a large picture would not fit into memory.
        return [
            interpolate(one[None, None], (height, width), mode="bilinear")[0, 0, : image.height, : image.width]
            .sigmoid()
            .numpy()
            for one in logits.reshape(len(names), *logits.shape[-2:])
        ]


class Sam:
    """SAM (Kirillov et al. 2023, arXiv:2304.02643): the one mask of what stands in a box."""

    def __init__(self, model: Any, image_processor: Any):
        self.model, self.image_processor = model, image_processor

    @torch.inference_mode()
    def segment(self, image: Image.Image, objects: Sequence[Object]) -> list[Mask]:
        """A mask for each object. Raises ConfigError for one without a box."""
        boxes = [thing.box for thing in objects if thing.box is not None]
        if len(boxes) < len(objects):
            raise ConfigError("SAM cuts out what stands in a box, but an object has none")
        if not boxes:
            return []
        inputs = prepare(self.image_processor, image)
        sizes = [inputs["original_sizes"], inputs["reshaped_input_sizes"]]
        before, after = (torch.tensor([width, height] * 2) for height, width in (size[0].tolist() for size in sizes))
        corners = torch.tensor([box.as_tuple() for box in boxes]) * after / before
        masks = self.model(
            pixel_values=inputs["pixel_values"], input_boxes=corners[None], multimask_output=False
        ).pred_masks[0]
        # One at a time, for the same reason as above.
        return [
            self.image_processor.post_process_masks([one[None]], *sizes)[0][0, 0, : image.height, : image.width].numpy()
            for one in without_nan(masks)
        ]


def open_clipseg(name: str) -> ClipSeg:
    """CLIPSeg from a folder or by its hub name. Raises CheckpointError where it can't be loaded."""
    processor = load_processor(name, None)
    model = load_model(name, "CLIPSegForImageSegmentation", torch.float32, "cpu")
    return ClipSeg(model, processor.image_processor, processor.tokenizer)


def open_sam(name: str) -> Sam:
    """SAM from a folder or by its hub name. Raises CheckpointError where it can't be loaded."""
    return Sam(load_model(name, "SamModel", torch.float32, "cpu"), load_processor(name, None).image_processor)


def _cut(region: Mask, box: Box | None) -> Mask:
    """The part of a region inside a box, pixels that the box only touches included."""
    if box is None:
        return region
    inside = np.zeros_like(region)
    rows, columns = slice(int(box.y1), -int(-box.y2 // 1)), slice(int(box.x1), -int(-box.x2 // 1))
    inside[rows, columns] = region[rows, columns]
    return inside
