"""Read a feature store. Arrays are views of mapped files: only what is looked at is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError, DataError, RunError
from chiasm.models.checkpoint import read_tensors
from chiasm.models.features import Features
from chiasm.probe.pictures import Item
from chiasm.probe.space import Space
from chiasm.probe.store_folder import FEATURES, FORMAT, INDEX, ITEMS, MANIFEST, STATISTICS, TOKENS, read_json
from chiasm.probe.summaries import RunningSums

Pooling = Literal["mean", "max", "cls"]


@dataclass(frozen=True)
class TokenSample:
    """Tokens drawn at one site, picture after picture.

    tokens    (n, width) fp32
    pictures  (n,) int64, places in `FeatureStore.ids`
    places    (n,) int32, raster places in the picture: equal at two sites that give it as many tokens
    """

    tokens: np.ndarray
    pictures: np.ndarray
    places: np.ndarray


class FeatureStore:
    """What `chiasm probe extract` left in a folder.

    manifest   what the features are of
    sites      in the order that a picture passes them
    ids        of the pictures with features, in the order of all rows
    problems   id -> why a picture has none
    duplicates groups of ids whose pictures are equal pixel for pixel

    Raises RunError for a folder that holds no store, or one that is not finished.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not (folder / MANIFEST).is_file():
            raise RunError(f"{folder} is no feature store: it has no {MANIFEST}; `chiasm probe extract` makes one")
        self.manifest: dict[str, Any] = read_json(folder / MANIFEST)
        if self.manifest.get("kind") != "features":
            raise RunError(f"{folder} holds a {self.manifest.get('kind', 'run')}, not features")
        self.identity: dict[str, Any] = self.manifest["identity"]
        if self.identity["format"] != FORMAT:
            raise RunError(f"{folder} has format {self.identity['format']}, this version reads {FORMAT}; extract again")
        if not (folder / INDEX).is_file():
            raise RunError(f"{folder} is half a store; run its `chiasm probe extract` again, it goes on from there")
        self.items: list[Item] = [json.loads(line) for line in (folder / ITEMS).read_text("utf-8").splitlines()]
        self.sites: tuple[str, ...] = tuple(self.identity["sites"])
        self.ids: list[str] = [item["id"] for item in self.items if item["problem"] is None]
        self.problems: dict[str, str] = {item["id"]: item["problem"] for item in self.items if item["problem"]}
        self.duplicates: list[list[str]] = read_json(folder / INDEX)["duplicates"]
        self._shards: dict[int, Any] = {}
        self._rows: dict[str, list[tuple[int, int, int]]] = {}

    @classmethod
    def open(cls, folder: str | Path) -> FeatureStore:
        return cls(Path(folder))

    def __len__(self) -> int:
        return len(self.ids)

    def width(self, site: str) -> int:
        return self.pooled(site).shape[1]

    def pooled(self, site: str, how: Pooling = "mean") -> np.ndarray:
        """Tokens of each picture pooled, (n, width) fp32. Raises ConfigError where the site has no class token."""
        if how == "cls" and f"{self._known(site)}/cls" not in self._names:
            raise ConfigError(f"{self.folder}: there is no class token at {site}; pool by mean or max")
        return self._array(site, how)

    def halves(self, site: str) -> tuple[np.ndarray, np.ndarray]:
        """Means of the even and of the odd tokens of each picture, in raster order: (n, width) fp32 each."""
        return self._array(site, "even"), self._array(site, "odd")

    def space(self, site: str, how: Pooling = "mean") -> Space:
        """The pooled vectors for geometry, under the name of the site; NaN in a damaged file is found here."""
        return Space(site, self.ids, self.pooled(site, how))

    def grids(self, site: str) -> np.ndarray:
        """Rows and columns of each picture's tokens, (n, 2) int32; (1, tokens) where they have no places."""
        return self._array(site, "grids")

    def lengths(self, site: str) -> np.ndarray:
        """Tokens of each picture, (n,)."""
        return self.grids(site).prod(axis=1)

    def spectra(self, site: str) -> list[np.ndarray]:
        """Energies of each picture's centred tokens, falling: min(tokens, width) each (`spectrum_per_image`)."""
        lengths = np.minimum(self.lengths(site), self.width(site))
        return np.split(self._finite(site, "energies"), np.cumsum(lengths)[:-1])

    def covariance(self, site: str) -> np.ndarray:
        """Of all tokens of all pictures, unbiased: (width, width) float64."""
        return self._sums.parts[self._known(site), site].covariance()

    def cross_covariance(self, first: str, second: str) -> np.ndarray:
        """Of all tokens at two sites that follow each other in `sites` and give every picture as many tokens: (width of
        first, width of second) float64. Raises ConfigError for other sites."""
        place = self.sites.index(self._known(first))
        if self.sites[place + 1 : place + 2] != (self._known(second),):
            raise ConfigError(f"{self.folder}: {second} doesn't come right after {first}; extract these two alone")
        if not np.array_equal(self.lengths(first), self.lengths(second)):
            raise ConfigError(
                f"{self.folder}: {first} and {second} give pictures different numbers of tokens, so these can't be "
                "paired; compare pooled vectors"
            )
        return self._sums.parts[first, second].covariance()

    def mean(self, site: str) -> np.ndarray:
        """Of all tokens of all pictures, (width,) float64."""
        return self._sums.parts[self._known(site), site].first.numpy()

    def reservoir(self, site: str) -> TokenSample:
        """The tokens sampled at a site."""
        sampled = np.minimum(self.lengths(site), self.identity["sample_of_each"])
        return TokenSample(
            self._finite(site, "sample"), np.repeat(np.arange(len(self)), sampled), self._array(site, "sample_places")
        )

    def tokens(self, site: str, picture: int) -> np.ndarray:
        """All tokens of the picture with this place in `ids`, (tokens, width) fp32 in raster order. Raises ConfigError
        where the store keeps none."""
        return self._tokens(site, picture).float().numpy()

    def features(self, site: str, pictures: list[int]) -> Features:
        """All tokens of several pictures, as a model gives them."""
        grids = self.grids(site)
        tokens = torch.cat([self._tokens(site, picture) for picture in pictures])
        return Features(tokens, tuple((int(grids[i, 0]), int(grids[i, 1])) for i in pictures), site)

    def _known(self, site: str) -> str:
        if site not in self.sites:
            raise ConfigError(
                f"{self.folder} has no site {site!r}{did_you_mean(site, self.sites)}; it has {', '.join(self.sites)}"
            )
        return site

    def _tensor(self, site: str, name: str) -> Tensor:
        return _opened(self._file.get_tensor, f"{self._known(site)}/{name}", self.folder / FEATURES)

    def _array(self, site: str, name: str) -> np.ndarray:
        return self._tensor(site, name).numpy()

    def _finite(self, site: str, name: str) -> np.ndarray:
        """In fp32. Extraction writes nothing else, so the file has been changed."""
        array = self._tensor(site, name).float().numpy()
        if not np.isfinite(array).all():
            file = self.folder / FEATURES
            raise DataError(f"{file}: {site}/{name} holds NaN or infinity; delete {self.folder} and extract again")
        return array

    def _tokens(self, site: str, picture: int) -> Tensor:
        if not self.identity["tokens"]:
            raise ConfigError(
                f"{self.folder} keeps a sample of tokens only; all are needed: `chiasm probe extract --tokens` into "
                "another folder"
            )
        shard, start, stop = self._places(self._known(site))[picture]
        path = self.folder / TOKENS / f"{shard:05d}.safetensors"
        if shard not in self._shards:
            self._shards[shard] = _opened(_mapped, path, path)
        return self._shards[shard].get_slice(f"{site}/tokens")[start:stop]

    def _places(self, site: str) -> list[tuple[int, int, int]]:
        """Shard, first and last row of each picture's tokens."""
        if site not in self._rows:
            shards = [i // self.identity["shard"] for i, item in enumerate(self.items) if item["problem"] is None]
            rows = []
            stop, before = 0, -1
            for shard, length in zip(shards, self.lengths(site).tolist(), strict=True):
                start = stop if shard == before else 0
                stop, before = start + length, shard
                rows.append((shard, start, stop))
            self._rows[site] = rows
        return self._rows[site]

    @cached_property
    def _file(self) -> Any:
        return _opened(_mapped, self.folder / FEATURES, self.folder / FEATURES)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._file.keys())

    @cached_property
    def _sums(self) -> RunningSums:
        return RunningSums.of_tensors(read_tensors(self.folder / STATISTICS))


def _mapped(path: Path) -> Any:
    return safe_open(path, "pt")


def _opened(read: Callable[[Any], Any], argument: Any, path: Path) -> Any:
    try:
        return read(argument)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is missing or damaged ({error}); delete {path.parent} and extract again") from None
