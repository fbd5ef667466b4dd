"""Damages do exactly what they say: how much is left, what is nested in what, and what stays the same."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import ConfigError
from chiasm.models.features import Features
from chiasm.probe.perturb import (
    Perturb,
    distortion,
    energy_kept,
    haar_rotation,
    mixed,
    noised,
    noised_like,
    rank_kept,
    tokens_masked,
    tokens_removed,
)

SHARE = st.floats(0, 1)


def pictures(*grids: tuple[int, int], width: int = 5, seed: int = 0) -> Features:
    tokens = torch.randn(sum(r * c for r, c in grids), width, generator=torch.Generator().manual_seed(seed)) + 0.5
    return Features(tokens, grids, "connector")


def centred(tokens: torch.Tensor) -> torch.Tensor:
    return (tokens - tokens.mean(0)).double()


MIX = haar_rotation(5, seed=3)
FAMILIES: list[Callable[[float], Perturb]] = [
    lambda share: tokens_masked(share, torch.zeros(5)),
    lambda share: tokens_removed(share),
    lambda share: rank_kept(round(4 * share)),
    lambda share: energy_kept(share),
    lambda share: mixed(share, MIX),
    lambda share: noised(share),
]


@pytest.mark.parametrize("family", range(len(FAMILIES)))
@settings(max_examples=15, deadline=None)
@given(level=SHARE)
def test_a_picture_is_damaged_alike_in_any_batch(family: int, level: float) -> None:
    damage = FAMILIES[family](level)
    features = pictures((3, 4), (2, 2), (1, 7))
    together = damage(features, ["a", "b", "c"]).split()
    for index, name in enumerate("abc"):
        assert torch.equal(damage(features.select([index]), [name]).tokens, together[index])


@given(weaker=SHARE, stronger=SHARE)
@settings(max_examples=40, deadline=None)
def test_masks_are_nested_and_count_tokens(weaker: float, stronger: float) -> None:
    weaker, stronger = sorted((weaker, stronger))
    features, fill = pictures((4, 5), (3, 3)), torch.full((5,), 9.0)
    masked = [tokens_masked(share, fill)(features, ["a", "b"]) for share in (weaker, stronger)]
    where = [[(part == 9).all(1) for part in one.split()] for one in masked]
    for less, more, length in zip(*where, (20, 9), strict=True):
        assert (int(less.sum()), int(more.sum())) == (round(weaker * length), round(stronger * length))
        assert not (less & ~more).any()
    kept = torch.cat(where[1]).logical_not()
    assert torch.equal(masked[1].tokens[kept], features.tokens[kept])


def test_masks_differ_between_pictures_and_seeds() -> None:
    features = pictures((6, 6), (6, 6))
    one, other = tokens_masked(0.5, torch.zeros(5))(features, ["a", "b"]).split()
    again = tokens_masked(0.5, torch.zeros(5), seed=1)(features, ["a", "b"]).split()[0]
    assert not torch.equal(one == 0, other == 0)
    assert not torch.equal(one == 0, again == 0)


@given(share=SHARE)
@settings(max_examples=30, deadline=None)
def test_removal_takes_the_tokens_that_masking_takes(share: float) -> None:
    features = pictures((3, 4), (1, 1))
    removed = tokens_removed(share)(features, ["a", "b"])
    kept = (tokens_masked(share, torch.full((5,), torch.inf))(features, ["a", "b"]).tokens != torch.inf).all(1)
    expected = features.tokens[:12][kept[:12]]
    if share < 0.95:
        assert torch.equal(removed.split()[0], expected)
    assert removed.grids == ((1, max(1, 12 - round(share * 12))), (1, 1))
    assert torch.equal(removed.split()[1], features.tokens[12:])


@pytest.mark.parametrize("grid", [(2, 4), (4, 6)])  # fewer tokens than features, and more
@pytest.mark.parametrize("rank", [0, 1, 3, 20])
def test_rank_kept_is_the_truncated_svd(grid: tuple[int, int], rank: int) -> None:
    features = pictures(grid, width=12)
    x = centred(features.tokens)
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    s[rank:] = 0
    expected = (u * s) @ v + features.tokens.double().mean(0)
    torch.testing.assert_close(rank_kept(rank)(features, ["a"]).tokens.double(), expected, rtol=1e-5, atol=1e-5)


@given(share=SHARE, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_exactly_the_share_of_energy_is_left(share: float, seed: int) -> None:
    features = pictures((3, 4), (5, 5), width=8, seed=seed)
    damaged = energy_kept(share)(features, ["a", "b"])
    for before, after in zip(features.split(), damaged.split(), strict=True):
        energy, left = centred(before).square().sum(), centred(after).square().sum()
        assert float(left / energy) == pytest.approx(share, abs=1e-5)
        assert torch.allclose(before.mean(0), after.mean(0), atol=1e-5)


def test_equal_energy_is_not_equal_rank() -> None:
    """Tokens along one direction keep half of their energy at rank 1, as does noise at rank 4 or so."""
    steep, flat = pictures((4, 4), width=8), pictures((4, 4), width=8)
    steep.tokens[:, 1:] *= 0.01
    for features, least, most in ((steep, 1, 1), (flat, 2, 5)):
        spectrum = torch.linalg.svdvals(centred(energy_kept(0.5)(features, ["a"]).tokens))
        assert least <= int((spectrum > 1e-3 * spectrum[0]).sum()) <= most


def test_identical_tokens_stay_as_they_are() -> None:
    features = Features(torch.full((6, 3), 2.5), ((2, 3),), "connector")
    for damage in (rank_kept(1), energy_kept(0.5), rank_kept(0)):
        torch.testing.assert_close(damage(features, ["a"]).tokens, features.tokens)


def test_a_rotation_keeps_angles_and_norms() -> None:
    torch.testing.assert_close(MIX @ MIX.T, torch.eye(5))
    features = pictures((3, 3))
    turned = mixed(1.0, MIX)(features, ["a"]).tokens
    torch.testing.assert_close(turned @ turned.T, features.tokens @ features.tokens.T)
    assert torch.equal(mixed(0.0, MIX)(features, ["a"]).tokens, features.tokens)
    half = mixed(0.5, MIX)(features, ["a"]).tokens
    torch.testing.assert_close(half, (features.tokens + features.tokens @ MIX) / 2)


def test_rotations_are_uniform() -> None:
    """Every entry of a Haar matrix has mean 0 and variance 1 / width; QR without the signs would favour a negative
    diagonal."""
    draws = torch.stack([haar_rotation(4, seed) for seed in range(2000)])
    assert draws.mean(0).abs().max() < 0.05
    torch.testing.assert_close(draws.square().mean(0), torch.full((4, 4), 0.25), rtol=0, atol=0.03)


@given(level=st.floats(0, 4))
@settings(max_examples=30, deadline=None)
def test_noise_has_the_norm_it_should_have(level: float) -> None:
    features = pictures((3, 4), (2, 5))
    for value in distortion(features, noised(level)(features, ["a", "b"])):
        assert value == pytest.approx(level, rel=1e-4, abs=1e-6)


def test_stronger_noise_is_the_same_noise() -> None:
    features = pictures((3, 4))
    weak, strong = (noised(level)(features, ["a"]).tokens - features.tokens for level in (0.5, 2.0))
    torch.testing.assert_close(strong, 4 * weak, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("other", [tokens_masked(0.4, torch.zeros(5)), rank_kept(1), mixed(0.7, MIX), noised(0.0)])
def test_noise_of_the_same_norm(other: Perturb) -> None:
    features = pictures((3, 4), (4, 4))
    wanted = distortion(features, other(features, ["a", "b"]))
    assert distortion(features, noised_like(other)(features, ["a", "b"])) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tokens_masked(1.2, torch.zeros(5)),
        lambda: tokens_removed(-0.1),
        lambda: energy_kept(float("nan")),
        lambda: mixed(2, MIX),
        lambda: noised(-1),
        lambda: noised(float("nan")),
        lambda: rank_kept(-1),
    ],
)
def test_impossible_levels(make: Callable[[], Perturb]) -> None:
    with pytest.raises(ConfigError, match="; give "):
        make()
