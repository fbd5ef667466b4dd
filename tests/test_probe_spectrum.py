"""Ranks and energies against closed forms, singular values and the covariance of the population."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.probe.image_spectra import image_spectra, spectrum_per_image
from chiasm.probe.spectrum import (
    SUMMARIES,
    after_random_map,
    components_for,
    debiased_participation_ratio,
    effective_rank,
    gram_energies,
    participation_ratio,
    roy_vetterli_rank,
    stable_rank,
    token_energies,
    top_energy,
)


@pytest.mark.parametrize("m", [1, 2, 5, 100])
def test_equal_energies_fill_all_directions(m: int) -> None:
    energies = np.full(m, 0.3)
    for rank in (effective_rank, roy_vetterli_rank, participation_ratio, stable_rank):
        assert rank(energies) == pytest.approx(m)
        assert rank(np.concatenate([energies, np.zeros(7)])) == pytest.approx(m), "empty directions don't count"
    assert components_for(energies, 0.8) == np.ceil(0.8 * m)
    assert top_energy(energies, 1) == pytest.approx(1 / m)


def test_two_directions_worked_by_hand() -> None:
    # Singular values 3 and 1: energies 9 and 1.
    energies = np.array([1.0, 9.0])
    assert effective_rank(energies) == pytest.approx(np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)))
    assert roy_vetterli_rank(energies) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))
    assert participation_ratio(energies) == pytest.approx(100 / 82)
    assert stable_rank(energies) == pytest.approx(10 / 9)
    assert (top_energy(energies, 1), components_for(energies, 0.9), components_for(energies, 0.91)) == (0.9, 1, 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_scale_and_order_change_nothing_and_ranks_are_ordered(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    energies = rng.gamma(0.3, size=20) + 1e-9
    for summary in SUMMARIES.values():
        assert summary(rng.permutation(energies) * scale) == pytest.approx(summary(energies))
    # Renyi entropies fall with their order: 1 (entropy), 2 (participation), infinity (stable).
    assert stable_rank(energies) <= participation_ratio(energies) <= effective_rank(energies)
    assert effective_rank(energies) <= roy_vetterli_rank(energies) * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (16, 16), (2, 3)])
@pytest.mark.parametrize("centred", [True, False])
def test_energies_are_squared_singular_values(shape: tuple[int, int], centred: bool) -> None:
    tokens = (np.random.default_rng(0).standard_normal(shape) + 2).astype(np.float32)
    x = tokens.astype(np.float64) - (tokens.astype(np.float64).mean(0) if centred else 0)
    expected = np.linalg.svd(x, compute_uv=False) ** 2
    np.testing.assert_allclose(token_energies(tokens, centred), expected, atol=1e-9 * expected[0])


def test_directions_without_energy_add_nothing_to_a_rank() -> None:
    # Square roots make much of little: the rounding of an fp32 Gram matrix would raise this rank by 2 %.
    rng = np.random.default_rng(0)
    pictures = (rng.standard_normal((2, 200, 8)) @ rng.standard_normal((2, 8, 300))).astype(np.float32)
    together = gram_energies(torch.from_numpy(pictures)).numpy()
    for tokens, energies in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(energies, token_energies(tokens))
        centred = tokens - tokens.mean(axis=0, dtype=np.float64)
        singular = np.linalg.svd(centred, compute_uv=False)
        assert roy_vetterli_rank(energies) == pytest.approx(roy_vetterli_rank(singular**2), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_rotated_and_shuffled_tokens_have_the_same_spectrum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((12, 8))
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    np.testing.assert_allclose(token_energies((tokens @ rotation + 5)[rng.permutation(12)]), token_energies(tokens))


def test_fewer_tokens_look_like_a_lower_rank_and_matched_counts_repair_that() -> None:
    # One population of tokens; an image of 400 tokens and one of 60 differ in nothing but the count.
    rng = np.random.default_rng(1)
    spread = np.arange(1, 301) ** -0.25
    tokens = rng.standard_normal((460, 300)) * spread
    many, few = (effective_rank(energies) for energies in image_spectra(tokens, [400, 60]))
    assert many > 2.5 * few
    many, few = (effective_rank(energies) for energies in image_spectra(tokens, [400, 60], count=50))
    assert many == pytest.approx(few, rel=0.05)


def test_image_spectra_refuse_what_has_none() -> None:
    tokens = np.ones((10, 4))
    with pytest.raises(DataError, match="9 tokens by the images' lengths, 10 in the array"):
        list(image_spectra(tokens, [4, 5]))
    with pytest.raises(DataError, match="image 1 has 3 tokens, 4 are needed"):
        list(image_spectra(tokens, [7, 3], count=4))
    tokens[8, 1] = np.inf
    with pytest.raises(DataError, match="holds NaN or infinity"):
        list(image_spectra(tokens, [5, 5]))


def test_measurements_of_images() -> None:
    rng = np.random.default_rng(2)
    lengths = [30] * 12 + [20] * 12
    tokens = rng.standard_normal((sum(lengths), 6)) * [5, 3, 1, 1, 0.5, 0.1]
    tokens[:30] = 1.5  # the first image: all tokens the same
    spectra = list(image_spectra(tokens, lengths))
    found = {m.name: m for m in spectrum_per_image("connector", spectra, 6, lengths, [i // 2 for i in range(24)])}
    assert set(found) == set(SUMMARIES)
    rank = found["effective_rank"]
    assert rank.value == pytest.approx(np.mean([effective_rank(energies) for energies in spectra[1:]]))
    assert rank.ci_low < rank.value < rank.ci_high < rank.null.value < 6
    assert (rank.n, rank.clusters, rank.sites) == (23, 12, ("connector",))
    assert rank.flags == (
        "1 of 24 images have identical tokens, hence no spectrum; left out",
        "token counts from 20 to 30: ranks grow with them, draw equally many",
    )


def test_no_image_with_a_spectrum_is_flagged() -> None:
    found = spectrum_per_image("connector", [np.zeros(4)] * 3, 8, [4] * 3)
    assert all(m.value is None and "no spectrum" in m.flags for m in found)


@pytest.mark.parametrize("heavy", [False, True])
def test_debiased_participation_ratio_finds_the_population_s(heavy: bool) -> None:
    # 100 equal directions seen in 40 items: the naive ratio can't pass 39.
    rng = np.random.default_rng(4)
    naive, debiased = [], []
    for _ in range(200):
        x = rng.standard_normal((40, 100)) if not heavy else rng.standard_t(5, (40, 100))
        naive.append(participation_ratio(token_energies(x)))
        debiased.append(debiased_participation_ratio(x, np.arange(40), token_energies(x)))
    assert np.mean(naive) < 35
    assert np.median(debiased) == pytest.approx(100, rel=0.06)


def test_debiased_participation_ratio_is_a_loop_over_pairs_of_different_clusters() -> None:
    rng = np.random.default_rng(5)
    x, cluster = rng.standard_normal((9, 4)) + 3, np.array([2, 0, 1, 0, 2, 2, 3, 3, 0])
    centred = x - x.mean(axis=0)
    pairs = [(centred[i], centred[j]) for i in range(9) for j in range(9) if cluster[i] != cluster[j]]
    norms = np.mean([(a @ a) * (b @ b) for a, b in pairs])
    expected = norms / np.var([a @ b for a, b in pairs])
    assert debiased_participation_ratio(x, cluster, token_energies(x)) == pytest.approx(expected)


def test_debiased_participation_ratio_is_not_fooled_by_tokens_of_one_picture() -> None:
    # 30 pictures of 20 tokens, which have 0.8 of their variance in common: 20 directions.
    rng = np.random.default_rng(6)
    naive, debiased = [], []
    for _ in range(60):
        x = rng.standard_normal((30, 1, 20)) * 0.8**0.5 + rng.standard_normal((30, 20, 20)) * 0.2**0.5
        x, cluster = x.reshape(600, 20), np.repeat(np.arange(30), 20)
        naive.append(participation_ratio(token_energies(x)))
        debiased.append(debiased_participation_ratio(x, cluster, token_energies(x)))
    assert np.median(naive) < 15
    assert np.median(debiased) == pytest.approx(20, rel=0.05)


def test_debiased_participation_ratio_needs_two_clusters() -> None:
    x = np.random.default_rng(7).standard_normal((8, 3))
    with pytest.raises(DataError, match="tokens of two clusters"):
        debiased_participation_ratio(x, np.zeros(8, dtype=int), token_energies(x))


@pytest.mark.parametrize("width", [4, 30])
def test_a_random_map_needs_only_energies(width: int) -> None:
    # Tokens through a matrix of normal weights, and their energies alone: the same ranks on average.
    rng = np.random.default_rng(8)
    tokens = rng.standard_normal((12, 9)) * np.arange(1, 10)
    mapped = [tokens @ rng.standard_normal((9, width)) / width**0.5 for _ in range(400)]
    energies = [after_random_map(token_energies(tokens), width, rng) for _ in range(400)]
    for summary in (effective_rank, participation_ratio, np.sum):
        one, other = ([summary(e) for e in each] for each in (map(token_energies, mapped), energies))
        assert np.mean(one) == pytest.approx(np.mean(other), abs=4 * (np.var(one) / 200) ** 0.5)
