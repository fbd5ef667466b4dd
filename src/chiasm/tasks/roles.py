"""A pipeline put together from several models, each in the role it is named for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol

import numpy as np
from PIL import Image

from chiasm.data.vocabulary import SCENES
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.detectors import DETECTORS, open_detector
from chiasm.models.adapters.transformers.encoders import FACTS, DualEncoder, open_encoder
from chiasm.models.adapters.transformers.loading import read_config
from chiasm.models.adapters.transformers.segmenters import open_clipseg, open_sam
from chiasm.models.open import is_published
from chiasm.tasks.see import Detector, Pipeline
from chiasm.tasks.vlm import open_pipeline
from chiasm.types import Answer, Detection, Object

OPENERS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "scene": {kind: open_encoder for kind in FACTS if kind != "dinov2"},
    "language": {},
    "detector": {kind: partial(open_detector, kind=kind) for kind in DETECTORS} | {"clipseg": open_clipseg},
    "segmenter": {"clipseg": open_clipseg, "sam": open_sam},
}
"""Role -> model type -> how to open a model that fills no more than this role. All else is a vision-language model."""

_ALSO = {
    "scene": "a vision-language model that names scenes",
    "language": "a vision-language model, openai:URL#MODEL",
    "detector": "a vision-language model that writes boxes, openai:URL#MODEL?boxes=DIALECT",
}


class Segmenter(Protocol):
    """Cuts out the objects that a detector found."""

    def segment(self, image: Image.Image, objects: Sequence[Object]) -> list[np.ndarray]:
        """A mask for each object, bool (height, width) of the picture."""
        ...


class ZeroShotScenes:
    """Scene role of a dual encoder: the likeliest of `scenes` by their names alone (CLIP, Radford et al. 2021,
    arXiv:2103.00020, section 3.1). `logprob` is that of the scene, among all of them or, for SigLIP, by itself.

    Raises ConfigError without scenes."""

    def __init__(self, encoder: DualEncoder, scenes: Sequence[str] = SCENES):
        if not scenes or not all(scene.strip() for scene in scenes):
            raise ConfigError("a scene can't be told without names of scenes, and none of them may be empty")
        self.encoder, self.scenes = encoder, tuple(scenes)
        self._texts = encoder.embed_texts([f"a photo of a {scene}" for scene in scenes])

    def classify(self, images: Sequence[Image.Image]) -> list[Answer]:
        """See `SceneClassifier`."""
        best = self.encoder.log_probabilities(self.encoder.embed_images(images), self._texts).max(dim=1)
        return [
            Answer(self.scenes[i], self.scenes[i], f"likeliest of {len(self.scenes)} scenes", value)
            for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


class Segmented:
    """Detector role: what `detector` finds, with masks by `segmenter`."""

    def __init__(self, detector: Detector, segmenter: Segmenter):
        self.detector, self.segmenter = detector, segmenter

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """See `Detector`."""
        return [self._with_masks(*pair) for pair in zip(images, self.detector.detect(images), strict=True)]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `Detector`."""
        found = self.detector.ground(images, phrases)
        return [[self._with_masks(image, d) for d in group] for image, group in zip(images, found, strict=True)]

    def _with_masks(self, image: Image.Image, found: Detection) -> Detection:
        masks = self.segmenter.segment(image, found.objects)
        objects = tuple(replace(thing, mask=mask) for thing, mask in zip(found.objects, masks, strict=True))
        return replace(found, objects=objects)


def open_roles(
    model: str | None = None,
    *,
    scene: str | None = None,
    language: str | None = None,
    detector: str | None = None,
    segmenter: str | None = None,
    scenes: Sequence[str] | None = None,
) -> Pipeline:
    """The pipeline of `model` with the roles that are named filled by other models; without `model`, of those alone.

    A name is "chiasm-tiny", a model folder, a name of the Hugging Face hub or, for language and detector,
    "openai:URL#MODEL". `scenes` are what a dual encoder chooses from. Raises ConfigError for a model that can't fill
    its role, with those that can; CheckpointError for one that can't be loaded.
    """
    asked = {"scene": scene, "language": language, "detector": detector, "segmenter": segmenter}
    named = {role: name for role, name in asked.items() if name is not None}
    of_model = cache(open_pipeline)  # one model may fill several roles
    parts: dict[str, Any] = {role: _open(role, name, of_model) for role, name in named.items()}
    if isinstance(parts.get("scene"), DualEncoder):
        parts["scene"] = ZeroShotScenes(parts["scene"], SCENES if scenes is None else scenes)
    elif scenes is not None:
        raise ConfigError(f"only {', '.join(OPENERS['scene'])} choose from a list of scenes; name one with --scene")

    whole = Pipeline() if model is None else _open_whole(model, of_model)
    pointer = parts.get("detector") or whole.detector
    if (cutter := parts.get("segmenter")) is not None:
        if pointer is None and not hasattr(cutter, "detect"):
            raise ConfigError(f"{segmenter} cuts out what a detector found; add --detector or --model")
        pointer = cutter if pointer is None else Segmented(pointer, cutter)
    return Pipeline(
        parts.get("scene") or whole.scene,
        parts.get("language") or whole.language,
        pointer,
        name=", ".join([*([whole.name] if model else []), *(f"{role} {name}" for role, name in named.items())]),
        warn=whole.warn,
        description={**whole.description, "roles": named},
    )


def _open(role: str, name: str, of_model: Callable[[str], Pipeline]) -> Any:
    kind = _model_type(name)
    if kind in OPENERS[role]:
        return OPENERS[role][kind](name)
    if fitting := _fitting(kind):
        raise _misfit(role, name, f"a model of type {kind} fits {fitting}")
    if kind in FACTS:
        raise _misfit(role, name, f"a model of type {kind} sees, but knows no words")
    part = getattr(of_model(name), role, None)
    if part is None:
        raise _misfit(role, name, "it has not learned that")
    return part


def _open_whole(name: str, of_model: Callable[[str], Pipeline]) -> Pipeline:
    kind = _model_type(name)
    if fitting := _fitting(kind):
        raise ConfigError(f"{name}: a model of type {kind} fills one role alone; give it as {fitting}")
    return of_model(name)


def _fitting(kind: str) -> str:
    return " or ".join(f"--{role}" for role, kinds in OPENERS.items() if kind in kinds)


def _misfit(role: str, name: str, reason: str) -> ConfigError:
    fitting = ", ".join([*OPENERS[role], *([_ALSO[role]] if role in _ALSO else [])])
    return ConfigError(f"{name} can't be used as --{role}: {reason}. What fits: {fitting}")


def _model_type(name: str) -> str:
    """The architecture as transformers calls it; "" for anything that is not a model of transformers."""
    return str(read_config(name).model_type) if ":" not in name and is_published(name) else ""
