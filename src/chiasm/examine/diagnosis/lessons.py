"""Features at a model's sites, cut to one width, beside the questions: what readouts learn from and are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.question_readout import Lessons, Projection
from chiasm.probe.use import turned

FITTED_ON = 64
"""Pictures from which a site's projection is fitted."""


class Captures(Protocol):
    """The part of a model, or of an encoder by itself, that features are taken from."""

    def capture(self, images: Sequence[Any], sites: Sequence[str]) -> dict[str, Features]: ...


def look(
    model: Captures,
    asked: Asked,
    sites: Sequence[str],
    batch: int,
    projections: dict[str, Projection],
    advance: Callable[[int], None] = lambda pictures: None,
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


def decoder_states(
    model: VisionLanguageModel,
    asked: Asked,
    layer: int,
    batch: int,
    projections: dict[str, Projection],
    advance: Callable[[int], None] = lambda pictures: None,
) -> Lessons:
    """One token for each question, a row of its own: the last state of its prompt after decoder `layer`, from which the
    answer is begun, projected."""
    site = f"decoder.{layer}"
    states = []
    for chosen, images in asked.batches(batch):
        with torch.inference_mode():
            features = model.connect(model.encode(images))
            found = model.hidden(features, asked.prompts(model.dialect, chosen), [layer])
            states += [state[0, -1].float().cpu() for group in found for state in group]
        advance(len(images))
    tokens = torch.stack(states)
    if site not in projections:
        fitted_on = sum(len(group) for group in asked.questions[:FITTED_ON])
        projections[site] = Projection(tokens[: max(fitted_on, 2 * tokens.shape[1])].clone())
    features = projections[site](Features(tokens.clone(), ((1, 1),) * len(tokens), site))
    questions = [[question.text] for group in asked.questions for question in group]
    return Lessons(features, questions, [[accepted] for group in asked.accepted for accepted in group])


def swapped(lessons: Lessons) -> Lessons:
    """The same questions with another picture's features."""
    return Lessons(turned(lessons.features, 1), lessons.questions, lessons.answers)


def part_of(lessons: Lessons, rows: list[int]) -> Lessons:
    return Lessons(
        lessons.features.select(rows), [lessons.questions[i] for i in rows], [lessons.answers[i] for i in rows]
    )


def _detached(features: Features) -> Features:
    return Features(features.tokens.detach().float().cpu(), features.grids, features.site)


def _joined(parts: Sequence[Features], site: str) -> Features:
    return Features(torch.cat([p.tokens for p in parts]), tuple(grid for p in parts for grid in p.grids), site)
