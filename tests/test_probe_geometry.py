"""The scenarios that mislead a bare number, and the yardsticks that show it."""

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.probe.duplicates import collapse, duplicate_groups, duplicate_share
from chiasm.probe.geometry import Comparer, Geometry, compare_spaces, overlap_measurements
from chiasm.probe.hubness import hubness, occurrences
from chiasm.probe.neighbours import Neighbours, nearest_neighbours
from chiasm.probe.overlap import knor, matches
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.space import Points, Space

N = 1500


def space(vectors: np.ndarray, site: str = "encoder") -> Space:
    return Space(site, [f"item {i}" for i in range(len(vectors))], vectors)


def related(n: int = N, noise: float = 0.23) -> tuple[np.ndarray, np.ndarray]:
    """Two views of the same 12 hidden causes, with noise of their own."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((n, 12))
    return tuple(causes @ rng.standard_normal((12, 48)) / 3.5 + noise * rng.standard_normal((n, 48)) for _ in range(2))


def overlap(first: Space, second: Space, scaling: str = "raw", k: int = 10) -> float:
    lists = [nearest_neighbours(Points(one, "l2", scaling), k).index for one in (first, second)]
    return float(knor(matches(*lists))[k - 1])


def by_name(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {m.name: m for m in measurements if len(m.sites) == 2}


def test_one_outlier_dimension_hides_what_is_shared_and_z_scores_show_it() -> None:
    x, y = related()
    massive = np.column_stack([x, 20 * np.random.default_rng(1).standard_normal(N)])
    plain = overlap(space(x), space(y))
    assert plain == pytest.approx(0.42, abs=0.05)
    assert overlap(space(massive), space(y)) < 0.15
    assert overlap(space(massive), space(y), "z-scored") == pytest.approx(plain, abs=0.04)


def with_duplicates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two unrelated spaces in which the same 408 items, 27 %, stand in groups of six near duplicates."""
    rng = np.random.default_rng(2)
    groups = 68
    picture = np.concatenate([np.repeat(np.arange(groups), 6), np.arange(groups, N - 5 * groups)])
    picture = picture[rng.permutation(N)]
    views = [rng.standard_normal((picture.max() + 1, 40))[picture] for _ in range(2)]
    return *(view + 0.01 * rng.standard_normal(view.shape) for view in views), picture


def test_duplicates_make_unrelated_spaces_agree_and_the_null_knows() -> None:
    x, y, picture = with_duplicates()
    first, second = space(x), space(y, "connector")
    found = by_name(compare_spaces(first, second, Geometry(ks=(10, 100)), clusters=picture.tolist()))
    knor10 = found["knor@10"]
    # Five of the ten neighbours of 27 % of the items, and chance.
    assert knor10.value == pytest.approx(0.27 * 0.5 + 10 / N, abs=0.01)
    assert knor10.value > 20 * 10 / N, "far above what permuting items one by one would call chance"
    assert knor10.null.low - 0.01 < knor10.value < knor10.null.high + 0.01
    assert "near duplicates together" in knor10.null.method
    assert knor10.flags == ("near duplicates: 27.2% of the items at encoder",)
    assert found["knor@100"].value < knor10.value / 1.5


def test_duplicates_are_found_and_collapsed() -> None:
    x, y, picture = with_duplicates()
    points = Points(space(x))
    groups = duplicate_groups(points, nearest_neighbours(points, 20))
    assert duplicate_share(groups) == pytest.approx(0.272)
    # The same partition, whatever the numbers.
    assert len(np.unique(groups)) == len(np.unique(picture)) == len(np.unique(groups * N + picture))
    kept = [collapse(space(view), groups) for view in (x, y)]
    assert list(kept[0].ids) == list(kept[1].ids) == [f"item {i}" for i in np.sort(np.unique(picture, True)[1])]
    assert overlap(*kept) == pytest.approx(10 / len(kept[0]), abs=0.004)


def test_no_duplicates_among_different_items() -> None:
    x, _ = related(200)
    points = Points(space(x))
    assert duplicate_share(duplicate_groups(points, nearest_neighbours(points, 10))) == 0


def test_everything_between_its_yardsticks() -> None:
    x, y = related(300)
    rng = np.random.default_rng(3)
    halves = tuple(space(x + 0.1 * rng.standard_normal(x.shape)) for _ in range(2))
    untrained = space(np.maximum(x @ rng.standard_normal((48, 48)), 0), "untrained")
    folder = [f"folder {i % 60}" for i in range(300)]
    how = Geometry(ks=(5, 20))
    measurements = compare_spaces(space(x), space(y, "connector"), how, folder, halves, untrained)
    found = by_name(measurements)
    assert set(found) == {
        *("knor@5", "knor@20", "rbo", "rank_displacement@5", "rank_displacement@20", "debiased_cka"),
        *("distance_correlation", "pairwise_distance_correlation", "procrustes"),
    }
    for name, m in found.items():
        assert (m.n, m.clusters, m.sites) == (300, 60, ("encoder", "connector"))
        few = ["300 items for 48 components: higher than of more items, interval and all; compare with the null"]
        assert list(m.flags) == (few if name == "procrustes" else [])
        assert m.ci_low < m.value < m.ci_high
        assert m.control is not None
        assert m.settings["scaling"] == "z-scored"
        if name.startswith("rank_displacement"):
            assert m.value > m.ceiling.value, "displacement falls as similarity grows"
        else:
            assert m.null.high < m.value < m.ceiling.value
    assert found["knor@5"].null.value == pytest.approx(found["knor@5"].settings["null_mean"], abs=0.001)
    hubs = [m for m in measurements if m.name == "hubness@5"]
    assert [m.sites for m in hubs] == [("encoder",), ("connector",)]


