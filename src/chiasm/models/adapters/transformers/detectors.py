"""Open-vocabulary detectors of transformers in the pipeline's detector role: OWLv2 and GroundingDINO.

Both give each of their queries a box and a score for every name; what that means as objects is the same for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from chiasm.data.vocabulary import COCO_OBJECTS
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.loading import load_model, load_processor
from chiasm.models.adapters.transformers.pictures import Inputs, limit_aspect_ratio, prepare, without_nan
from chiasm.types import Box, Detection, Object

Queries = tuple[Tensor, Tensor]
"""Logits (queries, names), and boxes (queries, 4), ``xyxy`` in pixels, which may reach over the border."""

_MOST_KEPT = 16


class OpenDetector(ABC):
    """Finds the objects of `vocabulary`, or the phrases asked for. Pictures are looked at one by one, so that none
    depends on its neighbours.

    A query counts from `threshold` on. Boxes are cut at the picture's border; a query entirely outside (in OWLv2's
    padding) is no object. Raises ConfigError for an empty name, CheckpointError where the weights give no numbers.
    """

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, vocabulary: Sequence[str], threshold: float):
        self.model, self.image_processor, self.tokenizer = model, image_processor, tokenizer
        self.vocabulary, self.threshold = tuple(vocabulary), threshold

    @torch.inference_mode()
    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """Each query under its likeliest name of the vocabulary, the surest first."""
        groups = self.groups(_checked(self.vocabulary))
        return [self._detection(image, groups, self.queries(image, groups)) for image in images]

    @torch.inference_mode()
    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Every query that fits a phrase, each phrase by itself, the surest first."""
        result = []
        for image, asked in zip(images, phrases, strict=True):
            groups = [[phrase] for phrase in _checked(asked)]
            found = self.queries(image, groups) if groups else []
            result.append([self._detection(image, [group], [one]) for group, one in zip(groups, found, strict=True)])
        return result

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """The names in as many groups as the model needs; those of one are looked for together."""
        return [list(names)]

    @abstractmethod
    def queries(self, image: Image.Image, groups: Sequence[Sequence[str]]) -> list[Queries]:
        """What the model says of each group of names."""

    def _detection(self, image: Image.Image, groups: Sequence[Sequence[str]], found: Sequence[Queries]) -> Detection:
        objects = []
        for names, (logits, boxes) in zip(groups, found, strict=True):
            # Chosen by logit, because scores near 1 can't be told apart.
            best, which = without_nan(logits).max(dim=1)
            scores = best.sigmoid().tolist()
            for logit, score, name, corners in zip(
                best.tolist(), scores, which.tolist(), without_nan(boxes).tolist(), strict=True
            ):
                box = _inside(corners, image.size)
                if score > self.threshold and box is not None:
                    objects.append((logit, Object(names[name], box, score)))
        objects.sort(key=lambda pair: -pair[0])
        return Detection(tuple(thing for _, thing in objects), rule=f"score > {self.threshold}")


class Owlv2(OpenDetector):
    """OWLv2 (Minderer et al. 2023, arXiv:2306.09683). Names do not influence each other, so the last
    pictures' tokens and boxes are kept, and only compared with other names when something else is asked."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._kept: dict[int, tuple[Image.Image, Tensor, Tensor]] = {}
        self._named: tuple[list[str], Tensor] = [], torch.empty(0)

    def queries(self, image: Image.Image, groups: Sequence[Sequence[str]]) -> list[Queries]:
        patches, boxes = self._look(image)
        names = [name for group in groups for name in group]
        # A query mask would only hide padded names, of which there are none.
        if names != self._named[0]:
            self._named = names, self._embed(names)
        logits = self.model.class_predictor(patches, self._named[1][None])[0][0]
        return [(own, boxes) for own in logits.split([len(group) for group in groups], dim=1)]

    def _look(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Tokens (1, queries, width) and boxes (queries, 4) of a picture."""
        if id(image) not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            features = self.model.image_embedder(prepare(self.image_processor, image)["pixel_values"])[0]
            patches = features.flatten(1, 2)
            # The picture was padded to a square at the right and the bottom, and boxes are fractions of that square.
            boxes = _corners(self.model.box_predictor(patches, features)[0]) * max(image.size)
            # With the picture itself: an id is only unique while its object lives.
            self._kept[id(image)] = image, patches, boxes
        return self._kept[id(image)][1:]

    def _embed(self, names: Sequence[str]) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(names), padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        return torch.nn.functional.normalize(self.model.owlv2.get_text_features(**tokens).pooler_output, dim=-1)


