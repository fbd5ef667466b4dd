"""The part of a model that sees: any vision-language model's, or an encoder by itself as a space to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import nn

from chiasm.errors import ConfigError
from chiasm.models import checkpoint
from chiasm.models.features import Features
from chiasm.models.fingerprint import weights_fingerprint
from chiasm.models.open import is_published
from chiasm.models.protocol import Picture

Precision = Literal["fp32", "bf16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
MAIN_SITES = ("encoder", "connector.in", "connector")


class Sees(Protocol):
    """The vision side of `VisionLanguageModel`."""

    def sites(self) -> tuple[str, ...]: ...

    def capture(self, images: Sequence[Any], sites: Sequence[str]) -> dict[str, Features]: ...


@dataclass(frozen=True)
class VisionSide:
    """A model to take features from.

    weights        fingerprint of all its weights
    preprocessing  JSON: what turns pictures into its pixels
    precision      "bf16" computes in bfloat16: where the weights are fp32, by autocast
    """

    name: str
    model: Sees
    weights: str
    preprocessing: Any
    precision: Precision = "fp32"
    device: str = "cpu"
    autocast: bool = False

    def capture(self, images: Sequence[Picture], sites: Sequence[str]) -> dict[str, Features]:
        """Features at `sites`. Raises ConfigError where memory runs out."""
        try:
            with (
                torch.inference_mode(),
                torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.autocast),
            ):
                return self.model.capture(images, sites)
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"{self.device} has not enough memory for {len(images)} pictures at a time; run the same command with "
                "a smaller --batch, or give pictures one --size"
            ) from None

    def chosen(self, sites: Sequence[str]) -> tuple[str, ...]:
        """`sites` in the order that a picture passes them, or where none are asked for, those of `MAIN_SITES` that the
        model has. Raises ConfigError for one that it lacks."""
        there = self.model.sites()
        for site in sites:
            if site not in there:
                why = "; extraction runs the vision side only" if site.startswith(("decoder", "answer")) else ""
                raise ConfigError(f"{self.name} has no site {site!r}{why}; it has {', '.join(there)}")
        return tuple(site for site in there if site in (sites or MAIN_SITES))


def open_vision_side(name: str, precision: Precision = "fp32", device: str = "cpu") -> VisionSide:
    """A model that `models.open.open_model` takes, or a folder or hub name of CLIP, SigLIP, FLAVA or DINOv2.

    Raises ConfigError for a model behind a server, which shows no features, and what opening the model raises.
    """
    if name.partition(":")[0] in ("openai", "majority"):
        raise ConfigError(f"{name} has no features to take; name a model folder or one of the Hugging Face hub")
    if not is_published(name):
        ours, config = checkpoint.load(checkpoint.find(name))
        return _side(name, ours, ours.to(device), config["encoder"], precision, device)
    from chiasm.models.adapters.transformers.encoders import FACTS, open_encoder
    from chiasm.models.adapters.transformers.loading import read_config
    from chiasm.models.adapters.transformers.vlm import open_vlm

    if read_config(name).model_type in FACTS:
        encoder = open_encoder(name)
        return _side(name, encoder, encoder.model.to(device), _settings(encoder.image_processor), precision, device)
    vlm = open_vlm(name, DTYPES[precision], device)
    return _side(name, vlm, vlm.model, _settings(vlm.processor.image_processor), precision, device)


def _side(
    name: str, model: Sees, weights: nn.Module, preprocessing: Any, precision: Precision, device: str
) -> VisionSide:
    stored_wide = next(weights.parameters()).dtype == torch.float32
    return VisionSide(
        name,
        model,
        weights_fingerprint(weights),
        preprocessing,
        precision,
        device,
        autocast=precision == "bf16" and stored_wide,
    )


def _settings(image_processor: Any) -> Any:
    return json.loads(image_processor.to_json_string())
