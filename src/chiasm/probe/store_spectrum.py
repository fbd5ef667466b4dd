"""Spectra of the features in a store: of each picture's tokens, and of all tokens together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chiasm.probe.clusters import JACKKNIFE, jackknife_of_subsets, jackknife_subsets, numbered
from chiasm.probe.image_spectra import image_spectra, spectrum_per_image
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.spectrum import SUMMARIES, RunningCovariance, token_energies
from chiasm.probe.store import FeatureStore
from chiasm.probe.study import study_spectrum

STUDY = "preset vlm-connectors"
GROUPS = 10
"""Of pictures, each left out in turn for the interval of the dataset's spectrum."""
SHOWN = 512
"""Components whose energy is kept for the plot."""


def measure_spectra(
    store: FeatureStore, sites: Sequence[str], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[list[Measurement], list[dict[str, Any]]]:
    """Of each site every summary per picture, and "dataset." ones of the tokens sampled of all pictures; where sites or
    pictures differ in their number of tokens, the former also from equally many tokens of each, as "NAME of N tokens".
    With them, as JSON, the mean share of energy of each component, to be plotted."""
    lengths = {site: store.lengths(site) for site in sites}
    sampled = {site: np.bincount(store.reservoir(site).pictures, minlength=len(store)) for site in sites}
    equal = min(int(counts.min()) for counts in sampled.values())
    differ = len({int(n) for counts in lengths.values() for n in counts}) > 1
    measurements: list[Measurement] = []
    plots = []
    for site in sites:
        spectra, width = store.spectra(site), store.width(site)
        measurements += spectrum_per_image(site, spectra, width, lengths[site].tolist(), clusters, seed)
        sample = store.reservoir(site)
        if differ and equal > 1:
            drawn = list(image_spectra(sample.tokens, sampled[site].tolist(), equal, seed=seed))
            found = spectrum_per_image(site, drawn, width, [equal] * len(drawn), clusters, seed)
            measurements += [replace(m, name=f"{m.name} of {equal} tokens") for m in found]
        label = numbered(clusters, len(store))[sample.pictures]
        measurements += dataset_spectrum(site, sample.tokens, np.unique(label, return_inverse=True)[1], seed)
        dataset = token_energies(sample.tokens)
        plots.append({"site": site, "picture": _mean_shares(spectra), "dataset": _shares(dataset)})
    return measurements, plots


def dataset_spectrum(site: str, tokens: np.ndarray, cluster: np.ndarray, seed: int = 0) -> list[Measurement]:
    """Every summary of the covariance of tokens (n, d), and the debiased participation ratio. The null is white noise
    of the same shape. `cluster`, (n,), numbers the independent pictures that tokens are of. Raises DataError for values
    that are not finite."""
    energies = [token_energies(tokens[subset]) for subset in jackknife_subsets(cluster, GROUPS, seed)]
    noise = token_energies(np.random.default_rng(seed).standard_normal(tokens.shape))
    settings = {"tokens": len(tokens), "width": tokens.shape[1], "seed": seed}
    clusters = int(cluster.max()) + 1

    def measurement(name: str, value: float | None, **more: Any) -> Measurement:
        return Measurement(
            f"dataset.{name}", (site,), value, n=len(tokens), clusters=clusters, settings=settings, **more
        )

    if not energies[0].sum() > 0:
        why = (f"all sampled tokens are identical at {site}",)
        return [measurement(name, None, flags=why) for name in SUMMARIES]
    found = []
    for name, summary in SUMMARIES.items():
        low, high = jackknife_of_subsets(np.array([summary(one) for one in energies])) or (None, None)
        flags = ("no interval: a whole number that no group changes",) if low is not None and low == high else ()
        low, high = (None, None) if flags else (low, high)
        null = Yardstick(float(summary(noise)), method="white noise of this shape")
        method = f"of the tokens sampled of all pictures; {JACKKNIFE}"
        known = {"ci_low": low, "ci_high": high, "null": null, "method": method, "flags": flags}
        found.append(measurement(name, summary(energies[0]), **known))
    moments = RunningCovariance(tokens.shape[1])
    moments.add(np.asarray(tokens))
    method = "unbiased for independent tokens, of those sampled of all pictures"
    flag = ("no interval: left-out groups would bias it",)
    value = moments.debiased_participation_ratio()
    found.append(measurement("debiased_participation_ratio", value, method=method, flags=flag))
    return found


def measure_as_study(store: FeatureStore, sites: Sequence[str]) -> list[Measurement]:
    """The numbers of the preset `vlm-connectors`: means over pictures. Raises ConfigError where the store keeps only a
    sample of tokens."""
    flag = "settings of the study: without interval and null, and ranks that depend on the number of tokens"
    found = []
    for site in sites:
        rows = [study_spectrum(store.tokens(site, picture)) for picture in range(len(store))]
        for name in rows[0]:
            mean = float(np.mean([row[name] for row in rows]))
            found.append(Measurement(name, (site,), mean, n=len(rows), clusters=len(rows), method=STUDY, flags=(flag,)))
    return found


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
