"""CLIPScore and BERTScore of captions from features, by models of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from chiasm.errors import ConfigError
from chiasm.examine.bertscore import bertscore_by_model
from chiasm.examine.clipscore import BATCH, PREFIX
from chiasm.models.adapters.transformers.encoders import DualEncoder, open_encoder
from chiasm.probe.feature_captions import INTACT
from chiasm.score.captioning.embeddings import clipscore

Arrays = dict[str, np.ndarray]


def clipscores(model: str, images: Sequence[Image.Image], captions: Mapping[str, Sequence[str]]) -> Arrays:
    """For each case the CLIPScore (n,) of its captions of the n images, as `chiasm score clipscore` makes it. Raises
    ConfigError for a model without a text side, CheckpointError for one that can't be loaded."""
    encoder = open_encoder(model)
    if not isinstance(encoder, DualEncoder):
        raise ConfigError(f"{model} sees pictures but reads no text; CLIPScore needs a model such as CLIP")
    parts = [range(start, min(start + BATCH, len(images))) for start in range(0, len(images), BATCH)]
    seen = np.concatenate([encoder.embed_images([images[i] for i in part]).numpy() for part in parts])
    return {
        case: clipscore(
            seen, np.concatenate([encoder.embed_texts([PREFIX + texts[i] for i in part]).numpy() for part in parts])
        )
        for case, texts in captions.items()
    }


def bertscores(model: str, layer: int, files: Mapping[str, Path]) -> Arrays:
    """For each case but the intact one BERTScore's F1 (n,) of its captions, with the intact ones as references; files
    are {id: caption}. Raises as `bertscore_by_model`."""
    scores = {
        case: bertscore_by_model(model, layer, path, files[INTACT]) for case, path in files.items() if case != INTACT
    }
    return {case: np.array([item.statistics.get("f1", 0.0) for item in score.items]) for case, score in scores.items()}
