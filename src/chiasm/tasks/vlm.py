"""One vision-language model in all three roles of the pipeline."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import torch
from PIL import Image

from chiasm.data.box_text import LocCodec
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, ParseError
from chiasm.models import checkpoint
from chiasm.models.familiarity import Familiarity, pooled
from chiasm.models.features import Features
from chiasm.models.generation.constraints import Boxes, Choices
from chiasm.models.generation.engine import Generated
from chiasm.models.open import is_published
from chiasm.models.vlm import VLM
from chiasm.tasks.chat import chat_pipeline
from chiasm.tasks.majority import majority_pipeline
from chiasm.tasks.published import published_pipeline
from chiasm.tasks.see import Pipeline
from chiasm.types import Answer, Detection, Object

ANSWER_LIMIT, CAPTION_LIMIT, BOX_LIMIT = 32, 64, 160


class Seer:
    """Fills every role with `model`, each as far as its dialect goes. Pictures are encoded once, however many roles
    look at them."""

    def __init__(self, model: VLM, familiarity: Familiarity | None = None):
        self.model, self.familiarity = model, familiarity
        self._codec = LocCodec(len(locations)) if (locations := model.tokenizer.locations()) else None
        self._last: tuple[tuple[int, ...], Sequence[Image.Image], Features, Features] | None = None

    @torch.inference_mode()
    def features(self, images: Sequence[Image.Image]) -> tuple[Features, Features]:
        """(E_pre, E_post) of the pictures; those of the last pictures asked for are kept."""
        key = tuple(map(id, images))
        if self._last is None or self._last[0] != key:
            before = self.model.encode(images)
            # The pictures are kept too: an id is only unique while its object lives.
            self._last = key, images, before, self.model.connect(before)
        return self._last[2], self._last[3]

    def classify(self, images: Sequence[Image.Image]) -> list[Answer]:
        """The likeliest of the model's scenes; `logprob` is of the name among all of them."""
        choices = Choices(self.model.tokenizer, self.model.dialect.scenes)
        prompts = [[self._prompt("scene")]] * len(images)
        answers = self.model.generate(self.features(images)[1], prompts, constraints=choices, limit=ANSWER_LIMIT)
        return [Answer(a.text, a.raw, "closed list of scenes", a.logprob, a.problem) for (a,) in answers]

    def caption(self, images: Sequence[Image.Image]) -> list[Answer] | None:
        """See `Language`; None for a model that was not trained to caption."""
        if "caption" not in self.model.dialect.prompts:
            return None
        prompts = [[self._prompt("caption")]] * len(images)
        return [a for (a,) in self.model.generate(self.features(images)[1], prompts, limit=CAPTION_LIMIT)]

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        """See `Language`."""
        features = self.features(images)[1]
        asked = [i for i, q in enumerate(questions) if q]
        if not asked:
            return [[] for _ in questions]
        answers = iter(
            self.model.generate(features.select(asked), [list(questions[i]) for i in asked], limit=ANSWER_LIMIT)
        )
        return [next(answers) if q else [] for q in questions]

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """Every object of the model's closed list, each with the probability of its name as score."""
        names = self.model.dialect.objects
        found = self._boxes(images, [[self._prompt("detect")]] * len(images), names)
        return [d for (d,) in found]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Boxes of each phrase, scored by the mean probability of their edges."""
        template = self._prompt("ground")
        found = self._boxes(images, [[template.format(phrase=p) for p in group] for group in phrases], ())
        return [
            [
                Detection(tuple(Object(p, o.box, o.score) for o in d.objects), d.raw, d.rule, d.problem)
                for p, d in zip(group, detections, strict=True)
            ]
            for group, detections in zip(phrases, found, strict=True)
        ]

    def warn(self, images: Sequence[Image.Image]) -> list[str | None]:
        """A notice for each picture that is unlike those of training."""
        if self.familiarity is None:
            return [None] * len(images)
        limit = self.familiarity.threshold
        return [
            f"unlike the pictures this model was trained on (distance {d:.1f}, familiar up to {limit:.1f}): "
            "what it says here is not to be trusted"
            if d > limit
            else None
            for d in self.familiarity.distance(pooled(self.features(images)[0])).tolist()
        ]

    def _prompt(self, task: str) -> str:
        if task not in self.model.dialect.prompts:
            raise ConfigError(f"this model has not learned {task!r}; it knows {sorted(self.model.dialect.prompts)}")
        return self.model.dialect.prompts[task]

    def _boxes(
        self, images: Sequence[Image.Image], prompts: Sequence[Sequence[str]], names: Sequence[str]
    ) -> list[list[Detection]]:
        features = self.features(images)[1]
        asked = [i for i, group in enumerate(prompts) if group]
        if not asked:
            return [[] for _ in prompts]
        selected = features.select(asked)
        documents = self.model.documents(selected, [prompts[i] for i in asked])
        grammar = Boxes(self.model.tokenizer, names)
        rows = iter(self.model.engine.generate(documents, selected, BOX_LIMIT, constraints=grammar))
        return [
            [self._detection(next(rows), image.size, bool(names)) for _ in group]
            for image, group in zip(images, prompts, strict=True)
        ]

    def _detection(self, row: Generated, size: tuple[int, int], named: bool) -> Detection:
        text = self.model.tokenizer.decode(row.ids)
        rule = "location tokens"
        if not row.complete:
            return Detection((), text, rule, f"ran into the limit of {BOX_LIMIT} tokens")
        assert self._codec is not None
        try:
            items = self._codec.parse(text, size)
        except ParseError as error:
            return Detection((), text, rule, str(error))
        scores = self._scores(row, named)
        return Detection(
            tuple(Object(name or "", box, score) for (name, box), score in zip(items, scores, strict=True)), text, rule
        )

    def _scores(self, row: Generated, named: bool) -> list[float]:
        """One number in [0, 1] a box: the probability of its name, or the mean one of its edges."""
        locations = set(self.model.tokenizer.locations())
        scores = []
        name: list[float] = []
        edges: list[float] = []
        for token, logprob in zip(row.ids, row.logprobs, strict=False):
            (edges if token in locations else name).append(logprob)
            if len(edges) == 4:
                scores.append(math.exp(sum(name)) if named else math.exp(sum(edges) / 4))
                name, edges = [], []
        return scores


def open_pipeline(name: str) -> Pipeline:
    """The pipeline of a model, with each role that it has learned: "chiasm-tiny", a model folder (ours, or one of
    Hugging Face transformers), a name of the Hugging Face hub, or "openai:URL#MODEL" for a model behind a server.

    "majority:DATASET" is the baseline that gives the commonest answer of a dataset.
    """
    kind, _, rest = name.partition(":")
    if kind == "majority":
        return majority_pipeline(open_dataset(rest))
    if kind == "openai":
        return chat_pipeline(name)
    if is_published(name):
        return published_pipeline(name)
    folder = checkpoint.find(name)
    model, config = checkpoint.load(folder)
    seer = Seer(model, Familiarity.load(folder))
    prompts = model.dialect.prompts
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return Pipeline(
        scene=seer if "scene" in prompts else None,
        language=seer,
        detector=seer if "detect" in prompts else None,
        name=folder.name if name != "chiasm-tiny" else name,
        warn=seer.warn,
        description={"weights": weights, "config": json.loads(json.dumps(config)), "decoding": "greedy"},
        model=model,
    )
