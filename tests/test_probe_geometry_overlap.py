"""Overlaps of neighbour lists against loops over sets, and their nulls against all permutations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.probe.nulls import group_preserving_overlaps, mean_displacement, permutation_moments, shifted_overlaps
from chiasm.probe.overlap import knor, matches, overlap, overlaps_of_subsets, rank_biased_overlap


def random_lists(n: int, k: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)], dtype=np.int32)


def overlaps_of_sets(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    k = first.shape[1]
    return np.array(
        [np.mean([len(set(a[:size]) & set(b[:size])) / size for a, b in zip(first, second, strict=True)])
         for size in range(1, k + 1)]
    )  # fmt: skip


def relabelled(lists: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    moved = np.empty_like(lists)
    moved[permutation] = permutation[lists]
    return moved


def test_one_item_worked_by_hand() -> None:
    # Lists 1 2 3 4 and 2 1 5 3: nothing shared at k = 1, {1, 2} at 2 and 3, {1, 2, 3} at 4.
    # Displacements at k = 4: item 1 by 1, item 2 by 1, item 3 by 1, item 4 absent: 4.
    found = matches(np.array([[1, 2, 3, 4]]), np.array([[2, 1, 5, 3]]))
    assert overlap(found).shared.tolist() == [0, 2, 2, 3]
    assert overlap(found).moved.tolist() == [1, 2, 2 + 3, 3 + 4]
    assert knor(found) == pytest.approx([0, 1, 2 / 3, 3 / 4])
    # p = 0.5: 0.5 (0 + 0.5 * 1 + 0.25 * 2/3 + 0.125 * 3/4) + 0.5^4 * 3/4.
    assert rank_biased_overlap(knor(found), 0.5) == pytest.approx(0.5 * (0.5 + 1 / 6 + 0.09375) + 0.046875)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.data())
def test_equal_to_loops(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    first, second = (random_lists(n, k, data.draw(st.integers(0, 2**31))) for _ in range(2))
    found = matches(first, second)
    np.testing.assert_allclose(knor(found), overlaps_of_sets(first, second))
    moved = np.zeros(k)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        for size in range(1, k + 1):
            here, there = a[:size], b[:size]
            moved[size - 1] += sum(abs(r - there.index(x)) if x in there else size for r, x in enumerate(here))
    np.testing.assert_allclose(overlap(found).moved, moved)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.data())
def test_subsets_are_those_of_lists_without_the_others(n: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, n - 1))
    k = data.draw(st.integers(1, length))
    first, second = (random_lists(n, length, data.draw(st.integers(0, 2**31))) for _ in range(2))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    found = overlaps_of_subsets(first, second, kept[None], k)[0]
    items, shared, moved = np.zeros((3, k))
    for i in np.flatnonzero(kept):
        a, b = ([j for j in lists[i].tolist() if kept[j]] for lists in (first, second))
        for size in range(1, min(len(a), len(b), k) + 1):
            items[size - 1] += 1
            here, there = a[:size], b[:size]
            shared[size - 1] += len(set(here) & set(there))
            moved[size - 1] += sum(abs(r - there.index(x)) if x in there else size for r, x in enumerate(here))
    assert [found.items.tolist(), found.shared.tolist(), found.moved.tolist()] == [
        items.tolist(), shared.tolist(), moved.tolist()
    ]  # fmt: skip


def test_a_list_agrees_with_itself() -> None:
    lists = random_lists(30, 8, 0)
    assert knor(matches(lists, lists)).tolist() == [1.0] * 8
    assert rank_biased_overlap(np.ones(8)) == pytest.approx(1)
    assert not overlap(matches(lists, lists)).moved.any()


def test_lists_of_other_lengths() -> None:
    with pytest.raises(DataError, match="give lists of the same n and k"):
        matches(random_lists(9, 3, 0), random_lists(9, 4, 0))


@pytest.mark.parametrize("hub", [False, True])
def test_moments_are_those_of_all_permutations(hub: bool) -> None:
    first, second = random_lists(6, 3, 1), random_lists(6, 3, 2)
    if hub:  # everybody's nearest is item 0, in both spaces
        for lists in (first, second):
            for i in range(1, 6):
                lists[i] = [0, *[j for j in lists[i] if j != 0][:2]]
    curves = [
        overlaps_of_sets(first, relabelled(second, np.array(order))) for order in itertools.permutations(range(6))
    ]
    mean, deviation = permutation_moments(first, second)
    np.testing.assert_allclose(mean, np.mean(curves, axis=0))
    np.testing.assert_allclose(deviation, np.std(curves, axis=0))
    np.testing.assert_allclose(mean, np.arange(1, 4) / 5)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_mean_displacement_is_that_of_all_permutations(k: int) -> None:
    first, second = random_lists(5, k, 1), random_lists(5, k, 2)
    moved = [
        overlap(matches(first, relabelled(second, np.array(order)))).displacement[-1]
        for order in itertools.permutations(range(5))
    ]
    assert mean_displacement(5, k) == pytest.approx(np.mean(moved))


def test_shifts_are_permutations() -> None:
    first, second = random_lists(7, 3, 3), random_lists(7, 3, 4)
    order = np.random.default_rng(0).permutation(7)
    place = np.argsort(order)
    drawn = {tuple(np.round(curve, 9)) for curve in shifted_overlaps(first, second, draws=6, seed=0)}
    # Shifting by s takes the item at place q of the order to the place q - s.
    expected = set()
    for shift in range(1, 7):
        permutation = place[(order + shift) % 7]
        expected.add(tuple(np.round(overlaps_of_sets(first, relabelled(second, permutation)), 9)))
    assert drawn == expected


def test_sampled_null_has_the_exact_moments() -> None:
    rng = np.random.default_rng(5)
    # Real neighbour graphs, with hubs and mutual neighbours, of two related spaces.
    x = rng.standard_normal((400, 12))
    y = x + rng.standard_normal((400, 12))
    first, second = (
        np.argsort(((z[:, None] - z[None]) ** 2).sum(-1) + 1e9 * np.eye(400), axis=1)[:, :30].astype(np.int32)
        for z in (x, y)
    )
    mean, deviation = permutation_moments(first, second)
    drawn = shifted_overlaps(first, second, draws=4000)
    assert len(drawn) >= 4000
    np.testing.assert_allclose(drawn[:, 9:].mean(0), mean[9:], rtol=0.02)
    np.testing.assert_allclose(drawn[:, 9:].std(0), deviation[9:], rtol=0.1)
    assert (deviation[9:] > np.sqrt(mean * (1 - mean) / (400 * np.arange(1, 31)))[9:]).all(), "hubs widen the null"
    assert (knor(matches(first, second)) > drawn.max(0)).all()


def test_p_values_of_unrelated_spaces_are_uniform() -> None:
    ranks = []
    for seed in range(150):
        first, second = random_lists(40, 8, 2 * seed), random_lists(40, 8, 2 * seed + 1)
        drawn = shifted_overlaps(first, second, draws=39, seed=seed)[:, 7]
        observed = knor(matches(first, second))[7]
        noise = np.random.default_rng(seed).random(len(drawn) + 1) * 1e-6  # ties are broken at random
        ranks.append((drawn + noise[1:] < observed + noise[0]).mean())
    assert np.abs(np.quantile(ranks, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.12


def test_groups_stay_together() -> None:
    # Items 0..5 are three pairs of duplicates, each the other's nearest; 6..11 are alone, in a ring.
    nearest = np.array([1, 0, 3, 2, 5, 4, 7, 8, 9, 10, 11, 6], dtype=np.int32)[:, None]
    group = np.array([0, 0, 1, 1, 2, 2, *range(3, 9)])
    drawn = group_preserving_overlaps(nearest, nearest, group, draws=200)[:, 0]
    assert drawn.min() >= 0.5, "what the pairs make remains in every permutation"
    assert drawn.mean() == pytest.approx(0.5 + 0.5 * 1 / 5, abs=0.02), "the ring only by chance"
