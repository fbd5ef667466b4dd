"""Pictures of the world are familiar, others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.models.familiarity import Familiarity, pooled
from chiasm.models.features import Features

WIDTH = 16


@pytest.fixture(scope="module")
def world() -> torch.Tensor:
    """Gaussian features, correlated and of unequal spread, as those of an encoder."""
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH)).Q
    return torch.randn(4000, WIDTH) * torch.logspace(-0.5, 0.5, WIDTH) @ turn + 3


@pytest.fixture(scope="module")
def fitted(world: torch.Tensor) -> Familiarity:
    return Familiarity.fit(world[:2000], world[2000:3000])


def test_distance_by_hand() -> None:
    plain = Familiarity(torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 0.0], [0.0, 0.5]]), 1.0)
    there = torch.tensor([[1.0, 2.0], [2.0, 2.0], [1.0, 6.0], [2.0, 6.0]])
    assert plain.distance(there).tolist() == pytest.approx([0.0, 2**0.5, 2**0.5, 2.0])


def test_distance_is_mahalanobis(world: torch.Tensor) -> None:
    exact = Familiarity.fit(world[:2000], world[2000:], ridge=0.0)
    data = world[:2000].double().numpy()
    away = world[3000:3020].double().numpy() - data.mean(0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(data.T)), away) / WIDTH)
    assert exact.distance(world[3000:3020]).numpy() == pytest.approx(expected, rel=1e-3)


def test_the_world_is_familiar_and_a_shifted_one_is_not(world: torch.Tensor, fitted: Familiarity) -> None:
    unseen = world[3000:]
    assert fitted.distance(unseen).mean().item() == pytest.approx(1.0, abs=0.15)
    assert (fitted.distance(unseen) > fitted.threshold).float().mean() < 0.01
    assert (fitted.distance(unseen + 10) > fitted.threshold).float().mean() > 0.99
    assert (fitted.distance(unseen.flip(1)) > fitted.threshold).float().mean() > 0.5, "same values, other directions"


def test_saving_keeps_the_verdict(world: torch.Tensor, fitted: Familiarity, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    loaded = Familiarity.load(tmp_path)
    assert loaded is not None
    assert loaded.threshold == pytest.approx(fitted.threshold)
    torch.testing.assert_close(loaded.distance(world), fitted.distance(world), rtol=0.01, atol=0.01)


def test_a_model_without_it_says_so(tmp_path: Path) -> None:
    assert Familiarity.load(tmp_path) is None


def test_pooling_is_the_mean_and_spread_of_each_picture() -> None:
    tokens = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    both = pooled(Features(tokens, ((1, 2), (1, 1)), "encoder"))
    assert both.tolist() == [[2.0, 1.0, 1.0, 1.0], [5.0, 5.0, 0.0, 0.0]]
