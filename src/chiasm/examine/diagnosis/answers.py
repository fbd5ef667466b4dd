"""What a model answers with its picture and with another one, or what it answered in an examined run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from chiasm.examine.diagnosis.examined import Examined
from chiasm.examine.errors import judge_answer
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.use import turned
from chiasm.types import Answer, Question

T = TypeVar("T")


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
    model: VisionLanguageModel,
    asked: Asked,
    batch: int,
    examined: Examined | None = None,
    advance: Callable[[int], None] = lambda pictures: None,
) -> Said:
    """Every question about its picture, unless `examined` has the answers already, and about another picture of the
    batch: what is right then was not seen. Right is what `chiasm examine` counts as right."""
    text: list[str] = []
    right: list[bool] = []
    blind: list[bool] = []
    logprob: list[float] = []
    logprob_blind: list[float] = []
    for chosen, images in asked.batches(batch):
        with torch.inference_mode():
            features = model.connect(model.encode(images))
            other = turned(features, 1)
            prompts, truths = asked.prompts(model.dialect, chosen), asked.truths(chosen)
            questions = [question for i in chosen for question in asked.questions[i]]
            if examined is None:
                said = _flat(model.generate(features, prompts))
                text += [answer.text for answer in said]
                right += _right(said, questions)
            blind += _right(_flat(model.generate(other, prompts)), questions)
            logprob += _flat(model.logprob(features, prompts, truths))
            logprob_blind += _flat(model.logprob(other, prompts, truths))
        advance(len(images))
    if examined is not None:
        text, right = list(examined.text), list(examined.right)
    return Said(text, *(np.array(column, dtype=np.float64) for column in (right, blind, logprob, logprob_blind)))


def _right(said: Sequence[Answer], questions: Sequence[Question]) -> list[bool]:
    judged = [judge_answer(answer, question) for answer, question in zip(said, questions, strict=True)]
    return [judgement.right is True for judgement in judged]


def _flat(groups: Sequence[Sequence[T]]) -> list[T]:
    return [one for group in groups for one in group]
