"""Attention as the models do it against attention written out."""

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Document, Masked, documents, randomise

from chiasm.data.sequence import Picture, Text, compose, pack
from chiasm.models.nn import attention
from chiasm.models.nn.attention import Attention, Everything, lower, scaled_dot_product
from chiasm.models.nn.rope import angles, rotate

one_thread = tiny.one_thread
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_short_rows_equal_the_fused_kernel(short: bool, masked: bool, kv_heads: int, monkeypatch) -> None:
    if not short:
        monkeypatch.setattr(attention, "SHORT", 0)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 4, 5, 8), torch.randn(3, kv_heads, 7, 8), torch.randn(3, kv_heads, 7, 8)
    mask = (torch.rand(3, 1, 5, 7) < 0.5) if masked else None
    if mask is not None:
        mask[..., 0] = True
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(scaled_dot_product(q, k, v, mask), expected, **CLOSE)


def qkv(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(n, 4, 8, generator=generator)
    k, v = torch.randn(n, 2, 8, generator=generator), torch.randn(n, 2, 8, generator=generator)
    return 2 * q, k, v


@settings(deadline=None, max_examples=40)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_lowered_pattern_equals_the_dense_mask(built: list[Document]) -> None:
    packed = pack([compose(*d) for d in built])
    states = qkv(len(packed.sequence))
    torch.testing.assert_close(lower(packed)(0, *states), Masked(packed)(0, *states), **CLOSE)


@settings(deadline=None, max_examples=10)
@given(st.lists(documents(longest=90, most_branches=5), min_size=1, max_size=2))
def test_lowered_pattern_equals_the_dense_mask_at_ragged_lengths(built: list[Document]) -> None:
    packed = pack([compose(*d) for d in built])
    states = qkv(len(packed.sequence))
    torch.testing.assert_close(lower(packed)(0, *states), Masked(packed)(0, *states), **CLOSE)


def test_lowered_pattern_skips_most_of_the_masked_part() -> None:
    questions = [[Text([1] * (6 + k % 3))] for k in range(10)]
    packed = pack([compose([Text([1]), Picture(0, 36, True)], questions)] * 8)
    scores = sum(rows.mask.numel() for rows in lower(packed).rows)
    assert scores < len(packed.sequence) ** 2 / 10


def test_attention_without_a_mask_stays_within_its_row() -> None:
    q, k, v = qkv(12)
    k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    together = Everything(4)(0, q, k, v)
    for start in range(0, 12, 4):
        own = slice(start, start + 4)
        weights = (torch.einsum("qhd,khd->hqk", q[own], k[own]) / 8**0.5).softmax(-1)
        expected = torch.einsum("hqk,khd->qhd", weights, v[own]).flatten(1)
        torch.testing.assert_close(together[own], expected, **CLOSE)


def test_gradients_of_the_lowered_pattern_equal_the_dense_mask() -> None:
    packed = pack([compose([Text([1]), Picture(0, 3, True)], [[Text([1, 2])], [Text([3] * 4)]]), compose([Text([4])])])
    gradients = []
    for attend in (lower(packed), Masked(packed)):
        states = [t.requires_grad_() for t in qkv(len(packed.sequence))]
        output = attend(0, *states)
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
        gradients.append([t.grad for t in states])
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, **CLOSE)


def test_grouped_keys_are_shared_by_neighbouring_heads() -> None:
    """Repeating the key and value weights turns grouped attention into the ordinary one."""
    grouped = randomise(Attention(16, heads=4, kv_heads=2))
    full = Attention(16, heads=4)
    with torch.no_grad():
        q, k, v = grouped.qkv.weight.split([16, 8, 8])
        k, v = (t.view(2, 4, 16).repeat_interleave(2, 0).reshape(16, 16) for t in (k, v))
        full.qkv.weight.copy_(torch.cat([q, k, v]))
        full.out.weight.copy_(grouped.out.weight)
    x, attend = torch.randn(5, 16), Everything(5)
    rope = angles(torch.arange(5), 4, 100.0)
    torch.testing.assert_close(grouped(x, 0, attend, rope), full(x, 0, attend, rope), **CLOSE)


def test_rotation_is_a_product_of_complex_numbers() -> None:
    x, positions = torch.randn(3, 2, 8), torch.tensor([0, 1, 7])
    turned = rotate(x, *angles(positions, 8, 100.0)).double().numpy()
    pairs = x.double().numpy()[..., :4] + 1j * x.double().numpy()[..., 4:]
    frequency = 100.0 ** -(np.arange(4) / 4)
    expected = pairs * np.exp(1j * positions.numpy()[:, None, None] * frequency)
    np.testing.assert_allclose(turned[..., :4] + 1j * turned[..., 4:], expected, atol=1e-5)


def test_rotated_scores_depend_on_distance_alone() -> None:
    q, k = torch.randn(1, 1, 8), torch.randn(1, 1, 8)

    def score(at: int, other: int) -> float:
        turn = [angles(torch.tensor([p]), 8, 10000.0) for p in (at, other)]
        return (rotate(q, *turn[0]) * rotate(k, *turn[1])).sum().item()

    assert score(9, 4) == pytest.approx(score(105, 100), abs=1e-4)
    assert score(9, 4) != pytest.approx(score(9, 5), abs=1e-4)
