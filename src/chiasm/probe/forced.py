"""What changed features do to text that is forced on a model (teacher forcing)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel

Texts = Sequence[Sequence[str]]


class Forced(NamedTuple):
    """Of each picture's answers: the log-probability, and the logits (tokens, vocabulary) that its tokens are chosen
    from."""

    logprobs: list[list[float]]
    logits: list[list[Tensor]]


class Change(NamedTuple):
    """Of one answer, in nats over all its tokens and the closing one, `tokens` in all.

    logprob_drop  by which it is less likely
    kl            divergence of the next token's distribution after the change from that before
    """

    logprob_drop: float
    kl: float
    tokens: int


def forced(model: VisionLanguageModel, features: Features, prompts: Texts, answers: Texts) -> Forced:
    return Forced(model.logprob(features, prompts, answers), model.logits(features, prompts, answers))


def changes(before: Forced, after: Forced) -> list[list[Change]]:
    """Of the same answers."""
    return [
        [
            Change(likely - now, divergence(here, there), len(here))
            for likely, now, here, there in zip(*of_picture, strict=True)
        ]
        for of_picture in zip(before.logprobs, after.logprobs, before.logits, after.logits, strict=True)
    ]


def divergence(before: Tensor, after: Tensor) -> float:
    """Sum over tokens of KL(softmax before || softmax after), in nats, of logits (tokens, vocabulary)."""
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    # A word that is masked out in both has p = 0 and no part in the sum.
    return float(torch.where(p.isinf(), 0, p.exp() * (p - q)).sum())
