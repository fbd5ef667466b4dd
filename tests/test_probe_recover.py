"""Recoverability against maps whose answer is known: linear ones, projections, noise, and inputs that hold nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.probe.epochs import Schedule
from chiasm.probe.reconstructors import PENALTIES, Pairs, PerTokenMLP, Ridge, SequenceModel, reconstructor_named
from chiasm.probe.recover import learning_curve, recover
from chiasm.probe.result import Measurement
from chiasm.probe.split import split_pictures


def noise(count: int, width: int, grid: tuple[int, int] = (2, 2), site: str = "encoder", seed: int = 0) -> Features:
    tokens = torch.randn(count * grid[0] * grid[1], width, generator=torch.Generator().manual_seed(seed))
    return Features(tokens, (grid,) * count, site)


def mapped(features: Features, matrix: torch.Tensor) -> Features:
    return replace(features, tokens=features.tokens @ matrix, site="connector")


def by_name(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {measurement.name: measurement for measurement in measurements}


def test_a_linear_map_can_be_undone() -> None:
    e_pre = noise(40, 6)
    e_post = mapped(e_pre, torch.randn(6, 9, generator=torch.Generator().manual_seed(1)))
    e_post = replace(e_post, tokens=5 + 100 * e_post.tokens)
    found = by_name(recover(e_post, e_pre).measurements)
    assert found["ridge.r2"].value == pytest.approx(1, abs=1e-6)
    assert found["ridge.mse"].value == pytest.approx(0, abs=1e-6)
    assert found["ridge.cosine"].value == pytest.approx(1, abs=1e-6)
    assert found["ridge.r2"].ci_low == pytest.approx(1, abs=1e-5)
    assert found["ridge.r2"].ceiling is not None
    assert found["ridge.r2"].ceiling.value == pytest.approx(1, abs=1e-6)
    assert found["ridge.r2"].null is not None
    assert abs(found["ridge.r2"].null.value) < 0.2
    assert found["ridge.r2"].n == found["ridge.r2"].clusters == 10


@pytest.mark.parametrize("kept", [1, 6, 11])
def test_a_projection_loses_the_share_of_variance_that_it_takes(kept: int) -> None:
    """Of 12 independent features of equal variance a random projection to `kept` directions leaves kept / 12."""
    e_pre = noise(400, 12, (4, 4))
    basis = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(2))).Q[:, :kept]
    found = by_name(recover(mapped(e_pre, basis), e_pre).measurements)["ridge.r2"]
    assert found.value == pytest.approx(kept / 12, abs=0.02)
    # With 2,000 training tokens of noise the rest can't even seem to be recovered.
    assert found.ci_low is not None
    assert found.ci_low < kept / 12 + 0.01


def test_a_dropped_feature_counts_by_its_standardised_variance() -> None:
    """One of four features is lost. It has nearly all of the raw variance, and a quarter of the standardised one."""
    e_pre = noise(300, 4, (3, 3))
    e_pre = replace(e_pre, tokens=e_pre.tokens * torch.tensor([1000.0, 1, 1, 1]))
    found = by_name(recover(replace(e_pre, tokens=e_pre.tokens[:, 1:], site="connector"), e_pre).measurements)
    assert found["ridge.r2"].value == pytest.approx(0.75, abs=0.03)


def test_noise_of_known_size_leaves_a_known_share() -> None:
    """x + e with equal variances: the best linear prediction of x explains half of it."""
    e_pre, other = noise(300, 5, (3, 3)), noise(300, 5, (3, 3), seed=9)
    e_post = replace(e_pre, tokens=e_pre.tokens + other.tokens, site="connector")
    assert by_name(recover(e_post, e_pre).measurements)["ridge.r2"].value == pytest.approx(0.5, abs=0.03)


def test_merged_squares_can_be_taken_apart() -> None:
    """A connector that turns each 2 x 2 square of tokens by one rotation loses nothing, though it has fewer tokens."""
    e_pre = noise(60, 3, (4, 6))
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(3))).Q
    squares = e_pre.tokens.view(60, 2, 2, 3, 2, 3).transpose(2, 3).reshape(-1, 12)
    e_post = Features(squares @ rotation, ((2, 3),) * 60, "connector")
    result = recover(e_post, e_pre)
    assert by_name(result.measurements)["ridge.r2"].value == pytest.approx(1, abs=1e-6)
    truth = e_pre.select(result.test.tolist())
    torch.testing.assert_close(result.reconstructed["ridge"].tokens, truth.tokens, rtol=1e-3, atol=1e-3)
    assert result.reconstructed["ridge"].grids == truth.grids


def test_pictures_of_different_sizes() -> None:
    grids = tuple([(4, 4), (6, 2), (4, 8)][i % 3] for i in range(45))
    tokens = torch.randn(sum(r * c for r, c in grids), 4, generator=torch.Generator().manual_seed(4))
    e_pre = Features(tokens, grids, "encoder")
    merged = [
        part.view(r // 2, 2, c // 2, 2, 4).transpose(1, 2).reshape(-1, 16)
        for part, (r, c) in zip(e_pre.split(), grids, strict=True)
    ]
    e_post = Features(torch.cat(merged), tuple((r // 2, c // 2) for r, c in grids), "connector")
    assert by_name(recover(e_post, e_pre).measurements)["ridge.r2"].value == pytest.approx(1, abs=1e-6)


def test_ridge_is_the_naive_solution_with_the_penalty_that_validates_best() -> None:
    e_pre = noise(30, 3)
    e_post = replace(noise(30, 5, seed=1), site="connector")
    e_post.tokens[:, 0] += e_pre.tokens[:, 0]
    x, y = e_post.tokens.double(), e_pre.tokens.double()
    train, validation, test = slice(0, 60), slice(60, 80), slice(80, 120)
    results = []
    for penalty in PENALTIES:
        shift_x, shift_y = x[train].mean(0), y[train].mean(0)
        centred = x[train] - shift_x
        strength = penalty * centred.square().sum() / 5 * torch.eye(5, dtype=torch.float64)
        weights = torch.linalg.solve(centred.T @ centred + strength, centred.T @ (y[train] - shift_y))
        new = (x - shift_x) @ weights + shift_y
        results.append((float((new[validation] - y[validation]).square().sum()), new[test]))
    best = min(results, key=lambda result: result[0])[1]

    def pairs(first: int, last: int) -> Pairs:
        return Pairs(e_post.select(range(first, last)), e_pre.select(range(first, last)))

    predict = Ridge().fit(pairs(0, 15), pairs(15, 20))
    torch.testing.assert_close(
        predict(e_post.select(range(20, 30)), e_pre.grids[20:]).double(), best, rtol=1e-4, atol=1e-5
    )


def test_fewer_components_recover_less() -> None:
    e_pre = noise(100, 8)
    scale = torch.diag(torch.arange(8, 0, -1).float())
    values = [
        by_name(recover(mapped(e_pre, scale), e_pre, [size]).measurements)[f"{size.name}.r2"].value
        for size in (Ridge(2), Ridge(5), Ridge())
    ]
    # Standardised inputs have no strongest directions but those of the sample, so each component brings its eighth.
    assert values == pytest.approx([2 / 8, 5 / 8, 1], abs=0.1)


def test_a_network_adds_what_is_not_linear() -> None:
    e_post = noise(150, 3, (3, 3), "connector")
    e_pre = replace(e_post, tokens=torch.cat([e_post.tokens, e_post.tokens.square()], dim=1), site="encoder")
    mlp = PerTokenMLP(64, Schedule(epochs=12, batch=64))
    found = by_name(recover(e_post, e_pre, [Ridge(), mlp]).measurements)
    assert found["ridge.r2"].value == pytest.approx(0.5, abs=0.1)
    assert found["mlp-64.r2"].value is not None
    assert found["mlp-64.r2"].value > 0.9


def test_a_network_is_never_worse_than_the_ridge_it_starts_from() -> None:
    """There is nothing to learn beyond the linear map, so the start validates best."""
    e_pre = noise(30, 6)
    e_post = replace(e_pre, tokens=e_pre.tokens[:, :3] * 2, site="connector")
    for network in (PerTokenMLP(16, Schedule(3, 32, learning_rate=1.0)), SequenceModel(32, 1, Schedule(2, 8, 1.0))):
        found = by_name(recover(e_post, e_pre, [Ridge(), network]).measurements)
        assert found[f"{network.name}.r2"].value == pytest.approx(found["ridge.r2"].value, abs=1e-3)


def test_a_sequence_model_finds_tokens_wherever_they_went() -> None:
    """Three latents without places, each the sum of two of the six tokens: half of the variance can be had back."""
    e_pre = noise(160, 4, (2, 3))
    parts = e_pre.tokens.view(160, 6, 4)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(5))
    latents = parts[:, order[:3]] + parts[:, order[3:]]
    e_post = Features(latents.reshape(-1, 4), ((1, 3),) * 160, "connector")
    with pytest.raises(DataError, match=r"picture 0: tokens on grids of \(1, 3\) and \(2, 3\) share no cells"):
        recover(e_post, e_pre)
    first, second, third = range(100), range(100, 120), range(120, 160)
    model = SequenceModel(32, 1, Schedule(epochs=12, batch=8, learning_rate=5e-3))
    predict = model.fit(*(Pairs(e_post.select(part), e_pre.select(part)) for part in (first, second)))
    truth = e_pre.select(third)
    left = predict(e_post.select(third), truth.grids) - truth.tokens
    assert 0.3 < float(1 - left.square().sum() / truth.tokens.square().sum()) < 0.5


def test_yardsticks_and_round_trip() -> None:
    e_pre = noise(80, 6)
    keep = torch.eye(6)[:, :4]
    control = mapped(e_pre, torch.eye(6)[:, :2])
    result = recover(mapped(e_pre, keep), e_pre, untrained=control, connect=lambda features: mapped(features, keep))
    found = by_name(result.measurements)
    assert found["ridge.r2"].control is not None
    assert found["ridge.r2"].control.value == pytest.approx(2 / 6, abs=0.06)
    # What the connector takes off can't be had back, and the connector does not miss it.
    assert found["ridge.r2"].value == pytest.approx(4 / 6, abs=0.06)
    assert found["ridge.round_trip_r2"].value == pytest.approx(1, abs=1e-3)
    assert found["ridge.round_trip_cosine"].value == pytest.approx(1, abs=1e-3)
    assert found["ridge.round_trip_r2"].null is not None
    assert found["ridge.round_trip_r2"].null.value < 0.2


def test_cosine_of_features_with_an_offset_says_nothing_without_its_null() -> None:
    """The flaw of a reported cosine of .95: features far from the origin have it whatever is predicted."""
    e_pre = noise(60, 6)
    e_pre = replace(e_pre, tokens=e_pre.tokens + 20)
    found = by_name(recover(replace(noise(60, 6, seed=7), site="connector"), e_pre).measurements)
    assert found["ridge.cosine"].value is not None
    assert found["ridge.cosine"].null is not None
    assert found["ridge.cosine"].value > 0.99
    assert found["ridge.cosine"].null.value == pytest.approx(found["ridge.cosine"].value, abs=0.001)
    assert found["ridge.r2"].value == pytest.approx(0, abs=0.05)


def test_learning_curve() -> None:
    e_pre, other = noise(160, 10), noise(160, 10, seed=8)
    e_post = replace(e_pre, tokens=e_pre.tokens + 0.3 * other.tokens, site="connector")
    found = learning_curve(e_post, e_pre, [Ridge(3), Ridge()], shares=(0.05, 1.0))
    assert [m.name for m in found] == ["ridge-3.r2@5", "ridge.r2@5", "ridge-3.r2@96", "ridge.r2@96"]
    values = [m.value for m in found]
    assert values[3] > values[1] + 0.02
    assert values[3] > values[2] + 0.3
    assert found[0].flags == ()
    assert found[0].settings["train"] == 5
    assert "still rises" in found[3].flags[-1]
    assert learning_curve(e_post, e_pre, [Ridge()], shares=(1.0,))[0].flags == ()
    flat = learning_curve(e_post, e_pre, [Ridge()], shares=(0.9, 1.0))
    assert flat[1].flags == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=80), st.integers(0, 1000), st.floats(0.01, 1))
def test_split_keeps_clusters_together(labels: list[int], seed: int, share: float) -> None:
    try:
        split = split_pictures(len(labels), labels, seed=seed)
    except DataError as error:
        assert "can't be split" in str(error)  # noqa: PT017
        return
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert sum(len({labels[i] for i in part}) for part in parts) == len(set(labels))
    fewer, still_fewer = split.smaller_train(share, seed), split.smaller_train(share / 2, seed)
    assert set(still_fewer) <= set(fewer) <= set(split.train)
    assert {labels[i] for i in fewer}.isdisjoint(labels[i] for i in set(split.train) - set(fewer))


def test_many_pictures_are_split_by_the_shares() -> None:
    split = split_pictures(1000)
    assert [len(split.train), len(split.validation), len(split.test)] == [600, 150, 250]


def test_one_picture() -> None:
    with pytest.raises(DataError, match="1 pictures in 1 clusters can't be split"):
        recover(noise(1, 3, site="connector"), noise(1, 3))


def test_pictures_of_one_folder_can_not_be_split() -> None:
    with pytest.raises(DataError, match="group them more finely"):
        recover(noise(20, 3, site="connector"), noise(20, 3), clusters=["one"] * 20)


def test_constant_features_are_flagged_and_count_for_nothing() -> None:
    e_pre = noise(40, 4)
    e_pre.tokens[:, 1] = 7.1
    found = by_name(recover(mapped(e_pre, torch.eye(4)), e_pre).measurements)["ridge.r2"]
    assert found.value == pytest.approx(1, abs=1e-6)
    assert "1 of 4 features of encoder are constant and count for nothing" in found.flags
    e_pre.tokens[:] = torch.tensor([1.0, 7.1, 0, -3])
    found = by_name(recover(noise(40, 4, site="connector"), e_pre).measurements)["ridge.r2"]
    assert found.value is None
    assert any("doesn't vary" in flag for flag in found.flags)


def test_features_that_say_nothing() -> None:
    """A constant E_post: the best is the mean, an R2 of 0 up to the difference between training and test."""
    e_post = replace(noise(60, 4, site="connector"), tokens=torch.full((240, 4), 3.0))
    assert by_name(recover(e_post, noise(60, 4)).measurements)["ridge.r2"].value == pytest.approx(0, abs=0.05)


def test_bad_input() -> None:
    broken = noise(20, 4)
    broken.tokens[17, 2] = float("nan")
    with pytest.raises(DataError, match="encoder: there are features that are not finite"):
        recover(noise(20, 4, site="connector"), broken)
    with pytest.raises(DataError, match="19 pictures at connector, 20 at encoder"):
        recover(noise(19, 4, site="connector"), noise(20, 4))
    with pytest.raises(ConfigError, match="no reconstructor is called 'rigde'; did you mean 'ridge'"):
        reconstructor_named("rigde")


def test_too_few_test_pictures_have_no_interval() -> None:
    found = by_name(recover(noise(8, 3, site="connector"), noise(8, 3)).measurements)["ridge.r2"]
    assert found.ci_low is None
    assert found.flags == ("2 independent test pictures: no interval",)


def test_pictures_of_a_size_of_their_own_are_flagged() -> None:
    grids = ((2, 2),) * 39 + ((2, 4),)
    tokens = torch.randn(39 * 4 + 8, 3, generator=torch.Generator().manual_seed(0))
    found = recover(Features(tokens, grids, "connector"), Features(tokens, grids, "encoder")).measurements
    assert found[0].flags == ("1 pictures have a size of their own and keep their features in the null",)


def test_few_training_tokens_are_flagged() -> None:
    found = by_name(recover(noise(30, 100, (1, 1), "connector"), noise(30, 3, (1, 1))).measurements)["ridge.r2"]
    assert "18 training tokens of width 100: a lower bound, far from tight" in found.flags