def test_one_cluster_gives_values_without_intervals() -> None:
    x, y = related(40)
    for m in compare_spaces(space(x), space(y), Geometry(ks=(5,)), clusters=["one"] * 40):
        assert m.value is not None
        assert (m.ci_low, m.ci_high, m.clusters) == (None, None, 1)


def test_unrelated_spaces_are_within_their_nulls() -> None:
    x, y = np.random.default_rng(4).standard_normal((2, 250, 30))
    for m in by_name(compare_spaces(space(x), space(y), Geometry(ks=(10, 40), metric="cosine"))).values():
        if m.name.startswith("rank_displacement"):
            assert m.value == pytest.approx(m.null.value, rel=0.02)
        elif m.null is not None:
            width = m.null.high - m.null.low
            assert m.null.low - width / 2 < m.value < m.null.high + width / 2


def test_intervals_cover_what_other_pictures_would_give() -> None:
    # Each run draws pictures anew, in clusters of four that share half of what they are and how noisy they are seen.
    # The truth is the mean of many runs. Pictures that were resampled as items but stayed as neighbours would give
    # intervals a third too narrow, which hold it in 80 % of the runs.
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(30), 4)
    ends = []
    for _ in range(120):
        causes, of_cluster = rng.standard_normal((120, 6)), rng.standard_normal((30, 6))[cluster]
        x = (causes + of_cluster) / 2**0.5
        y = x + 0.7 * np.exp(rng.standard_normal(30) / 2)[cluster, None] * rng.standard_normal(x.shape)
        comparer = Comparer(Geometry(ks=(10,), scaling="raw"), cluster.tolist())
        m = overlap_measurements(("a", "b"), comparer.overlaps(space(x), space(y)), (10,), cluster)[0]
        ends.append((m.value, m.ci_low, m.ci_high))
    values, low, high = np.array(ends).T
    covered = np.mean((low <= values.mean()) & (values.mean() <= high))
    assert 0.93 <= covered <= 1
    assert np.mean(high - low) < 2 * 3.92 * values.std(), "and not because it says nothing"


def test_a_star_is_a_hub() -> None:
    # Everybody's nearest is item 0, whose own is item 1: occurrences 9, 1, and 0 for eight items.
    star = Neighbours(np.array([[1], *[[0]] * 9], dtype=np.int32), 0)
    assert occurrences(star, 1).tolist() == [9, 1] + [0] * 8
    m = hubness("encoder", star, 1, np.arange(10))
    x = np.array([9, 1] + [0] * 8) - 1.0
    assert m.value == pytest.approx((x**3).mean() / (x**2).mean() ** 1.5)
    ring = Neighbours(np.roll(np.arange(10), 1)[:, None].astype(np.int32), 0)
    assert hubness("encoder", ring, 1, np.arange(10)).value is None
    assert "undefined" in hubness("encoder", ring, 1, np.arange(10)).flags[0]


def test_random_lists_have_the_hubness_of_the_null() -> None:
    rng = np.random.default_rng(6)
    lists = np.array([rng.permutation(np.delete(np.arange(800), i))[:10] for i in range(800)], dtype=np.int32)
    m = hubness("encoder", Neighbours(lists, 0), 10, np.arange(800))
    assert m.ci_low < m.null.value < m.ci_high


def test_what_is_no_comparison() -> None:
    x, y = related(50)
    with pytest.raises(DataError, match="50 items have 49 neighbours each, 100 were asked for"):
        compare_spaces(space(x), space(y))
    with pytest.raises(DataError, match="connector lacks 10 of the items of encoder"):
        compare_spaces(space(x), space(y[:40], "connector"))
    with pytest.raises(DataError, match="7 items are too few"):
        compare_spaces(space(x[:7]), space(y[:7]), Geometry(ks=(2,)))
    with pytest.raises(DataError, match="49 cluster labels for 50 items"):
        compare_spaces(space(x), space(y), Geometry(ks=(2,)), clusters=["a"] * 49)


def test_all_identical_items_are_flagged_at_their_site() -> None:
    x, _ = related(50)
    found = compare_spaces(space(x), space(np.ones((50, 4)), "connector"), Geometry(ks=(5,)))
    assert {m.value for m in found} == {None}
    assert {m.flags for m in found} == {("all 50 items are identical at connector",)}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_measurement_is_a_finite_number_or_says_why_not(bad: float) -> None:
    with pytest.raises(DataError, match="knor at encoder, connector: value is"):
        Measurement("knor", ("encoder", "connector"), bad)
    with pytest.raises(DataError, match="no value and no flag that says why"):
        Measurement("knor", ("encoder",), None)


def test_a_yardstick_of_draws() -> None:
    found = Yardstick.of_draws(np.arange(101.0), "counted")
    assert (found.value, found.low, found.high) == pytest.approx((50, 2.5, 97.5))
