"""A model behind an OpenAI-compatible server as a pipeline."""

from __future__ import annotations

from chiasm.models.adapters.openai import open_chat_model
from chiasm.tasks.see import Pipeline


def chat_pipeline(spec: str) -> Pipeline:
    """The pipeline of ``openai:URL#MODEL?option=value`` (see `open_chat_model`): it captions and answers, and finds
    things where the option `boxes` says how it writes boxes."""
    model = open_chat_model(spec)
    return Pipeline(
        language=model,
        detector=model if model.boxes else None,
        name=model.model,
        description=model.describe(),
    )
