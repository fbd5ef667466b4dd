"""The preset of the original study against its definitions, written out once more with loops."""

import numpy as np
import pytest
import torch

from chiasm.models.features import Features
from chiasm.probe.space import Space
from chiasm.probe.study import study_geometry, study_spectrum
from chiasm.probe.study_captions import reconstructor


def test_geometry_as_defined_there() -> None:
    rng = np.random.default_rng(0)
    n = 150
    tokens = rng.standard_normal((n, 9, 20)) + 4 * rng.standard_normal((n, 1, 20))
    mixed = np.tanh(tokens @ rng.standard_normal((20, 30)) / 4)
    pooled = [tokens.mean(axis=1), mixed.mean(axis=1)]
    ids = [str(i) for i in range(n)]
    numbers = study_geometry(Space("encoder", ids, pooled[0]), Space("connector", ids, pooled[1]))

    distances = [np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1)) for x in pooled]
    ranked = []
    for matrix in distances:
        matrix = matrix.copy()
        np.fill_diagonal(matrix, np.inf)
        ranked.append(np.argsort(matrix, axis=1))
    for k in (10, 50, 100):
        first, second = (order[:, :k].tolist() for order in ranked)
        shared = [len(set(a) & set(b)) / k for a, b in zip(first, second, strict=True)]
        moved = [
            abs(r - b.index(x)) if x in b else k for a, b in zip(first, second, strict=True) for r, x in enumerate(a)
        ]
        assert numbers[f"knor@{k}"] == pytest.approx(np.mean(shared))
        assert numbers[f"rank_displacement@{k}"] == pytest.approx(np.mean(moved))
    upper = np.triu_indices(n, 1)
    assert numbers["pairwise_corr"] == pytest.approx(
        np.corrcoef(distances[0][upper], distances[1][upper])[0, 1], abs=1e-5
    )


@pytest.mark.parametrize("shape", [(64, 20), (20, 64)])
def test_spectrum_as_defined_there(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.standard_normal(shape) * rng.gamma(1, size=shape[1]) + 1
    numbers = study_spectrum(tokens)
    energy = np.linalg.svd(tokens - tokens.mean(axis=0), compute_uv=False) ** 2
    share = energy / energy.sum()
    rank = np.exp(-sum(p * np.log(p) for p in share if p > 1e-30))
    assert numbers["effective_rank"] == pytest.approx(rank)
    assert numbers["normalised_effective_rank"] == pytest.approx(rank / min(shape))
    for m in (1, 5, 10):
        assert numbers[f"top{m}_energy"] == pytest.approx(share[:m].sum())
    for level in (80, 90):
        assert numbers[f"k{level}"] == next(m for m in range(1, 65) if share[:m].sum() >= level / 100)
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        for i, a in enumerate(tokens)
        for j, b in enumerate(tokens)
        if i != j
    ]
    assert numbers["cosine_mean"] == pytest.approx(np.mean(cosines))
    assert numbers["cosine_std"] == pytest.approx(np.std(cosines))
    assert numbers["cosine_median"] == pytest.approx(np.median(cosines))


def test_the_reconstructor_sees_all_tokens_where_the_connector_does_not_keep_them() -> None:
    e_pre = Features(torch.zeros(16, 4), ((4, 4),), "encoder")
    assert reconstructor(Features(torch.zeros(16, 8), ((4, 4),), "connector"), e_pre) == "mlp"  # LLaVA
    assert reconstructor(Features(torch.zeros(4, 8), ((2, 2),), "connector"), e_pre) == "sequence"  # Qwen2.5-VL
    assert reconstructor(Features(torch.zeros(4, 8), ((1, 4),), "connector"), e_pre) == "sequence"  # Idefics2
