"""Pictures and prompts through a processor of the library, each picture once however many prompts are about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chiasm.errors import ImageError, PromptError
from chiasm.models.adapters.transformers.architectures import Architecture
from chiasm.models.adapters.transformers.connection import Context
from chiasm.models.adapters.transformers.pictures import limit_aspect_ratio
from chiasm.models.adapters.transformers.vision import Seen
from chiasm.models.features import Grid

_ANY_PICTURE = Image.new("RGB", (32, 32))
"""Stands for a picture that the processor has seen before."""


@dataclass(frozen=True)
class Prompt:
    """A prompt in tokens, all (length,).

    is_picture marks the places of the picture's tokens, types the tokens of several kinds where the model asks for
    that.
    """

    ids: Tensor
    is_picture: Tensor
    types: Tensor | None = None


class Prompter:
    """Calls the processor of a model. `answers_alone`: an answer does not stand behind its prompt but in a decoder of
    its own.

    `ends` are the tokens that close an answer: those that the checkpoint names, and the one that its chat template
    writes after an answer. Checkpoints that were tuned on and saved again often lack the latter.
    """

    def __init__(
        self, processor: Any, architecture: Architecture, config: Any, ends: frozenset[int], answers_alone: bool
    ):
        self.processor, self.architecture, self.config = processor, architecture, config
        self.answers_alone = answers_alone
        template = getattr(processor, "chat_template", None)
        self.chats = bool(template)
        # Answers are asked for, not what a model thinks before it gives one.
        self._template_settings = {"enable_thinking": False} if "enable_thinking" in str(template) else {}
        after_answer = self._after_answer()
        special = processor.tokenizer.added_tokens_decoder
        self.ends = ends.union(token for token in after_answer[:1] if token in special and special[token].special)
        usual = processor.tokenizer.eos_token_id
        fallback = usual if usual in self.ends or not self.ends else min(self.ends)
        self.closing = next((token for token in after_answer if token in self.ends), fallback)

    def picture(self, image: Image.Image, device: torch.device, dtype: torch.dtype) -> Seen:
        """The encoder's inputs for an RGB picture, and the context that prompts about it need. Raises ImageError for a
        picture that the processor refuses, such as a single pixel that would be cut into tiles."""
        recording = _RecordingImageProcessor(self.processor.image_processor)
        try:
            with self._image_processor(recording):
                output = self._call(self.architecture.prompts["caption"], limit_aspect_ratio(image))
        except (ValueError, ArithmeticError) as error:
            size = f"{image.width}x{image.height}"
            raise ImageError(f"the model's processor can't take a picture of {size} pixels: {error}") from error
        inputs = {}
        for name in self.architecture.inputs:
            if name in output:
                values = output[name]
                inputs[name] = values.to(device, dtype) if values.is_floating_point() else values.to(device)
        return inputs, Context(recording.outputs, self._grid(inputs))

    def prompt(self, text: str, context: Context | None) -> Prompt:
        """A prompt about the picture of `context`, or about none."""
        output = self._processed(text, context)
        ids = output["input_ids"][0]
        if "image_embeds_position_mask" in output:
            is_picture = output["image_embeds_position_mask"][0].bool()
        else:
            is_picture = ids == self.picture_id
        types = output["token_type_ids"][0] if "token_type_ids" in output else None
        return Prompt(ids, is_picture, types)

    def answer(self, text: str, answer: str, context: Context | None) -> list[int]:
        """Token ids of an answer after the prompt `text`, closing token included."""
        if not self.answers_alone:
            prompt = self._ids(self._processed(text, context))
            together = self._ids(self._processed(text, context, answer))
            # Words are cut into tokens differently after a space, so the answer is taken where it stands; by itself
            # where the library renders an answered prompt in another way than one that waits for its answer.
            if together[: len(prompt)] == prompt and len(together) > len(prompt):
                return [*together[len(prompt) :], self.closing]
        return [*self.processor.tokenizer(answer, add_special_tokens=False)["input_ids"], self.closing]

    @cached_property
    def picture_id(self) -> int:
        """The token id that stands for a picture's features; -1 where there is none."""
        for source in (self.config, self.processor):
            for name in ("image_token_id", "image_token_index"):
                if isinstance(found := getattr(source, name, None), int):
                    return found
        return -1

    def _after_answer(self) -> list[int]:
        """What the chat template writes after an answer."""
        if not self.chats:
            return []
        open_end = self._ids(self._call("a", None, "b"))
        return self._ids(self._call("a", None, "b", closed=True))[len(open_end) :]

    @staticmethod
    def _ids(output: Any) -> list[int]:
        return output["input_ids"][0].tolist()

    def _processed(self, text: str, context: Context | None, answer: str | None = None) -> Any:
        try:
            if context is None:
                return self._call(text, None, answer)
            with self._image_processor(_ReplayingImageProcessor(self.processor.image_processor, context.inputs)):
                return self._call(text, _ANY_PICTURE, answer)
        except (ValueError, StopIteration) as error:  # a mark that stands for a picture, written into a question
            raise PromptError(f"the model's processor refuses the prompt {text[:80]!r}: {error}") from error

    def _call(self, text: str, image: Image.Image | None, answer: str | None = None, closed: bool = False) -> Any:
        if self.chats:
            content: list[dict[str, Any]] = [{"type": "text", "text": text}]
            if image is not None:
                content.insert(0, {"type": "image", "image": image})
            messages = [{"role": "user", "content": content}]
            if answer is not None:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
            return self.processor.apply_chat_template(
                messages,
                add_generation_prompt=answer is None,
                continue_final_message=answer is not None and not closed,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **self._template_settings,
            )
        form, text_only_form = self.architecture.prompt_form, self.architecture.text_only_form
        after = "" if answer is None else f" {answer}"
        if image is not None:
            return self.processor(text=form.replace("{prompt}", text) + after, images=image, return_tensors="pt")
        if text_only_form is not None:
            return self.processor.tokenizer(text_only_form.replace("{prompt}", text) + after, return_tensors="pt")
        return self.processor(text=form.replace("<image>", "").replace("{prompt}", text) + after, return_tensors="pt")

    def _grid(self, inputs: dict[str, Tensor]) -> Grid | None:
        """Rows and columns of patches of a picture that is not cut into tiles."""
        if "image_grid_thw" in inputs:
            _, rows, columns = inputs["image_grid_thw"][0].tolist()
            return rows, columns
        pixels = inputs["pixel_values"]
        patch = getattr(getattr(self.config, "vision_config", None), "patch_size", None)
        patch = patch[0] if isinstance(patch, list | tuple) else patch
        if pixels.shape[:-3].numel() != 1 or patch is None:
            return None
        return pixels.shape[-2] // patch, pixels.shape[-1] // patch

    @contextmanager
    def _image_processor(self, other: _RecordingImageProcessor | _ReplayingImageProcessor) -> Iterator[None]:
        real = self.processor.image_processor
        self.processor.image_processor = other
        try:
            yield
        finally:
            self.processor.image_processor = real


class _RecordingImageProcessor:
    """Calls an image processor and keeps what it returned, pixels replaced by empty arrays of their shape."""

    def __init__(self, real: Any):
        self.real = real
        self.outputs: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.real(*args, **kwargs)
        self.outputs = {k: _hollow(v) if k.startswith("pixel") else v for k, v in output.items()}
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _ReplayingImageProcessor:
    """Returns what an image processor returned before. A processor asks its image processor how many tokens a picture
    takes; with this one the pixels are computed once a picture, not once a prompt."""

    def __init__(self, real: Any, outputs: dict[str, Any]):
        self.real, self.outputs = real, outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from transformers import BatchFeature

        return BatchFeature(dict(self.outputs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _hollow(pixels: Any) -> Any:
    """An array of the same type and shape that takes no memory."""
    if isinstance(pixels, Tensor):
        return torch.zeros((), dtype=pixels.dtype).expand(pixels.shape)
    if isinstance(pixels, np.ndarray):
        return np.broadcast_to(np.zeros((), pixels.dtype), pixels.shape)
    return [_hollow(part) for part in pixels]
