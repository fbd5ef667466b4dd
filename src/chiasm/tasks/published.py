"""A published vision-language model in the pipeline's roles, as far as its dialect goes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from chiasm.data.box_text import BoxCodec, Qwen25VLCodec, codec
from chiasm.errors import ParseError, PromptError
from chiasm.models.adapters.transformers.vlm import TransformersVLM, open_vlm
from chiasm.models.features import Features
from chiasm.models.fingerprint import weights_fingerprint
from chiasm.tasks.see import Pipeline
from chiasm.types import Answer, Detection, Object

ANSWER_LIMIT, CAPTION_LIMIT, BOX_LIMIT = 64, 96, 2048  # a box takes Qwen some 35 tokens
_GOES_ON = ("florence-2", "kosmos-2")
"""Dialects in which only the boxes of the first label are the phrase's: Florence-2 grounds what else the phrase names
(the shirt of "the man in a red shirt"), and Kosmos-2 goes on to describe the picture."""


class Published:
    """Language and detector role. Pictures are encoded once, however many roles look at them."""

    def __init__(self, model: TransformersVLM):
        self.model = model
        self._last: tuple[tuple[int, ...], Sequence[Image.Image], Features] | None = None

    def caption(self, images: Sequence[Image.Image]) -> list[Answer]:
        """See `Language`."""
        return [a for (a,) in self._ask(images, [[self._prompts["caption"]]] * len(images), CAPTION_LIMIT)]

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        """See `Language`."""
        template = self._prompts.get("answer", "{question}")
        prompts = [[template.replace("{question}", question) for question in group] for group in questions]
        return self._ask(images, prompts, ANSWER_LIMIT)

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """Every object that the model names; boxes have no score."""
        prompts = [[self._prompts["detect"]]] * len(images)
        return [d for (d,) in self._boxes(images, prompts, [[None]] * len(images))]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Boxes of each phrase, under its name."""
        template = self._prompts["ground"]
        prompts = [[template.replace("{phrase}", phrase) for phrase in group] for group in phrases]
        return self._boxes(images, prompts, phrases)

    @property
    def _prompts(self) -> dict[str, str]:
        return dict(self.model.dialect.prompts)

    def _ask(self, images: Sequence[Image.Image], prompts: Sequence[Sequence[str]], limit: int) -> list[list[Answer]]:
        asked = [i for i, group in enumerate(prompts) if group]
        if not asked:
            return [[] for _ in prompts]
        features, groups = self._encode(images).select(asked), [prompts[i] for i in asked]
        try:
            answers = iter(self.model.generate(features, groups, limit=limit))
        except PromptError:  # of one prompt, which must not keep the others from being answered
            singles = [features.select([i]) for i in range(len(groups))]
            answers = iter(
                [self._ask_one(single, prompt, limit) for prompt in group]
                for single, group in zip(singles, groups, strict=True)
            )
        return [next(answers) if group else [] for group in prompts]

    def _ask_one(self, features: Features, prompt: str, limit: int) -> Answer:
        try:
            return self.model.generate(features, [[prompt]], limit=limit)[0][0]
        except PromptError as error:
            return Answer("", problem=str(error))

    def _encode(self, images: Sequence[Image.Image]) -> Features:
        """E_pre: a connector that reads the prompt has yet to see it. That of the last pictures is kept."""
        key = tuple(map(id, images))
        if self._last is None or self._last[0] != key:
            # The pictures are kept too: an id is only unique while its object lives.
            self._last = key, images, self.model.encode(images)
        return self._last[2]

    def _boxes(
        self, images: Sequence[Image.Image], prompts: Sequence[Sequence[str]], names: Sequence[Sequence[str | None]]
    ) -> list[list[Detection]]:
        answers = self._ask(images, prompts, BOX_LIMIT)
        return [
            [self._detection(answer, name, i, image) for answer, name in zip(group, wanted, strict=True)]
            for i, (image, group, wanted) in enumerate(zip(images, answers, names, strict=True))
        ]

    def _detection(self, answer: Answer, name: str | None, number: int, image: Image.Image) -> Detection:
        rule = f"boxes of {self.model.boxes}"
        if answer.problem is not None:
            return Detection((), answer.raw, rule, answer.problem)
        try:
            items = self._codec(number, image.size).parse(answer.raw, image.size)
        except ParseError as error:
            return Detection((), answer.raw, rule, str(error))
        if name is not None and self.model.boxes in _GOES_ON:
            items = [(label, box) for label, box in items if label == items[0][0]]
        objects = tuple(Object(name if name is not None else label or "", box) for label, box in items)
        return Detection(objects, answer.raw, rule)

    def _codec(self, number: int, size: tuple[int, int]) -> BoxCodec:
        dialect = self.model.boxes
        assert dialect is not None
        assert self._last is not None
        if dialect != "qwen2.5-vl":
            return codec(dialect, size)
        rows, columns = self._last[2].grids[number]
        patch = self.model.model.config.vision_config.patch_size
        return Qwen25VLCodec((columns * patch, rows * patch))  # pixels of the picture as this model saw it


def published_pipeline(name: str) -> Pipeline:
    """The pipeline of a model folder or hub name. Raises what `open_vlm` raises."""
    model = open_vlm(name, device="cuda" if torch.cuda.is_available() else "cpu")
    roles = Published(model)
    return Pipeline(
        language=roles,
        detector=roles if model.boxes else None,
        name=name.rstrip("/").rpartition("/")[2],
        description={
            "weights": weights_fingerprint(model.model),
            "architecture": model.architecture.model,
            "dtype": str(model.model.dtype),
            "prompts": dict(model.dialect.prompts),
            "decoding": "greedy",
        },
        model=model,
    )
