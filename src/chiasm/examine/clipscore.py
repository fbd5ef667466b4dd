"""CLIPScore of captions by a model of the user's own: pictures and captions in, a score out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chiasm.data.images import open_image
from chiasm.data.picture_ids import pictures_by_id
from chiasm.data.records import paired
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.encoders import DualEncoder, open_encoder
from chiasm.score.captioning.clipscore import score_clipscore
from chiasm.score.captioning.formats import read_candidates, read_references
from chiasm.score.result import Score

PREFIX = "A photo depicts "
"""What the published numbers put before every caption (Hessel et al. 2021, arXiv:2104.08718, section 3)."""

BATCH = 32


def clipscore_by_model(
    model: Path | str, images: Path | str, captions: Path | str, references: Path | str | None = None
) -> Score:
    """`score_clipscore` with the embeddings of a local transformers checkpoint of two encoders, such as CLIP.

    `images` is a folder, `captions` and `references` are files of any format of `captioning.formats`; an id is a
    picture's as `pictures_by_id` says. The published numbers are of ViT-B/32. Raises ConfigError for a model without a
    text side, CheckpointError for one that can't be loaded, DataError for ids that do not fit.
    """
    said = read_candidates(captions)
    people = None if references is None else read_references(references)
    if people is not None:
        paired(list(people), list(said), references or "", captions)
    pictures = pictures_by_id(images, said)
    encoder = open_encoder(str(model))
    if not isinstance(encoder, DualEncoder):
        raise ConfigError(f"{model} sees pictures but reads no text; CLIPScore needs a model such as CLIP")
    names = list(said)
    seen = [
        encoder.embed_images([open_image(pictures[name], name=name) for name in names[start : start + BATCH]]).numpy()
        for start in range(0, len(names), BATCH)
    ]
    return score_clipscore(
        names,
        np.concatenate(seen),
        _embedded(encoder, list(said.values())),
        None if people is None else [_embedded(encoder, people[name]) for name in names],
        f"{Path(model).resolve().name}, float32, {PREFIX.strip()!r} before every caption",
        list(said.values()),
    )


def _embedded(encoder: DualEncoder, captions: Sequence[str]) -> np.ndarray:
    texts = [PREFIX + caption for caption in captions]
    parts = [encoder.embed_texts(texts[start : start + BATCH]).numpy() for start in range(0, len(texts), BATCH)]
    return np.concatenate(parts)
