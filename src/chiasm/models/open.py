"""A model by a short text, as given on the command line."""

from __future__ import annotations

from pathlib import Path

from chiasm.models import checkpoint
from chiasm.models.protocol import VisionLanguageModel


def open_model(name: str) -> VisionLanguageModel:
    """ "chiasm-tiny", a model folder (ours, or one of Hugging Face transformers), or a name of the Hugging Face hub.

    Raises CheckpointError for what is none of these or is damaged.
    """
    if is_published(name):
        from chiasm.models.adapters.transformers.vlm import open_vlm

        return open_vlm(name)
    return checkpoint.load(checkpoint.find(name))[0]


def is_published(name: str) -> bool:
    """Whether `name` is of transformers' hub or a folder in its format: their config.json names a model_type. Adapters
    and GGUF files count too, so that the adapter can say what to do about them."""
    folder = Path(name)
    if not folder.is_dir():
        return name.count("/") == 1 and not name.startswith((".", "/", "~"))
    config = folder / "config.json"
    if not config.is_file():
        return (folder / "adapter_config.json").is_file() or any(folder.glob("*.gguf"))
    return "model_type" in checkpoint.read_json(config)
