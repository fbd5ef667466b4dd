"""Sampling filters against the same rules written for one row at a time."""

import math

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chiasm.errors import ConfigError
from chiasm.models.generation.sampling import Sampling, choose, filtered

one_thread = tiny.one_thread

LOGITS = arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(2, 12)), elements=st.integers(-40, 40)).map(
    # Distinct and well apart: a tie, or a sum on the very edge of top-p, may fall either way.
    lambda a: torch.from_numpy(a / 8 + np.linspace(0, 0.1, a.shape[1], dtype=np.float32))
)


def kept_by_hand(logits: list[float], sampling: Sampling) -> dict[int, float]:
    """Temperature, then top-k, then top-p, then min-p: token -> probability."""
    tokens = sorted(range(len(logits)), key=lambda i: -logits[i])
    if sampling.top_k:
        tokens = tokens[: sampling.top_k]
    weights = {i: math.exp((logits[i] - logits[tokens[0]]) / sampling.temperature) for i in tokens}
    total = sum(weights.values())
    kept, mass = [], 0.0
    for i in tokens:
        if mass >= sampling.top_p:
            break
        kept.append(i)
        mass += weights[i] / total
    kept = [i for i in kept if weights[i] >= sampling.min_p * weights[kept[0]]]
    total = sum(weights[i] for i in kept)
    return {i: weights[i] / total for i in kept}


@settings(deadline=None, max_examples=200)
@given(
    LOGITS,
    st.sampled_from([0.3, 1.0, 1.7]),
    st.integers(0, 14),
    st.sampled_from([0.117, 0.52, 0.93, 1.0]),
    st.sampled_from([0.0, 0.0213, 0.307]),
)
def test_filters_equal_the_rules_by_hand(logits, temperature, top_k, top_p, min_p) -> None:
    sampling = Sampling(temperature, top_k, top_p, min_p)
    for row, probabilities in zip(logits.tolist(), filtered(logits, sampling), strict=True):
        expected = kept_by_hand(row, sampling)
        assert probabilities.nonzero()[:, 0].tolist() == sorted(expected)
        assert probabilities.tolist() == pytest.approx([expected.get(i, 0.0) for i in range(len(row))], abs=1e-5)


def test_the_order_of_the_filters() -> None:
    """Cases where another order would keep other tokens."""
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    # top-k first: 0.5 and 0.3 become 0.625 and 0.375, so 0.6 is passed by the first. By top-p first both would stay.
    assert filtered(logits, Sampling(1.0, top_k=2, top_p=0.6)).nonzero()[:, 1].tolist() == [0]
    assert filtered(logits, Sampling(1.0, top_p=0.6)).nonzero()[:, 1].tolist() == [0, 1]
    # Temperature first: at 2 the four are .38 .29 .21 .12, so that 0.7 takes three, where at 1 it takes two.
    assert filtered(logits, Sampling(2.0, top_p=0.7)).nonzero()[:, 1].tolist() == [0, 1, 2]
    # min-p is relative to the most likely token.
    assert filtered(logits, Sampling(1.0, min_p=0.31)).nonzero()[:, 1].tolist() == [0, 1]


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(20000, 3)
    drawn = choose(logits, Sampling(1.0), Sampling(1.0).generator(torch.device("cpu")))
    shares = torch.bincount(drawn, minlength=3) / 20000
    assert shares.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)  # five standard deviations


def test_the_seed_repeats_a_draw() -> None:
    logits = torch.zeros(50, 20)

    def draw(seed: int) -> list[int]:
        sampling = Sampling(1.0, seed=seed)
        return choose(logits, sampling, sampling.generator(torch.device("cpu"))).tolist()

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


@given(LOGITS)
def test_temperature_zero_is_the_most_likely_token(logits) -> None:
    assert choose(logits, Sampling(), None).tolist() == [max(range(len(r)), key=r.__getitem__) for r in logits.tolist()]


@pytest.mark.parametrize("temperature", [1e-42, 1e-6, 1e30])
def test_extreme_temperatures_do_not_overflow(temperature: float) -> None:
    probabilities = filtered(torch.tensor([[30.0, -30.0, 20.0, -torch.inf]]), Sampling(temperature))
    assert probabilities.sum().item() == pytest.approx(1)
    assert probabilities[0, 0] >= probabilities[0, 2] >= probabilities[0, 1]
    assert probabilities[0, 3] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.1},
    ],
)
def test_impossible_settings(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Sampling(**wrong)
