"""The pictures behind a feature store, for what must be seen again: examples in a report, an untrained connector."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from chiasm.data.images import open_image
from chiasm.data.open import open_dataset
from chiasm.errors import ChiasmError, ConfigError, ImageError
from chiasm.probe.store import FeatureStore
from chiasm.types import Dataset

SIDE = 160
QUALITY = 80


class StorePictures:
    """Opens the pictures of a store by their place in its `ids`: from their files, or drawn again.

    Raises ConfigError where neither is possible (a drawn world with other options, a file that is gone).
    """

    def __init__(self, store: FeatureStore) -> None:
        self._size = store.identity["size"]
        self._items = [item for item in store.items if item["problem"] is None]
        places = [place for place, item in enumerate(store.items) if item["problem"] is None]
        self._places = dict(zip(store.ids, places, strict=True))
        self._dataset: Dataset | None = None
        if self._items[0]["path"] is None:
            self._dataset = _same_dataset(store.identity["pictures"])

    def open(self, place: int) -> Image.Image:
        """As the model saw it before its own preprocessing."""
        item = self._items[place]
        source = item["path"] if self._dataset is None else self._dataset[self._places[item["id"]]].image
        try:
            image = open_image(source, name=item["id"])
        except ImageError as error:
            raise ConfigError(f"a picture of the store can't be opened again: {error}") from None
        return image if self._size == "native" else image.resize((self._size, self._size), Image.Resampling.BICUBIC)

    def save(self, places: Iterable[int], folder: Path) -> dict[int, str]:
        """Small JPEGs of some pictures into `folder`, named by place; place -> file name."""
        folder.mkdir(parents=True, exist_ok=True)
        names = {}
        for place in sorted(set(places)):
            image = self.open(place)
            image.thumbnail((SIDE, SIDE))
            names[place] = f"{place:06d}.jpg"
            image.save(folder / names[place], "JPEG", quality=QUALITY)
        return names


def _same_dataset(pictures: dict[str, str]) -> Dataset:
    name = pictures["name"]
    try:
        dataset = open_dataset(name)
    except ChiasmError as error:
        raise ConfigError(f"the pictures of {name} can't be had again ({error})") from None
    if dataset.fingerprint() != pictures["fingerprint"]:
        raise ConfigError(f"the pictures of {name} can't be had again: the store was made with other options")
    return dataset
