"""Controls: the same questions with the picture taken away. What a model still gets right, it did not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from chiasm.data.images import open_image
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.types import Dataset, Example

PICTURES = ("intact", "blank", "shuffled")


class Controlled:
    """A dataset with every picture `blank` (even grey, of the same size) or `shuffled` (that of another example, with
    the truth left as it was)."""

    def __init__(self, dataset: Dataset, pictures: str):
        self.dataset, self.pictures = dataset, pictures
        self.name = f"{dataset.name} ({pictures} pictures)"
        self.object_names, self.scene_names = dataset.object_names, dataset.scene_names
        # One long cycle in random order: nobody keeps their own picture.
        order = np.random.default_rng(0).permutation(len(dataset))
        self._other = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> Example:
        example = self.dataset[index]
        if self.pictures == "shuffled":
            return replace(example, image=self.dataset[self._other[index]].image)
        size = open_image(example.image, name=example.id).size
        return replace(example, image=np.asarray(Image.new("RGB", size, (127, 127, 127))))

    def fingerprint(self) -> str:
        return f"{self.dataset.fingerprint()}/{self.pictures}"


def with_pictures(dataset: Dataset, pictures: str) -> Dataset:
    """`dataset` itself for "intact", else under that control. A shuffle needs at least two examples."""
    if pictures not in PICTURES:
        raise ConfigError(f"unknown pictures {pictures!r}{did_you_mean(pictures, PICTURES)}")
    if pictures == "shuffled" and len(dataset) < 2:
        raise ConfigError(f"{dataset.name} has one picture, so there is no other to swap it with")
    return dataset if pictures == "intact" else Controlled(dataset, pictures)
