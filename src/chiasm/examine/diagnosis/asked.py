"""What a model is asked for a diagnosis, and what it makes of it: answers, and features at the sites on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.question_readout import Lessons, Projection
from chiasm.score.answers import normalise
from chiasm.types import Dataset, Example, Question

FITTED_ON = 64
"""Pictures from which a site's projection is fitted."""


class Captures(Protocol):
    """The part of a model, or of an encoder by itself, that features are taken from."""

    def capture(self, images: Sequence[Any], sites: Sequence[str]) -> dict[str, Features]: ...


@dataclass(frozen=True)
class Asked:
    """Pictures with their questions. `accepted[i][q]` are the answers that count, normalised, the commonest first."""

    examples: tuple[Example, ...]
    questions: tuple[tuple[Question, ...], ...]
    accepted: tuple[tuple[tuple[str, ...], ...], ...]

    @staticmethod
    def of(dataset: Dataset, count: int, skip: int = 0) -> Asked:
        """The first `count` pictures after `skip` that have a question with an answer. Raises DataError if there is
        none."""
        examples = [dataset[index] for index in range(skip, min(len(dataset), skip + count))]
        kept = [(e, tuple(q for q in e.questions if any(map(normalise, q.answers)))) for e in examples]
        kept = [(example, questions) for example, questions in kept if questions]
        if not kept:
            raise DataError(f"{dataset.name} has no question with an answer, so there is nothing to diagnose")
        accepted = tuple(tuple(_by_frequency(q.answers) for q in questions) for _, questions in kept)
        return Asked(tuple(e for e, _ in kept), tuple(q for _, q in kept), accepted)

    @property
    def texts(self) -> list[list[str]]:
        return [[question.text for question in group] for group in self.questions]

    def column(self, of: Callable[[int, Question], object]) -> np.ndarray:
        """`of(picture, question)` for every question, in order: (questions,)."""
        return np.array([of(i, q) for i, group in enumerate(self.questions) for q in group], dtype=object)

    def batches(self, size: int) -> Iterator[tuple[range, list[Image.Image]]]:
        """Nearly equal batches of opened pictures, none of one picture alone if there are several."""
        parts = np.array_split(np.arange(len(self.examples)), max(1, len(self.examples) // size))
        for part in parts:
            chosen = range(int(part[0]), int(part[-1]) + 1)
            yield chosen, [open_image(self.examples[i].image, name=self.examples[i].id) for i in chosen]


@dataclass(frozen=True)
class Said:
    """A model's answers, flat over all questions: texts, whether they are right with the own and with another picture,
    and the log-probability of the right answer in both cases."""

    text: list[str]
    right: np.ndarray
    blind: np.ndarray
    logprob: np.ndarray
    logprob_blind: np.ndarray


def ask(
    model: VisionLanguageModel, asked: Asked, batch: int, limit: int, advance: Callable[[int], None] = lambda n: None
) -> Said:
    """Every question about its picture, and about another picture of the batch: what is right then was not seen."""
    template = model.dialect.prompts.get("answer", "{question}")
    text: list[str] = []
    columns: list[list[float]] = [[], [], [], []]
    for chosen, images in asked.batches(batch):
        with torch.inference_mode():
            features = model.connect(model.encode(images))
            other = features.select([*range(1, len(images)), 0])
            prompts = [[template.format(question=q.text) for q in asked.questions[i]] for i in chosen]
            accepted = [asked.accepted[i] for i in chosen]
            truths = [[answers[0] for answers in group] for group in accepted]
            said = model.generate(features, prompts, limit=limit)
            text += [answer.text for group in said for answer in group]
            columns[0] += _right(said, accepted)
            columns[1] += _right(model.generate(other, prompts, limit=limit), accepted)
            columns[2] += [value for group in model.logprob(features, prompts, truths) for value in group]
            columns[3] += [value for group in model.logprob(other, prompts, truths) for value in group]
        advance(len(images))
    return Said(text, *map(np.array, columns))


def look(
    model: Captures,
    asked: Asked,
    sites: Sequence[str],
    batch: int,
    projections: dict[str, Projection],
    advance: Callable[[int], None] = lambda n: None,
) -> dict[str, Lessons]:
    """Features of every picture at the sites, projected; a projection that `projections` lacks is fitted on the first
    pictures and put there."""
    found: dict[str, list[Features]] = {site: [] for site in sites}
    waiting: list[dict[str, Features]] = []
    seen = 0
    for chosen, images in asked.batches(batch):
        captured = model.capture(images, list(sites))
        waiting.append({site: _detached(features) for site, features in captured.items()})
        seen += len(images)
        if seen >= min(FITTED_ON, len(asked.examples)):
            for site in sites:
                if site not in projections:
                    projections[site] = Projection(torch.cat([part[site].tokens for part in waiting]))
                found[site] += [projections[site](part[site]) for part in waiting]
            waiting = []
        advance(len(chosen))
    return {site: Lessons(_joined(parts, site), asked.texts, asked.accepted) for site, parts in found.items()}


def swapped(lessons: Lessons) -> Lessons:
    """The same questions with another picture's features."""
    count = len(lessons.questions)
    return Lessons(lessons.features.select([*range(1, count), 0]), lessons.questions, lessons.answers)


def _right(said: Sequence[Sequence[object]], accepted: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    return [
        float(normalise(answer.text) in truths)  # type: ignore[attr-defined]
        for answers, group in zip(said, accepted, strict=True)
        for answer, truths in zip(answers, group, strict=True)
    ]


def _by_frequency(answers: Sequence[str]) -> tuple[str, ...]:
    said = [text for text in map(normalise, answers) if text]
    return tuple(sorted(dict.fromkeys(said), key=said.count, reverse=True))


def _detached(features: Features) -> Features:
    return Features(features.tokens.detach().float().cpu(), features.grids, features.site)


def _joined(parts: Sequence[Features], site: str) -> Features:
    return Features(torch.cat([p.tokens for p in parts]), tuple(grid for p in parts for grid in p.grids), site)
