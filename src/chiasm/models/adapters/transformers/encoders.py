"""Encoders of transformers: features at every layer, and one embedding a picture or a text.

DINOv2 sees only; CLIP, SigLIP, SigLIP 2 and FLAVA put pictures and texts into one space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.loading import load_model, load_processor, read_config
from chiasm.models.adapters.transformers.pictures import Inputs, prepare, same_size, without_nan
from chiasm.models.features import Features, Grid
from chiasm.models.recording import recorded


@dataclass(frozen=True)
class Facts:
    """Where an architecture keeps what we need.

    model     class in transformers
    tower     path of the picture's side, "" where it is the whole model
    layers    path of its blocks
    leading   tokens before the patches (CLS)
    sigmoid   True where a pair's probability stands alone, False where texts compete
    """

    model: str
    tower: str
    layers: str
    leading: int
    sigmoid: bool = False


FACTS = {
    "clip": Facts("CLIPModel", "vision_model", "vision_model.encoder.layers", 1),
    "siglip": Facts("SiglipModel", "vision_model", "vision_model.encoder.layers", 0, sigmoid=True),
    "siglip2": Facts("Siglip2Model", "vision_model", "vision_model.encoder.layers", 0, sigmoid=True),
    "flava": Facts("FlavaModel", "image_model", "image_model.encoder.layer", 1),
    "dinov2": Facts("Dinov2Model", "", "encoder.layer", 1),
}


class VisionEncoder:
    """The picture's side: `sites`, `encode` and `capture` as in `VisionLanguageModel`, and an embedding a picture."""

    def __init__(self, model: Any, image_processor: Any, facts: Facts):
        self.model, self.image_processor, self.facts = model, image_processor, facts
        self._layers = model.get_submodule(facts.layers)
        self._tower = model.get_submodule(facts.tower)

    def sites(self) -> tuple[str, ...]:
        """ "encoder.0", ... (after each block) and "encoder" (the encoder's output, after its last norm where the
        library applies one)."""
        return (*(f"encoder.{i}" for i in range(len(self._layers))), "encoder")

    def encode(self, images: Sequence[Image.Image]) -> Features:
        return self.capture(images, ["encoder"])["encoder"]

    @torch.no_grad()
    def capture(self, images: Sequence[Image.Image], sites: Sequence[str]) -> dict[str, Features]:
        """Patch tokens, without CLS and padding, from one forward. Raises ConfigError for an unknown site."""
        for site in sites:
            if site not in self.sites():
                raise ConfigError(f"no site {site!r}{did_you_mean(site, self.sites())}")
        blocks = {site: self._layers[int(site.partition(".")[2])] for site in sites if site != "encoder"}
        tokens: dict[str, dict[int, Tensor]] = {site: {} for site in sites}
        leading: dict[str, dict[int, Tensor]] = {site: {} for site in sites}
        grids: dict[int, Grid] = {}
        for places, inputs in same_size([prepare(self.image_processor, image) for image in images]):
            inputs = {name: values.to(self.model.device) for name, values in inputs.items()}
            with recorded(blocks) as outputs:
                outputs["encoder"] = self._tower(**inputs).last_hidden_state
            for row, place in enumerate(places):
                grids[place] = self._grid(inputs, row)
                end = self.facts.leading + grids[place][0] * grids[place][1]
                for site in sites:
                    tokens[site][place] = outputs[site][row, self.facts.leading : end]
                    leading[site][place] = outputs[site][row, 0]
        order = range(len(images))
        return {
            site: Features(
                torch.cat([tokens[site][i] for i in order]),
                tuple(grids[i] for i in order),
                site,
                cls=torch.stack([leading[site][i] for i in order]) if self.facts.leading else None,
            )
            for site in sites
        }

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """(pictures, width), of length 1. Raises CheckpointError where the weights give no numbers."""
        rows: dict[int, Tensor] = {}
        for places, inputs in same_size([prepare(self.image_processor, image) for image in images]):
            rows |= zip(places, self._pooled(inputs), strict=True)
        return normalize(without_nan(torch.stack([rows[i] for i in range(len(images))])), dim=-1)

    def _pooled(self, inputs: Inputs) -> Tensor:
        return self._tower(**inputs).pooler_output

    def _grid(self, inputs: Inputs, row: int) -> Grid:
        if "spatial_shapes" in inputs:  # SigLIP 2 keeps the picture's proportions
            rows, columns = inputs["spatial_shapes"][row].tolist()
        else:
            patch = self._tower.config.patch_size
            rows, columns = (side // patch for side in inputs["pixel_values"].shape[-2:])
        return rows, columns


class DualEncoder(VisionEncoder):
    """Pictures and texts in one space."""

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, facts: Facts):
        super().__init__(model, image_processor, facts)
        self.tokenizer = tokenizer

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, width), of length 1. What is longer than the model reads is cut off."""
        tokens = self.tokenizer(
            [text.lower() for text in texts] if self.facts.sigmoid else list(texts),
            padding="max_length" if self.facts.sigmoid else True,
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        if self.facts.sigmoid:
            # SigLIP was trained on lower-case texts whose padding is read like words, the embedding off the last place
            # (big_vision, models/proj/image_text; SigLIP 2 with Gemma's tokenizer keeps neither by itself).
            tokens = {"input_ids": tokens["input_ids"]}
        pooled = self.model.get_text_features(**tokens).pooler_output
        return normalize(without_nan(_first(pooled)), dim=-1)

    def log_probabilities(self, images: Tensor, texts: Tensor) -> Tensor:
        """(pictures, texts) of embeddings: how likely each text belongs to each picture. CLIP and FLAVA share
        probability 1 among the texts; SigLIP judges every pair by itself."""
        logits = images @ texts.T * self.model.logit_scale.exp()
        if self.facts.sigmoid:
            return logsigmoid(logits + self.model.logit_bias).detach()
        return logits.log_softmax(dim=-1).detach()

    def _pooled(self, inputs: Inputs) -> Tensor:
        return _first(self.model.get_image_features(**inputs).pooler_output)


def open_encoder(name: str) -> VisionEncoder:
    """The encoder in a folder or under a hub name, in fp32: a `DualEncoder`, or a plain one that only sees.

    Raises ConfigError for another architecture, CheckpointError for what can't be loaded."""
    kind = read_config(name).model_type
    if kind not in FACTS:
        raise ConfigError(f"{name} is a model of type {kind!r}; encoders are {', '.join(FACTS)}")
    facts = FACTS[kind]
    model, processor = load_model(name, facts.model, torch.float32, "cpu"), load_processor(name, None)
    if not hasattr(model, "get_text_features"):
        return VisionEncoder(model, processor, facts)
    return DualEncoder(model, processor.image_processor, processor.tokenizer, facts)


def _first(pooled: Tensor) -> Tensor:
    """FLAVA projects every token; its contrastive embedding is that of CLS."""
    return pooled[:, 0] if pooled.ndim == 3 else pooled
