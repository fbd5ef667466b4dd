"""Geometry of the features in a store: between its sites, and against those of another model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from chiasm.errors import ConfigError
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.galleries import neighbour_gallery
from chiasm.probe.geometry import Comparer
from chiasm.probe.overlap_curve import overlap_curve
from chiasm.probe.result import Measurement
from chiasm.probe.space import Space
from chiasm.probe.store import FeatureStore, Pooling
from chiasm.probe.store_pictures import StorePictures
from chiasm.probe.study import study_geometry
from chiasm.probe.untrained import untrained_connector
from chiasm.probe.vision_side import VisionSide

BATCH = 16
STUDY = "preset vlm-connectors"
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Pair:
    """Two spaces of the same pictures, and what they are held against."""

    first: Space
    second: Space
    resampled: tuple[Space, Space] | None
    untrained: Space | None


def distinct_sites(store: FeatureStore) -> list[str]:
    """All but those that repeat the site before, as "connector.in" does where the connector has no norm of its own."""
    repeated = (np.array_equal(store.pooled(a), store.pooled(b)) for a, b in pairwise(store.sites))
    return [store.sites[0], *(site for site, same in zip(store.sites[1:], repeated, strict=True) if not same)]


def site_pairs(
    store: FeatureStore,
    sites: Sequence[str],
    pooling: Pooling = "mean",
    reference: FeatureStore | None = None,
    untrained: Space | None = None,
) -> Iterator[Pair]:
    """Every two of the sites, the earlier first, and each of them against the encoder of `reference`. The ceiling comes
    from halves of the tokens. `untrained` is the connector's output without training, the control of
    comparisons with it."""
    spaces = {site: store.space(site, pooling) for site in sites}
    resampled = {site: halves(store, site, pooling) for site in sites}
    for first, second in combinations(sites, 2):
        control = untrained if second == "connector" else None
        yield Pair(spaces[first], spaces[second], resampled[first], control)
    if reference is not None:
        other = reference.space("encoder", pooling)
        named = replace(other, site=f"{Path(reference.manifest['model']).name} encoder")
        for site in sites:
            yield Pair(spaces[site], named, resampled[site], None)


def halves(store: FeatureStore, site: str, pooling: Pooling) -> tuple[Space, Space] | None:
    """A site twice, each time the mean of every other token; None for other poolings, and where a picture has a single
    token."""
    if pooling != "mean" or store.lengths(site).min() < 2:
        return None
    even, odd = store.halves(site)
    return Space(site, store.ids, even), Space(site, store.ids, odd)


def untrained_space(
    store: FeatureStore, side: VisionSide, pooling: Pooling, seed: int = 0, advance: Advance = lambda pictures: None
) -> Space:
    """What the model's connector would give of the store's pictures with random weights. `side` is the model that the
    store is of; `advance` is told of pictures done. Raises ConfigError for another model, one whose connector can't be
    reached, and pictures that can't be had again."""
    if side.weights != store.identity["weights"]:
        raise ConfigError(f"{side.name} has other weights than the model of {store.folder}; extract again")
    pictures = StorePictures(store)
    rows = []
    with untrained_connector(cast(VisionLanguageModel, side.model), seed):
        for part in torch.arange(len(store)).split(BATCH):
            features = side.capture([pictures.open(i) for i in part.tolist()], ("connector",))["connector"]
            pool = torch.amax if pooling == "max" else torch.mean
            rows += [pool(tokens.float(), dim=0) for tokens in features.split()]
            advance(len(part))
    return Space("connector", store.ids, torch.stack(rows).numpy())


def clusters_of(store: FeatureStore, by: str) -> list[Hashable]:
    """A label for each picture: its "folder", or, by "picture", itself; equal pictures have one label either way.
    Raises ConfigError for folders of pictures that have no file."""
    items = [item for item in store.items if item["problem"] is None]
    if by == "folder":
        if any(item["path"] is None for item in items):
            raise ConfigError(f"{store.folder}: its pictures are no files, so there are no folders; cluster by picture")
        return [str(Path(item["path"]).parent) for item in items]
    return [item["pixels"] or item["id"] for item in items]


def measure_geometry(
    pairs: Sequence[Pair], comparers: Sequence[Comparer]
) -> tuple[list[Measurement], list[dict[str, Any]]]:
    """All measurements of every pair by every comparer, and the curves of their overlaps; raises as
    `compare_spaces`."""
    measurements: list[Measurement] = []
    curves = []
    for comparer in comparers:
        of_sites: dict[tuple[str, tuple[str, ...]], Measurement] = {}
        for pair in pairs:
            spaces = pair.first, pair.second, pair.resampled, pair.untrained
            # Hubness is of one site, and comes again with every pair that it is in.
            of_sites |= {(found.name, found.sites): found for found in comparer.compare(*spaces)}
            if not (pair.first.all_identical or pair.second.all_identical):
                curves.append(overlap_curve(comparer, *spaces))
        measurements += of_sites.values()
    return measurements, curves


def measure_as_study(pairs: Sequence[Pair], flags: tuple[str, ...] = ()) -> list[Measurement]:
    """The numbers of the preset `vlm-connectors` (`chiasm.probe.study`), with its own flag and those given."""
    flags = ("settings of the study: L2 of raw vectors, without interval, null and ceiling", *flags)
    found = []
    for pair in pairs:
        sites, n = (pair.first.site, pair.second.site), len(pair.first)
        for name, value in study_geometry(pair.first, pair.second).items():
            found.append(Measurement(name, sites, value, n=n, clusters=n, method=STUDY, flags=flags))
    return found


def galleries(store: FeatureStore, pairs: Sequence[Pair], comparer: Comparer, folder: Path) -> list[dict[str, Any]]:
    """Neighbours before and after as JSON, their pictures written into `folder`. Raises ConfigError where the pictures
    can't be had again."""
    pictures = StorePictures(store)
    found = [neighbour_gallery(comparer, pair.first, pair.second) for pair in pairs]
    files = pictures.save({place for gallery in found for place in gallery.places}, folder)
    return [gallery.shown(store.ids, files) for gallery in found]
