"""Any vision-language model of the library's that has a row, behind the house protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chiasm.errors import ConfigError, PromptError
from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.decoder import Decoder, answer_logprob, tokens_that_fit
from chiasm.models.adapters.transformers.encoder_decoder import EncoderDecoder
from chiasm.models.adapters.transformers.loading import architecture_of, load_model, load_processor, read_config
from chiasm.models.adapters.transformers.prompts import Prompter
from chiasm.models.adapters.transformers.rows import Row
from chiasm.models.adapters.transformers.vision import Vision
from chiasm.models.features import Features
from chiasm.models.generation.engine import Generated
from chiasm.models.protocol import Dialect, Patched, Picture, Prompts
from chiasm.types import Answer

T = TypeVar("T")


def open_vlm(name: str, dtype: torch.dtype | None = None, device: str = "cpu") -> TransformersVLM:
    """A published model from a folder or by its hub name ("llava-hf/llava-1.5-7b-hf").

    `dtype` None takes the one that the weights are stored in (half precision becomes single on a CPU). Raises
    CheckpointError where a file is missing or damaged, ConfigError for an architecture without an adapter.
    """
    name = str(name)
    config = read_config(name)
    architecture = architecture_of(name, config)
    processor = load_processor(name, architecture.processor)
    if getattr(processor, "patch_size", 0) is None:  # LLaVA saved before its processor counted a picture's places
        processor.patch_size = config.vision_config.patch_size
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        processor.num_additional_image_tokens = architecture.dropped
    return TransformersVLM(load_model(name, architecture.model, dtype, device), processor, architecture)


class TransformersVLM:
    """A model of the library and its processor."""

    def __init__(self, model: Any, processor: Any, architecture: Architecture):
        self.model, self.processor, self.architecture = model, processor, architecture
        self.dialect = Dialect(architecture.prompts)
        self.boxes = architecture.boxes
        encodes = model.config.is_encoder_decoder or model.config.get_text_config().is_encoder_decoder
        named = _ends(model, processor.tokenizer)
        self.prompter = Prompter(processor, architecture, model.config, named, answers_alone=encodes)
        ends = self.prompter.ends
        self.vision = Vision(model, architecture)
        self.decoder: Decoder | EncoderDecoder
        if encodes:
            self.decoder = EncoderDecoder(model, architecture, ends)
        else:
            self.decoder = Decoder(model, architecture, self.vision.connection, ends)

    def sites(self) -> tuple[str, ...]:
        """See `VisionLanguageModel.sites`."""
        return self.vision.sites()

    def encode(self, images: Sequence[Picture]) -> Features:
        """Pictures of any size -> E_pre. Raises ConfigError where there is none or one is not RGB."""
        return self.capture(images, ["encoder"])["encoder"]

    def connect(self, features: Features, prompts: Sequence[str] | None = None) -> Features:
        """E_pre -> E_post. `prompts`, one a picture, is for a connector that reads them (InstructBLIP); it is given the
        caption prompt otherwise."""
        if not self.architecture.instructed:
            return self.vision.connect(features)
        prompts = prompts or [self.dialect.prompts["caption"]] * len(features)
        return self.vision.connect(features, [self._instruction(p) for p in prompts])

    def capture(self, images: Sequence[Picture], sites: Sequence[str]) -> dict[str, Features]:
        """See `VisionLanguageModel.capture`."""
        if not len(images):
            raise ConfigError("there are no pictures to encode")
        seen = [self.prompter.picture(_rgb(p, i), self.model.device, self.model.dtype) for i, p in enumerate(images)]
        return self.vision.capture(seen, sites)

    def generate(self, features: Features | None, prompts: Prompts, *, limit: int = 64) -> list[list[Answer]]:
        """See `VisionLanguageModel.generate`. E_pre may be given as well: it goes through the connector first, with
        each prompt where the connector reads it."""
        rows, features = self._rows(features, prompts)
        answers = [self._answer(row) for row in self.decoder.generate(rows, features, limit)]
        return regrouped(answers, prompts)

    def logprob(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[float]]:
        """See `VisionLanguageModel.logprob`."""
        rows, features = self._rows(features, prompts, answers)
        logits = self.decoder.logits(rows, features)
        values = [answer_logprob(own, row.answer).item() for row, own in zip(rows, logits, strict=True)]
        return regrouped(values, prompts)

    def logits(self, features: Features | None, prompts: Prompts, answers: Prompts) -> list[list[Tensor]]:
        """See `VisionLanguageModel.logits`."""
        rows, features = self._rows(features, prompts, answers)
        return regrouped(self.decoder.logits(rows, features), prompts)

    def hidden(self, features: Features | None, prompts: Prompts, layers: Sequence[int]) -> list[list[Tensor]]:
        """See `VisionLanguageModel.hidden`."""
        rows, features = self._rows(features, prompts)
        return regrouped(self.decoder.hidden(rows, features, layers), prompts)

    @property
    def decoder_layers(self) -> int:
        """See `VisionLanguageModel.decoder_layers`."""
        return len(self.decoder.layers)

    def patched_logprob(
        self,
        features: Features,
        other: Features,
        prompts: Prompts,
        answers: Prompts,
        layers: Sequence[int],
        where: Patched,
    ) -> list[list[Tensor]]:
        """See `VisionLanguageModel.patched_logprob`."""
        if isinstance(self.decoder, EncoderDecoder):
            raise ConfigError("this model's decoder does not hold the picture's tokens, so none can be patched there")
        rows, own = self._rows(features, prompts, answers)
        _, others = self._rows(other, prompts, answers)
        if own is None or others is None or own.lengths != others.lengths:
            raise ConfigError("only the states of pictures with as many tokens can take each other's places")
        return regrouped(self.decoder.patched_logprob(rows, own, others, layers, where), prompts)

    def answer_loss(self, features: Features, prompts: Prompts, answers: Prompts) -> tuple[Tensor, int]:
        """See `VisionLanguageModel.answer_loss`."""
        rows, given = self._rows(features, prompts, answers)
        logits = self.decoder.differentiable_logits(rows, given)
        losses = [-answer_logprob(own, row.answer) for row, own in zip(rows, logits, strict=True)]
        return torch.stack(losses).sum(), sum(len(row.answer) for row in rows)

    def _rows(
        self, features: Features | None, prompts: Prompts, answers: Prompts | None = None
    ) -> tuple[list[Row], Features | None]:
        """A row for each prompt, and E_post of the pictures that they are about."""
        if features is not None and len(features) != len(prompts):
            raise ConfigError(f"{len(features)} pictures but prompts for {len(prompts)}")
        if not all(prompts):
            raise ConfigError("every picture needs at least one prompt")
        if answers is not None and [len(a) for a in answers] != [len(p) for p in prompts]:
            raise ConfigError("every prompt needs one answer")
        flat = [(i, text) for i, group in enumerate(prompts) for text in group]
        pictures: list[int | None] = [None if features is None else i for i, _ in flat]
        if features is not None and features.site != "connector":
            if self.architecture.instructed:
                features = self.connect(features.select([i for i, _ in flat]), [text for _, text in flat])
                pictures = list(range(len(flat)))
            else:
                features = self.connect(features)
        replies = [None] * len(flat) if answers is None else [answer for group in answers for answer in group]
        rows = [
            self._row(features, picture, text, reply)
            for picture, (_, text), reply in zip(pictures, flat, replies, strict=True)
        ]
        return rows, features

    def _row(self, features: Features | None, picture: int | None, text: str, answer: str | None) -> Row:
        context = None
        if features is not None and picture is not None:
            if features.context is None:
                raise ConfigError("these features are not of this model: they have no context")
            context = features.context[picture]
        prompt = self.prompter.prompt(text, context)
        if features is not None and picture is not None:
            given, places = features.lengths[picture], int(prompt.is_picture.sum())
            if given != places:
                raise PromptError(f"picture {picture} has {given} features but {places} places in the prompt")
        return Row(prompt, picture, () if answer is None else self.prompter.answer(text, answer, context))

    def _instruction(self, text: str) -> Tensor:
        ids = self.processor.qformer_tokenizer(text, return_tensors="pt")["input_ids"]
        tokens_that_fit(self.model.config.qformer_config.max_position_embeddings, ids.shape[1], 1)
        return ids.to(self.model.device)

    def _answer(self, row: Generated) -> Answer:
        raw = self.processor.tokenizer.decode(row.ids)  # boxes may be written in special tokens
        text = self.processor.tokenizer.decode(row.ids, skip_special_tokens=True).strip()
        problem = None if row.complete else f"ran into the limit of {len(row.ids)} tokens"
        return Answer(text, raw=raw, logprob=sum(row.logprobs) / len(row.logprobs), problem=problem)


def regrouped(flat: Sequence[T], prompts: Prompts) -> list[list[T]]:
    """One for each prompt, in groups as the prompts are."""
    left = iter(flat)
    return [[next(left) for _ in group] for group in prompts]


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that the checkpoint says close an answer."""
    for source in (model.generation_config, model.config.get_text_config()):
        ends = getattr(source, "eos_token_id", None)
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset() if tokenizer.eos_token_id is None else frozenset([tokenizer.eos_token_id])


def _rgb(picture: Picture, number: int) -> Image.Image:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.asarray(picture))
    if image.mode != "RGB":
        raise ConfigError(f"picture {number} is not RGB: {image.mode}; chiasm.data.images.open_image makes it so")
    return image
