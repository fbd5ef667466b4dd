"""Neighbour lists against a float64 comparison of everything with everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chiasm.errors import DataError
from chiasm.probe import neighbours
from chiasm.probe.neighbours import nearest_neighbours
from chiasm.probe.space import Points, Space, check_same_items


def space(vectors: np.ndarray, site: str = "encoder") -> Space:
    return Space(site, [f"item {i}" for i in range(len(vectors))], vectors)


def by_hand(rows: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Every list by a stable sort of float64 distances, and how many are cut between equals."""
    lists, ties = [], 0
    for i, row in enumerate(rows):
        distance = ((rows - row) ** 2).sum(axis=1)
        distance[i] = np.inf
        order = np.argsort(distance, kind="stable")
        lists.append(order[:k])
        ties += k < len(rows) - 1 and distance[order[k - 1]] == distance[order[k]]
    return np.array(lists), ties


def check(vectors: np.ndarray, k: int, **options: int) -> None:
    found = nearest_neighbours(Points(space(vectors)), k, **options)
    lists, ties = by_hand(vectors.astype(np.float64), k)
    assert found.index.dtype == np.int32
    np.testing.assert_array_equal(found.index, lists)
    assert found.ties == ties


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_points_on_a_grid_with_many_ties(data: st.DataObject) -> None:
    # Distances of whole numbers are exact, so that equal ones have to be found equal and sorted by index.
    shape = data.draw(st.tuples(st.integers(3, 60), st.integers(1, 4)))
    vectors = data.draw(arrays.arrays(np.float32, shape, elements=st.integers(-2, 2)))
    vectors[0] = 3
    check(vectors, data.draw(st.integers(1, shape[0] - 1)))


@pytest.mark.parametrize("n", [2, 3, 18, 19, 200])
@pytest.mark.parametrize("k", [1, 2, 17])
def test_small_numbers_of_items(n: int, k: int) -> None:
    if k < n:
        check(np.random.default_rng(n).standard_normal((n, 5), dtype=np.float32), k)


@pytest.mark.parametrize("memory", [1, 2**14, 2**18, 2**30])
def test_the_size_of_blocks_changes_nothing(memory: int) -> None:
    n = 60 if memory == 1 else 700
    check(np.random.default_rng(1).standard_normal((n, 33), dtype=np.float32), 40, memory=memory)


@pytest.mark.parametrize("tile", [41, 300, 699, 700])
def test_the_size_of_tiles_changes_nothing(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "TILE", tile)
    check(np.random.default_rng(9).integers(-2, 3, (700, 5)).astype(np.float32), 40)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_large_common_offset_costs_no_precision(offset: float, dtype: type) -> None:
    # fp32 products of uncentred vectors this far out would be off by about the distances between items.
    check((np.random.default_rng(2).standard_normal((300, 64)) + offset * (dtype != np.float16)).astype(dtype), 30)


def test_differences_far_below_fp32_are_told_apart() -> None:
    # All items on one line, their distances to the first growing by 1e-9 of it, in shuffled order.
    steps = 1 + 1e-9 * np.random.default_rng(3).permutation(200)
    check(np.outer(np.concatenate([[0.0], steps]), np.ones(16)), 50)


def test_one_item_far_away_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(4).standard_normal((400, 32), dtype=np.float32)
    vectors[7] *= 1e4
    asked: list[int] = []
    among_all = neighbours._among_all
    monkeypatch.setattr(
        neighbours, "_among_all", lambda points, item, k: (asked.append(item), among_all(points, item, k))[1]
    )
    check(vectors, 20)
    assert set(asked) <= {7}, "only the far item itself needs a comparison with all"


def test_all_others_vanish_beside_one_item() -> None:
    # Scaled to the far item's length, products of the others are too small for fp32.
    vectors = np.random.default_rng(4).standard_normal((60, 8))
    for size in (1e10, 1e20, 1e25):
        vectors[7] = size
        check(vectors, 10)


def test_more_duplicates_than_the_margin() -> None:
    vectors = np.random.default_rng(5).standard_normal((300, 24), dtype=np.float32)
    vectors[50:150] = vectors[50]
    check(vectors, 20)


