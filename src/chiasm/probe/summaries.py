"""What is kept of a batch of features: pooled vectors, spectra and a sample of tokens a picture, and running sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.models.adapters.transformers.vision import grouped
from chiasm.models.features import Features
from chiasm.probe.comoments import Centred, Comoments
from chiasm.probe.spectrum import gram_energies
from chiasm.probe.token_sample import sampled_places

Tensors = dict[str, Tensor]


def summarise(
    features: Mapping[str, Features], pictures: Sequence[str], sample: int, seed: int, dtype: torch.dtype
) -> Tensors:
    """Everything kept of a batch but its sums and, under "SITE/tokens", all its tokens, to be written elsewhere.

    `pictures` are the SHA-256 of their contents. All tensors are joined along their first axis from batch to batch:

    SITE/mean, max, cls   (pictures, width) fp32; cls where the encoder has a class token
    SITE/even, odd        (pictures, width) fp32, means of every other token: the same site seen twice. A single token
                          is in both
    SITE/grids            (pictures, 2) int32, rows and columns of tokens
    SITE/energies         flat fp32: for each picture the energies of its centred tokens, min(tokens, width), falling
    SITE/sample           (sampled, width) in `dtype`, `sample` tokens a picture or all where there are fewer
    SITE/sample_places    (sampled,) int32, the raster place of each in its picture
    """
    found: Tensors = {}
    before: Features | None = None
    for site, at in features.items():
        if before is not None and same_tokens(before, at):  # no norm in between, or one that leaves all as it is
            last = f"{before.site}/"
            found |= {f"{site}/{name[len(last) :]}": part for name, part in found.items() if name.startswith(last)}
        else:
            of_site = _summary(at, pictures, sample, seed, dtype)
            found |= {f"{site}/{name}": part for name, part in of_site.items()}
        before = at
    return found


def _summary(features: Features, pictures: Sequence[str], sample: int, seed: int, dtype: torch.dtype) -> Tensors:
    tokens, lengths = features.split(), features.lengths
    mean, largest, energies, even, odd = (list(tokens) for _ in range(5))
    for members in grouped(lengths):
        some = features if len(members) == len(features) else features.select(members)  # which copies
        stacked = some.tokens.float().unflatten(0, (len(members), -1))
        spectra = gram_energies(stacked).float()
        means = _means(stacked)
        for i, *parts in zip(members, means[:, 0], stacked.amax(1), spectra, means[:, 1], means[:, 2], strict=True):
            mean[i], largest[i], energies[i], even[i], odd[i] = parts
    places = [sampled_places(seed, name, n, sample) for name, n in zip(pictures, lengths, strict=True)]
    sampled = [part[torch.from_numpy(chosen).to(part.device)] for part, chosen in zip(tokens, places, strict=True)]
    found = {
        "mean": torch.stack(mean),
        "max": torch.stack(largest),
        "even": torch.stack(even),
        "odd": torch.stack(odd),
        "grids": torch.tensor(features.grids, dtype=torch.int32),
        "energies": torch.cat(energies),
        "sample": torch.cat(sampled).to(dtype),
        "sample_places": torch.cat([torch.from_numpy(chosen) for chosen in places]).int(),
    }
    if features.cls is not None:
        found["cls"] = features.cls.float()
    return {name: part.cpu() for name, part in found.items()}


def _means(tokens: Tensor) -> Tensor:
    """Of all tokens, the even ones and the odd ones, (pictures, 3, width), in one product, which is several times
    faster than three reductions. `tokens` is (pictures, T, width); a single one is in all three."""
    count = tokens.shape[1]
    weights = tokens.new_zeros(3, count)
    weights[0] = 1 / count
    for row, start in ((1, 0), (2, min(1, count - 1))):
        weights[row, start::2] = 1 / len(range(start, count, 2))
    return weights @ tokens


class RunningSums:
    """Sums over all tokens: of every site, and of neighbouring sites together where a picture has as many tokens at
    both."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], Comoments] = {}

    def add_features(self, features: Mapping[str, Features]) -> None:
        before: Features | None = None
        rows: Centred | None = None
        own: Comoments | None = None
        for site, at in features.items():
            repeated = before is not None and same_tokens(before, at)
            rows_before = rows
            if rows is None or own is None or not repeated:
                rows = Centred.of(at.tokens)
                own = Comoments.of(rows, rows)
            self._add((site, site), own)
            if before is not None and rows_before is not None:
                same = [i for i, (a, b) in enumerate(zip(before.lengths, at.lengths, strict=True)) if a == b]
                if repeated:
                    self._add((before.site, site), own)
                elif len(same) == len(at):
                    self._add((before.site, site), Comoments.of(rows_before, rows))
                elif same:
                    some = (Centred.of(each.select(same).tokens) for each in (before, at))
                    self._add((before.site, site), Comoments.of(*some))
            before = at

    def add(self, other: RunningSums) -> None:
        for pair, part in other.parts.items():
            self._add(pair, part)

    def tensors(self) -> Tensors:
        """To be written; `of_tensors` makes it anew."""
        named = {}
        for (first, second), part in self.parts.items():
            part = part.to("cpu")
            named[f"{first} {second}/count"] = torch.tensor(part.count)
            named[f"{first} {second}/first"] = part.first
            named[f"{first} {second}/second"] = part.second
            named[f"{first} {second}/products"] = part.products
        return named

    @classmethod
    def of_tensors(cls, named: Mapping[str, Tensor]) -> RunningSums:
        sums = cls()
        for name in sorted(name.removesuffix("/count") for name in named if name.endswith("/count")):
            first, second = name.split(" ")
            tensors = (named[f"{name}/{part}"].clone() for part in ("first", "second", "products"))
            sums.parts[first, second] = Comoments(int(named[f"{name}/count"]), *tensors)
        return sums

    def _add(self, pair: tuple[str, str], part: Comoments) -> None:
        # Not the part itself: it may be given for several pairs, and sums grow in place.
        before = self.parts.get(pair) or Comoments.none(*part.products.shape)
        self.parts[pair] = before.to(part.products.device)  # read from a file, sums are on the CPU
        self.parts[pair].add(part)


def same_tokens(first: Features, second: Features) -> bool:
    return first.tokens.shape == second.tokens.shape and torch.equal(first.tokens, second.tokens)