class GroundingDino(OpenDetector):
    """GroundingDINO (Liu et al. 2023, arXiv:2303.05499). Names are one prompt, "cup. dog.", and a query's score for a
    name is its highest one among the name's tokens."""

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        groups: list[list[str]] = []
        for name in names:
            if groups and self._fits([*groups[-1], name]):
                groups[-1].append(name)
            else:
                groups.append([name])
        return groups

    def queries(self, image: Image.Image, groups: Sequence[Sequence[str]]) -> list[Queries]:
        pixels, size = prepare(self.image_processor, image), limit_aspect_ratio(image).size
        return [self._queries(size, pixels, group) for group in groups]

    def _queries(self, size: tuple[int, int], pixels: Inputs, names: Sequence[str]) -> Queries:
        if not self._fits(names):
            raise ConfigError(f"{names[0]!r} is too long to look for: at most {self._most_tokens} tokens fit")
        prompt, spans = _prompt(names)
        tokens = self.tokenizer(prompt, return_tensors="pt", return_token_type_ids=True, return_offsets_mapping=True)
        starts = tokens.pop("offset_mapping")[0, :, 0].tolist()
        outputs = self.model(**pixels, **tokens)
        logits = outputs.logits[0]
        # [CLS] and [SEP] have the offset 0 too, but the first and the last place.
        of_name = [[i for i in range(1, len(starts) - 1) if begin <= starts[i] < end] for begin, end in spans]
        if not all(of_name):
            raise ConfigError(f"this model reads nothing in {names[of_name.index([])]!r}; use other words")
        by_name = torch.stack([logits[:, places].amax(dim=1) for places in of_name], dim=1)
        width, height = size
        return by_name, _corners(outputs.pred_boxes[0]) * torch.tensor([width, height, width, height])

    @property
    def _most_tokens(self) -> int:
        config = self.model.config
        return min(config.max_text_len, config.text_config.max_position_embeddings)

    def _fits(self, names: Sequence[str]) -> bool:
        return len(self.tokenizer(_prompt(names)[0]).input_ids) <= self._most_tokens


DETECTORS: dict[str, tuple[type[OpenDetector], str, float]] = {
    "owlv2": (Owlv2, "Owlv2ForObjectDetection", 0.1),
    "grounding-dino": (GroundingDino, "GroundingDinoForObjectDetection", 0.25),
}
"""By model type: our class, transformers' class, and the library's threshold."""


def open_detector(name: str, kind: str, vocabulary: Sequence[str] = COCO_OBJECTS) -> OpenDetector:
    """The detector of type `kind` in a folder or under a hub name. Raises CheckpointError for what can't be loaded."""
    detector, model, threshold = DETECTORS[kind]
    processor = load_processor(name, None)
    return detector(
        load_model(name, model, torch.float32, "cpu"),
        processor.image_processor,
        processor.tokenizer,
        vocabulary,
        threshold,
    )


def _checked(names: Sequence[str]) -> Sequence[str]:
    if any(not name.strip(" .?") for name in names):
        raise ConfigError(f"an empty name can't be looked for: {list(names)}")
    return names


def _prompt(names: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The names as one prompt, and where each begins and ends in it."""
    prompt, spans = "", []
    for name in names:
        # Full stops and question marks would end the name.
        clean = " ".join(name.lower().replace(".", " ").replace("?", " ").split())
        prompt += " " if prompt else ""
        spans.append((len(prompt), len(prompt) + len(clean)))
        prompt += clean + "."
    return prompt, spans


def _corners(boxes: Tensor) -> Tensor:
    """(centre x, centre y, width, height) rows to ``xyxy`` rows."""
    centers, sizes = boxes.split(2, dim=1)
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=1)


def _inside(corners: Sequence[float], size: tuple[int, int]) -> Box | None:
    """The part of a box that is in the picture."""
    x1, x2 = (min(max(x, 0.0), size[0]) for x in corners[::2])
    y1, y2 = (min(max(y, 0.0), size[1]) for y in corners[1::2])
    return Box(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
