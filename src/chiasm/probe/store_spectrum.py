"""Spectra of the features in a store: of each picture's tokens, and of all tokens together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chiasm.errors import DataError
from chiasm.probe.clusters import JACKKNIFE, jackknife_of_subsets, jackknife_subsets, numbered
from chiasm.probe.image_spectra import image_spectra, spectrum_per_image
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.spectrum import SUMMARIES, after_random_map, debiased_participation_ratio, token_energies
from chiasm.probe.store import FeatureStore
from chiasm.probe.study import SIDE, study_spectrum

STUDY = "preset vlm-connectors"
GROUPS = 10
"""Of pictures, each left out in turn for the interval of the dataset's spectrum."""
SHOWN = 512
"""Components whose energy is kept for the plot."""
MAPPED = 32
"""Pictures whose spectra go through a random map, for the control."""
DEBIASED = "dataset.debiased_participation_ratio"


@dataclass(frozen=True)
class _Spectra:
    """Spectra of one site, the numbers of tokens that each is of, and what was measured of them."""

    lengths: Sequence[int]
    energies: Sequence[np.ndarray]
    measured: Sequence[Measurement]


def measure_spectra(
    store: FeatureStore, sites: Sequence[str], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[list[Measurement], list[dict[str, Any]]]:
    """Of each site every summary per picture, and "dataset." ones of the tokens sampled of all pictures; where sites or
    pictures differ in their number of tokens, the former also from equally many tokens of each, as "NAME of N tokens".
    With them, as JSON, the mean share of energy of each component, to be plotted.

    Each site is held against the one before it, where both have as many tokens: the ceiling is the same of the site
    before, as a rotation would leave it, the control what a random linear map to as many features would leave.
    """
    lengths = {site: store.lengths(site) for site in sites}
    sampled = {site: np.bincount(store.reservoir(site).pictures, minlength=len(store)) for site in sites}
    equal = min(int(counts.min()) for counts in sampled.values())
    differ = len({int(n) for counts in lengths.values() for n in counts}) > 1
    measurements: list[Measurement] = []
    plots = []
    before: dict[str, _Spectra] = {}
    for site in sites:
        spectra, width = store.spectra(site), store.width(site)
        sample = store.reservoir(site)
        label = np.unique(numbered(clusters, len(store))[sample.pictures], return_inverse=True)[1]
        every = lengths[site].tolist()
        dataset = token_energies(sample.tokens)
        of_site = {
            "picture": _Spectra(every, spectra, spectrum_per_image(site, spectra, width, every, clusters, seed)),
            "dataset": _Spectra([len(label)], [dataset], dataset_spectrum(site, sample.tokens, label, seed)),
        }
        if differ and equal > 1:
            drawn = list(image_spectra(sample.tokens, sampled[site].tolist(), equal, seed=seed))
            found = spectrum_per_image(site, drawn, width, [equal] * len(drawn), clusters, seed)
            named = [replace(m, name=f"{m.name} of {equal} tokens") for m in found]
            of_site["equal"] = _Spectra([equal] * len(drawn), drawn, named)
        for kind, now in of_site.items():
            measurements += _held_against(now, before[kind], width, seed) if before else now.measured
        before = of_site
        plots.append({"site": site, "picture": _mean_shares(spectra), "dataset": _shares(dataset)})
    return measurements, plots


def _held_against(now: _Spectra, before: _Spectra, width: int, seed: int) -> list[Measurement]:
    """Measurements with the ceiling and the control that the site before gives them."""
    site = before.measured[0].sites[0]
    if now.lengths != before.lengths:
        flag = f"no ceiling and control: {site} has other numbers of tokens"
        return [replace(m, flags=(*m.flags, flag)) for m in now.measured]
    there = [energies for energies in before.energies if energies.sum() > 0]
    rng = np.random.default_rng(seed)
    mapped = [after_random_map(energies, width, rng) for energies in there[:: max(1, len(there) // MAPPED)]]
    found = []
    for measured, past in zip(now.measured, before.measured, strict=True):
        if measured.value is None or past.value is None:
            found.append(measured)
            continue
        if measured.name == DEBIASED:  # of the map's covariance the trace is kept, and that of the square known
            control = 1 / ((1 + 1 / width) / past.value + 1 / width)
        else:
            summary = SUMMARIES[measured.name.removeprefix("dataset.").partition(" ")[0]]
            control = float(np.mean([summary(energies) for energies in mapped]))
        ceiling = Yardstick(past.value, past.ci_low, past.ci_high, f"that of {site}, which a rotation would leave")
        random = Yardstick(control, method=f"after a random linear map of {site}")
        found.append(replace(measured, ceiling=ceiling, control=random))
    return found


def dataset_spectrum(site: str, tokens: np.ndarray, cluster: np.ndarray, seed: int = 0) -> list[Measurement]:
    """Every summary of the covariance of tokens (n, d), and the debiased participation ratio. The null is white noise
    of the same shape. `cluster`, (n,), numbers the independent pictures that tokens are of. Raises DataError for values
    that are not finite."""
    subsets = jackknife_subsets(cluster, GROUPS, seed)
    energies = [token_energies(tokens[subset]) for subset in subsets]
    noise = token_energies(np.random.default_rng(seed).standard_normal(tokens.shape))
    settings = {"tokens": len(tokens), "width": tokens.shape[1], "seed": seed}
    clusters = int(cluster.max()) + 1

    def measurement(name: str, value: float | None, **more: Any) -> Measurement:
        return Measurement(name, (site,), value, n=len(tokens), clusters=clusters, settings=settings, **more)

    if not energies[0].sum() > 0:
        why = (f"all sampled tokens are identical at {site}",)
        return [measurement(name, None, flags=why) for name in (*(f"dataset.{one}" for one in SUMMARIES), DEBIASED)]
    found = []
    for name, summary in SUMMARIES.items():
        least, most = (0.0, 1.0) if name.endswith("_energy") else (1.0, float(min(tokens.shape)))
        low, high = jackknife_of_subsets(np.array([summary(one) for one in energies])) or (None, None)
        flags: tuple[str, ...] = ()
        if low is not None and high is not None:
            if low == high:
                low, high, flags = None, None, ("no interval: a whole number that no group changes",)
            else:
                low, high = max(low, least), min(high, most)
        null = Yardstick(float(summary(noise)), method="white noise of this shape")
        method = f"of the tokens sampled of all pictures; {JACKKNIFE}"
        known = {"ci_low": low, "ci_high": high, "null": null, "method": method, "flags": flags}
        found.append(measurement(f"dataset.{name}", summary(energies[0]), **known))
    try:
        parts = zip(subsets, energies, strict=True)
        ratios = np.array([debiased_participation_ratio(tokens[some], cluster[some], one) for some, one in parts])
    except DataError as error:
        return [*found, measurement(DEBIASED, None, flags=(str(error),))]
    # A ratio, and far from symmetric where there are few clusters.
    low, high = np.exp(jackknife_of_subsets(np.log(ratios)) or (np.nan, np.nan)).tolist()
    known = {"ci_low": low, "ci_high": high} if np.isfinite(low) else {}
    null = Yardstick(float(tokens.shape[1]), method="white noise")
    method = f"pairs of tokens of different clusters, unbiased for the population; {JACKKNIFE}, of its logarithm"
    return [*found, measurement(DEBIASED, float(ratios[0]), **known, null=null, method=method)]


def measure_as_study(store: FeatureStore, sites: Sequence[str]) -> list[Measurement]:
    """The numbers of the preset `vlm-connectors`: means over pictures, without those whose tokens are all identical,
    which is flagged. Raises ConfigError where the store keeps only a sample of tokens."""
    flag = "settings of the study: without interval and null, and ranks that depend on the number of tokens"
    found = []
    for site in sites:
        every = (store.tokens(site, picture) for picture in range(len(store)))
        rows = [study_spectrum(tokens) for tokens in every if (tokens != tokens[:1]).any()]
        flags = (flag, *other_size(store))
        if n := len(store) - len(rows):
            flags += (f"{n} of {len(store)} images have identical tokens, hence no spectrum; left out",)
        for name in rows[0] if rows else ("effective_rank",):
            mean = float(np.mean([row[name] for row in rows])) if rows else None
            found.append(Measurement(name, (site,), mean, n=len(rows), clusters=len(rows), method=STUDY, flags=flags))
    return found


def other_size(store: FeatureStore) -> tuple[str, ...]:
    """A flag where pictures were not brought to the size of the study."""
    size = store.identity["size"]
    return () if size == SIDE else (f"the study squeezes pictures to {SIDE} pixels, these are {size}: --size {SIDE}",)


def _shares(energies: np.ndarray) -> list[float]:
    return (energies / energies.sum())[:SHOWN].tolist() if energies.sum() > 0 else []


def _mean_shares(spectra: Sequence[np.ndarray]) -> list[float]:
    """Mean over pictures of each component's share of the energy; a picture with fewer components has 0 there."""
    longest = max(map(len, spectra))
    total, counted = np.zeros(longest), 0
    for energies in spectra:
        if energies.sum() > 0:
            total[: len(energies)] += energies / energies.sum()
            counted += 1
    return (total / max(counted, 1))[:SHOWN].tolist()