def test_half_precision_blocks_of_a_memory_map(tmp_path) -> None:  # type: ignore[no-untyped-def]
    vectors = np.random.default_rng(6).standard_normal((100, 8)).astype(np.float16)
    np.save(tmp_path / "x.npy", vectors)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        nearest_neighbours(Points(space(mapped)), 9).index, by_hand(vectors.astype(np.float64), 9)[0]
    )


@pytest.mark.parametrize("scaling", ["raw", "centred", "z-scored"])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_metrics_and_scalings(metric: str, scaling: str) -> None:
    x = np.random.default_rng(7).standard_normal((150, 12)) * np.arange(1, 13) + np.arange(12)
    x[:, 5] = 3.3  # a feature that never varies
    expected = x
    if scaling != "raw":
        expected = x - x.mean(axis=0)
    if scaling == "z-scored":
        expected = np.delete(expected, 5, axis=1) / np.delete(x, 5, axis=1).std(axis=0)
    if metric == "cosine":
        similarity = (expected @ expected.T) / np.outer(*[np.linalg.norm(expected, axis=1)] * 2)
        np.fill_diagonal(similarity, -np.inf)
        lists = np.argsort(-similarity, axis=1)[:, :20]
    else:
        lists = by_hand(expected, 20)[0]
    np.testing.assert_array_equal(nearest_neighbours(Points(space(x), metric, scaling), 20).index, lists)


def test_a_norm_of_rows_comes_first() -> None:
    x = np.random.default_rng(8).standard_normal((80, 12)) + 5

    def layer_norm(rows: np.ndarray) -> np.ndarray:
        return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)

    expected = by_hand(layer_norm(x), 10)[0]
    normed = Space("connector.in", [str(i) for i in range(80)], x, layer_norm)
    np.testing.assert_array_equal(nearest_neighbours(Points(normed), 10).index, expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1e-20, 1e-3, 1.0, 1e6]))
def test_rotation_scale_and_order_of_items_change_nothing(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((60, 10))
    rotation = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    order = rng.permutation(60)
    plain = nearest_neighbours(Points(space(x)), 12).index
    moved = nearest_neighbours(Points(space((x @ rotation * scale)[order])), 12).index
    np.testing.assert_array_equal(order[moved], plain[order])


@pytest.mark.parametrize("k", [0, 5, 6])
def test_k_that_n_items_do_not_have(k: int) -> None:
    with pytest.raises(DataError, match=f"5 items have 4 neighbours each, {k} were asked for"):
        nearest_neighbours(Points(space(np.eye(5))), k)


def test_what_a_space_refuses() -> None:
    x = np.eye(4)
    x[2, 1] = np.nan
    with pytest.raises(DataError, match=r"connector: the vector of item 'item 2' holds NaN"):
        space(x, "connector")
    with pytest.raises(DataError, match="1 item; geometry compares items"):
        space(np.ones((1, 4)))
    with pytest.raises(DataError, match="item 'a' comes twice"):
        Space("encoder", ["b", "a", "a"], np.eye(3))
    with pytest.raises(DataError, match=r"2 ids, but vectors of shape \(3, 3\)"):
        Space("encoder", ["b", "a"], np.eye(3))
    with pytest.raises(DataError, match="item 'item 1' is a zero vector"):
        Points(space(np.diag([1.0, 0.0, 1.0])), "cosine")
    with pytest.raises(DataError, match="not finite after the norm"):
        Points(Space("connector.in", ["a", "b"], np.eye(2), lambda rows: np.full_like(rows, np.nan)))
    with pytest.raises(DataError, match="all 6 items are identical"):
        nearest_neighbours(Points(space(np.full((6, 7), 0.1))), 2)


def test_spaces_of_other_items() -> None:
    first = Space("encoder", ["a", "b", "c"], np.eye(3))
    check_same_items(first, Space("connector", ("a", "b", "c"), np.eye(3)))
    with pytest.raises(DataError, match="connector lacks 1 of the items of encoder, 'c' for one"):
        check_same_items(first, Space("connector", ["a", "b", "d"], np.eye(3)))
    with pytest.raises(DataError, match="same items in another order"):
        check_same_items(first, Space("connector", ["b", "a", "c"], np.eye(3)))
