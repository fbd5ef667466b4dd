"""A model behind an OpenAI-compatible chat endpoint (vLLM, SGLang, a hosted one) in the pipeline's roles.

It answers and captions; where it writes boxes in a dialect that `chiasm.data.box_text` reads, it finds things too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from PIL import Image

from chiasm.data.box_text import codec
from chiasm.data.chat.cache import CachedEndpoint
from chiasm.data.chat.endpoint import Ask, Endpoint, Reply, in_parallel, jpeg, user_message
from chiasm.data.open import parse_options
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.types import Answer, Box, Detection, Object

PROMPTS = {
    "caption": "Describe this picture in one sentence.",
    "answer": "{question}\nAnswer with one word or a short phrase.",
    "detect": "Find every object in this picture of {width} x {height} pixels. {how}",
    "ground": "Find every instance of this in this picture of {width} x {height} pixels: {phrase}. {how}",
}
HOW_TO_WRITE_BOXES = (
    "Write nothing but the boxes, the way these two made-up ones are written: {example} "
    "If there is nothing to find, write exactly this: {nothing}"
)
NOTHING = "nothing"
_OPTIONS = {"boxes": str, "cache": str, "concurrency": int, "timeout": int, "tries": int}
_DECODING = {"temperature": 0, "seed": 0}
_ANSWER_LIMIT, _BOX_LIMIT = 256, 2048


class ChatModel:
    """Language role of the pipeline, and detector if `boxes` names the dialect in which the model writes boxes.

    `ask` is an `Endpoint` or, so that no question is paid for twice, a `CachedEndpoint` around one; at most
    `concurrency` requests are under way at once. Decoding is greedy. Pictures travel as JPEG of the highest quality.
    A reply that refuses, ran into its limit, or whose boxes can't be read, comes back with a `problem`.
    Raises ConfigError for an unknown dialect, and EndpointError as `ask` does.
    """

    def __init__(self, ask: Ask, model: str, boxes: str | None = None, concurrency: int = 4):
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, got {concurrency}")
        if boxes is not None:
            codec(boxes, (1, 1))
        self.ask, self.model, self.boxes, self.concurrency = ask, model, boxes, concurrency

    def describe(self) -> dict[str, Any]:
        """What the replies depend on, for run folders."""
        limits = {"answer": _ANSWER_LIMIT, "boxes": _BOX_LIMIT}
        return {"model": self.model, "boxes": self.boxes, "prompts": PROMPTS, "decoding": _DECODING, "limits": limits}

    def caption(self, images: Sequence[Image.Image]) -> list[Answer]:
        """See `Language`."""
        return [_answer(reply) for (reply,) in self._replies(images, [[PROMPTS["caption"]]] * len(images))]

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        """See `Language`."""
        prompts = [[PROMPTS["answer"].format(question=q) for q in group] for group in questions]
        return [[_answer(reply) for reply in group] for group in self._replies(images, prompts)]

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """Every object under the name the model gives it, "" where it gives none; boxes have no score."""
        prompts = [[self._box_prompt("detect", image.size)] for image in images]
        replies = self._replies(images, prompts, _BOX_LIMIT)
        return [self._detection(reply, image.size) for image, (reply,) in zip(images, replies, strict=True)]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `Detector`."""
        prompts = [
            [self._box_prompt("ground", image.size, phrase) for phrase in group]
            for image, group in zip(images, phrases, strict=True)
        ]
        return [
            [self._detection(reply, image.size, phrase) for phrase, reply in zip(group, replies, strict=True)]
            for image, group, replies in zip(images, phrases, self._replies(images, prompts, _BOX_LIMIT), strict=True)
        ]

    def _replies(
        self, images: Sequence[Image.Image], prompts: Sequence[Sequence[str]], limit: int = _ANSWER_LIMIT
    ) -> list[list[Reply]]:
        """One reply for each of `prompts[i]` about `images[i]`."""
        questions = [(image, prompt) for image, group in zip(images, prompts, strict=True) for prompt in group]

        def ask(question: tuple[Image.Image, str]) -> Reply:
            # The picture is written when its turn comes, so that few are in memory at once.
            message = user_message(question[1], [jpeg(question[0])])
            return self.ask({"model": self.model, "messages": [message], "max_tokens": limit, **_DECODING})

        replies = iter(in_parallel(ask, questions, self.concurrency))
        return [[next(replies) for _ in group] for group in prompts]

    def _box_prompt(self, task: str, size: tuple[int, int], phrase: str = "") -> str:
        if self.boxes is None:
            raise ConfigError(
                f"{self.model} can't find things until it is known how it writes boxes; "
                "add ?boxes=DIALECT to its name, for example ?boxes=qwen2.5-vl"
            )
        width, height = size
        dialect = codec(self.boxes, size)
        left, right = Box(0, 0, width / 2, height), Box(width / 2, 0, width, height)
        try:
            example = dialect.encode([("thing 1", left), ("thing 2", right)], size)
        except DataError:  # a dialect without labels
            example = dialect.encode([(None, left), (None, right)], size)
        how = HOW_TO_WRITE_BOXES.format(example=example, nothing=dialect.encode([], size) or NOTHING)
        return PROMPTS[task].format(width=width, height=height, phrase=phrase, how=how)

    def _detection(self, reply: Reply, size: tuple[int, int], phrase: str | None = None) -> Detection:
        assert self.boxes is not None
        if problem := _problem(reply, _BOX_LIMIT):
            return Detection((), reply.text, self.boxes, problem)
        dialect = codec(self.boxes, size)
        # A chat model can't be silent, which is how some dialects say that there is nothing.
        silent = reply.text.strip().lower() == NOTHING and not dialect.encode([], size)
        try:
            items = dialect.parse("" if silent else reply.text, size)
        except ParseError as error:
            return Detection((), reply.text, self.boxes, str(error))
        objects = tuple(Object(label or "" if phrase is None else phrase, box) for label, box in items)
        return Detection(objects, reply.text, self.boxes)


def open_chat_model(spec: str) -> ChatModel:
    """The model that ``openai:URL#MODEL?option=value`` names, for example
    ``openai:http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct?boxes=qwen2.5-vl&cache=replies.jsonl``.

    Options: `boxes` (a dialect of `chiasm.data.box_text`), `cache` (a file of replies), `concurrency` (4), `timeout`
    (60, seconds a try) and `tries` (5). A key is taken from the environment variable OPENAI_API_KEY, if there is one.
    Raises ConfigError for a spec without a web address or model, and for unknown options.
    """
    url, _, rest = spec.removeprefix("openai:").partition("#")
    model, _, query = rest.partition("?")
    if not url or not model:
        raise ConfigError(f"{spec}: expected openai:URL#MODEL, for example openai:http://localhost:8000/v1#my-model")
    options = parse_options(spec, query, _OPTIONS)
    limits = {"timeout_s": float(options.get("timeout", 60)), "tries": options.get("tries", 5)}
    if min(limits.values()) < 1:
        raise ConfigError(f"{spec}: timeout and tries must be at least 1")
    ask: Ask = Endpoint(url, os.environ.get("OPENAI_API_KEY"), **limits)
    if "cache" in options:
        ask = CachedEndpoint(ask, options["cache"])
    return ChatModel(ask, model, options.get("boxes"), options.get("concurrency", 4))


def _answer(reply: Reply) -> Answer:
    return Answer(reply.text.strip(), reply.text, problem=_problem(reply, _ANSWER_LIMIT))


def _problem(reply: Reply, limit: int) -> str | None:
    return reply.problem if reply.complete else f"ran into the limit of {limit} tokens"
