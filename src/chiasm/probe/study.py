"""The settings of the study "VLM Connectors", so that its numbers can be compared: the preset `vlm-connectors`.

Neighbours are by L2 on raw, mean-pooled vectors, k = 10, 50 and 100, self left out; ranks are of the entropy of
energies, per image, over its centred tokens. Pictures are squeezed to one square first. The numbers keep that study's
limits: no null, no ceiling, no interval, and ranks that depend on the number of tokens. `compare_spaces` and
`spectrum_per_image` do better.
"""

from __future__ import annotations

import numpy as np

from chiasm.probe.neighbours import nearest_neighbours
from chiasm.probe.overlap import matches, overlap
from chiasm.probe.similarity import pair_sums
from chiasm.probe.space import Points, Space, check_same_items
from chiasm.probe.spectrum import SUMMARIES, token_energies

KS = (10, 50, 100)
SIDE = 336
"""Of the square that every picture is squeezed to, in pixels."""
MOST_PAIRED = 10_000
"""Items that distances are correlated over."""


def study_geometry(first: Space, second: Space, seed: int = 0) -> dict[str, float]:
    """knor@k and rank_displacement@k of the neighbours, and the correlation of distances, of mean-pooled vectors of the
    same items. Raises DataError for different items and for 100 items or fewer."""
    check_same_items(first, second)
    found = matches(*(nearest_neighbours(Points(space), max(KS)).index for space in (first, second)))
    shared = overlap(found)
    numbers = {f"knor@{k}": float(shared.knor[k - 1]) for k in KS}
    numbers |= {f"rank_displacement@{k}": float(shared.displacement[k - 1]) for k in KS}
    chosen = np.sort(np.random.default_rng(seed).permutation(len(first))[:MOST_PAIRED])
    some = [
        Space(space.site, [space.ids[i] for i in chosen], space.vectors[chosen], space.norm)
        for space in (first, second)
    ]
    pairs = pair_sums(Points(some[0]), Points(some[1]), np.arange(len(chosen)), "distances")
    return numbers | {"pairwise_corr": float(pairs.pearson()[0])}


def study_spectrum(tokens: np.ndarray) -> dict[str, float]:
    """One image's numbers from its tokens (T, d): effective_rank, the same over min(T, d), energy in the top 1, 5 and
    10, k80, k90, and mean, standard deviation and median of the cosine between its tokens."""
    energies = token_energies(tokens)
    names = ("effective_rank", "top1_energy", "top5_energy", "top10_energy", "k80", "k90")
    numbers = {name: SUMMARIES[name](energies) for name in names}
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    cosine = (unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
    return numbers | {
        "normalised_effective_rank": numbers["effective_rank"] / min(tokens.shape),
        "cosine_mean": float(cosine.mean()),
        "cosine_std": float(cosine.std()),
        "cosine_median": float(np.median(cosine)),
    }
