"""Spectra of each image's own tokens, averaged over images, beside what noise of the same shape would give."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from chiasm.errors import DataError
from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval, numbered
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.spectrum import SUMMARIES, token_energies

NOISE_DRAWS = 8


def image_spectra(
    tokens: np.ndarray, lengths: Sequence[int], count: int | None = None, centred: bool = True, seed: int = 0
) -> Iterator[np.ndarray]:
    """The energies of each image's tokens in turn, falling. `tokens` is (sum of lengths, d).

    Every summary of a spectrum grows with the number of tokens. With `count`, that many tokens of each image are drawn
    without replacement, so that sites and models with different token counts can be compared. Raises DataError if the
    lengths don't add up, or an image has fewer than two tokens or fewer than `count`.
    """
    if sum(lengths) != len(tokens):
        raise DataError(f"{sum(lengths)} tokens by the images' lengths, {len(tokens)} in the array")
    rng = np.random.default_rng(seed)
    start = 0
    for image, length in enumerate(lengths):
        if length < (count or 2):
            raise DataError(f"image {image} has {length} tokens, {count or 2} are needed; lower the count")
        chosen = tokens[start : start + length]
        if count is not None:
            chosen = chosen[np.sort(rng.choice(length, count, replace=False))]
        yield token_energies(chosen, centred)
        start += length


def spectrum_per_image(
    site: str,
    spectra: Sequence[np.ndarray],
    width: int,
    lengths: Sequence[int],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """The mean over images of every summary in SUMMARIES.

    spectra   energies of each image (`image_spectra`, or as stored); images whose tokens are all identical have no
              spectrum and are left out and flagged
    width     d of the tokens
    lengths   tokens of each image that its spectrum was taken of
    clusters  labels of images that aren't independent

    The null is white noise with the same width and the median number of tokens: its rank is below both, and features
    whose rank comes near it can't be told from full. Token counts that differ are flagged.
    """
    if len(spectra) != len(lengths):
        raise DataError(f"{site}: {len(spectra)} spectra, {len(lengths)} token counts")
    cluster = numbered(clusters, len(spectra))
    there = np.array([bool(energies.sum() > 0) for energies in spectra], dtype=bool)
    flags = []
    if not there.all():
        flags.append(f"{int((~there).sum())} of {len(there)} images have identical tokens, hence no spectrum; left out")
    if len(set(lengths)) > 1:
        flags.append(f"token counts from {min(lengths)} to {max(lengths)}: ranks grow with them, draw equally many")
    settings = {"width": width, "tokens": float(np.median(lengths)) if len(lengths) else 0.0, "seed": seed}
    if not there.any():
        return tuple(Measurement(name, (site,), None, flags=(*flags, "no spectrum")) for name in SUMMARIES)
    rng = np.random.default_rng(seed)
    shape = (int(np.median(lengths)), width)
    noise = [token_energies(rng.standard_normal(shape)) for _ in range(NOISE_DRAWS)]
    kept = np.unique(cluster[there], return_inverse=True)[1]
    counts = np.bincount(kept)
    measurements = []
    for name, summary in SUMMARIES.items():
        values = np.array([summary(energies) for energies, wanted in zip(spectra, there, strict=True) if wanted])
        sums = np.stack([counts, np.bincount(kept, values)], axis=1)
        low, high = bootstrap_interval(sums, lambda sums: sums[:, 1] / sums[:, 0], seed=seed) or (None, None)
        null = Yardstick(float(np.mean([summary(energies) for energies in noise])), method="white noise of this shape")
        measurements.append(
            Measurement(
                name,
                (site,),
                float(values.mean()),
                low,
                high,
                null,
                n=len(values),
                clusters=len(counts),
                method=f"mean over images; {BOOTSTRAP}",
                settings=settings,
                flags=tuple(flags),
            )
        )
    return tuple(measurements)
