"""Features of a dataset's pictures at several sites, held in memory, with what a probe needs to know of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.types import Dataset, Example, as_path

Grouping = Literal["picture", "folder"]
THUMBNAIL = 8
"""Side of the thumbnails that say what a picture looks like from afar."""


@dataclass(frozen=True)
class Captured:
    """n pictures.

    examples   (n,) with their annotations
    clusters   (n,) labels; pictures of one cluster aren't independent and belong on one side of a split
    thumbnails (n, 192) RGB in [0, 1]
    features   site -> Features of the n pictures, fp32 on the CPU
    """

    examples: tuple[Example, ...]
    clusters: tuple[str, ...]
    thumbnails: np.ndarray
    features: Mapping[str, Features]

    @property
    def ids(self) -> list[str]:
        return [example.id for example in self.examples]

    def images(self, which: Sequence[int]) -> list[Image.Image]:
        """The pictures, opened again."""
        return [_opened(self.examples[index]) for index in which]


def capture_dataset(
    model: VisionLanguageModel,
    dataset: Dataset,
    sites: Sequence[str],
    count: int | None = None,
    *,
    batch: int = 16,
    by: Grouping = "picture",
    advance: Callable[[int], None] = lambda pictures: None,
) -> Captured:
    """The first `count` pictures of a dataset through the vision side of a model.

    `by` "picture" makes a cluster of pictures with the same pixels, "folder" of those from one folder. Raises DataError
    for an empty dataset, for "folder" where pictures aren't files, and for features that are not finite, naming the
    picture.
    """
    number = len(dataset) if count is None else min(count, len(dataset))
    if not number:
        raise DataError(f"{dataset.name} has no pictures")
    examples = tuple(dataset[index] for index in range(number))
    found: dict[str, list[Features]] = {site: [] for site in sites}
    clusters: list[str] = []
    thumbnails = []
    for start in range(0, number, batch):
        some = examples[start : start + batch]
        images = [_opened(example) for example in some]
        for site, features in model.capture(images, sites).items():
            found[site].append(_checked(on_cpu(features), some))
        clusters += [_cluster(*pair, by) for pair in zip(some, images, strict=True)]
        thumbnails += [np.asarray(image.resize((THUMBNAIL, THUMBNAIL))).ravel() / 255 for image in images]
        advance(len(some))
    joint = {site: joined(parts) for site, parts in found.items()}
    return Captured(examples, tuple(clusters), np.stack(thumbnails), joint)


def joined(parts: Sequence[Features]) -> Features:
    """The pictures of all parts, in order."""
    contexts = [part.context for part in parts]
    context = None if any(c is None for c in contexts) else tuple(one for c in contexts for one in c or ())
    grids = tuple(grid for part in parts for grid in part.grids)
    return replace(parts[0], tokens=torch.cat([part.tokens for part in parts]), grids=grids, context=context)


@torch.no_grad()
def connected(model: VisionLanguageModel, e_pre: Features, batch: int = 16) -> Features:
    """E_post of stored E_pre, fp32 on the CPU."""
    parts = torch.arange(len(e_pre)).split(batch)
    return joined([on_cpu(model.connect(e_pre.select(part.tolist()))) for part in parts])


def on_cpu(features: Features) -> Features:
    """Detached, fp32."""
    return replace(features, tokens=features.tokens.detach().float().cpu())


def _opened(example: Example) -> Image.Image:
    return open_image(example.image, name=example.id)


def _cluster(example: Example, image: Image.Image, by: Grouping) -> str:
    if by == "picture":
        return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
    path: Path | None = as_path(example.image)
    if path is None:
        raise DataError(f"picture {example.id} is no file, so it has no folder to be grouped by; group by picture")
    return str(path.parent)


def _checked(features: Features, examples: Sequence[Example]) -> Features:
    if not torch.isfinite(features.tokens).all():
        for example, tokens in zip(examples, features.split(), strict=True):
            if not torch.isfinite(tokens).all():
                raise DataError(f"picture {example.id} has features at {features.site} that are not finite")
    return features
