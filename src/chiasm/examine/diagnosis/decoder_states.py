"""The decoder's state from which an answer is begun, as the last site that a readout can be held to."""

from __future__ import annotations

from collections.abc import Callable

import torch

from chiasm.examine.diagnosis.asked import FITTED_ON, Asked
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.question_readout import Lessons, Projection


def decoder_states(
    model: VisionLanguageModel,
    asked: Asked,
    layer: int,
    batch: int,
    projections: dict[str, Projection],
    advance: Callable[[int], None] = lambda n: None,
) -> Lessons:
    """One token for each question, a row of its own: the last state of its prompt after decoder `layer`, projected."""
    site = f"decoder.{layer}"
    template = model.dialect.prompts.get("answer", "{question}")
    states = []
    for chosen, images in asked.batches(batch):
        with torch.inference_mode():
            features = model.connect(model.encode(images))
            prompts = [[template.format(question=q.text) for q in asked.questions[i]] for i in chosen]
            found = model.hidden(features, prompts, [layer])
            states += [state[0, -1].float().cpu() for group in found for state in group]
        advance(len(images))
    tokens = torch.stack(states)
    if site not in projections:
        fitted_on = sum(len(group) for group in asked.questions[:FITTED_ON])
        projections[site] = Projection(tokens[: max(fitted_on, 2 * tokens.shape[1])].clone())
    features = projections[site](Features(tokens.clone(), ((1, 1),) * len(tokens), site))
    questions = [[question.text] for group in asked.questions for question in group]
    return Lessons(features, questions, [[accepted] for group in asked.accepted for accepted in group])
