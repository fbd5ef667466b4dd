"""Matching, detection, grounding and location causes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from chiasm.score.detection import match_objects
from chiasm.score.grounding import score_grounding
from chiasm.score.location import location_cause, miss_cause, share_inside, size_class
from chiasm.score.matching import assign
from chiasm.score.names import Names
from chiasm.types import Box, Object

SIZE = (100, 100)
weights = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.one_of(st.integers(-2, 3), st.floats(-1, 1)))
)
boxes = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)
objects = st.lists(st.builds(Object, st.sampled_from(["cat", "dogs", "tv"]), boxes), max_size=6)


@given(weights)
def test_assign_is_as_good_as_scipy(weight: np.ndarray) -> None:
    pairs = assign(weight)
    rows, columns = linear_sum_assignment(np.maximum(weight, 0), maximize=True)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(weight[pair] > 0 for pair in pairs)
    assert sum(weight[pair] for pair in pairs) == pytest.approx(np.maximum(weight, 0)[rows, columns].sum())


def test_assign_nothing() -> None:
    assert assign(np.zeros((0, 3))) == assign(np.zeros((2, 0))) == assign(-np.ones((2, 2))) == []


@given(objects, objects)
def test_every_object_is_in_exactly_one_list(predicted: list[Object], true: list[Object]) -> None:
    found = match_objects(predicted, true, Names())
    pairs = [*found.found, *found.mislocated, *found.renamed]
    said = [p for p, _ in pairs] + [*found.duplicates, *found.extra, *found.ignored]
    assert sorted(said) == list(range(len(predicted)))
    assert sorted([t for _, t in pairs] + [*found.missed]) == list(range(len(true)))


@given(objects)
def test_the_truth_matches_itself(true: list[Object]) -> None:
    assert len(match_objects(true, true, Names()).found) == len(true)


def test_detection_by_hand() -> None:
    cat, dog = Box(0, 0, 20, 20), Box(50, 50, 80, 80)
    true = [Object("cat", cat), Object("dog", dog), Object("tv", Box(0, 80, 10, 90)), Object("cup", Box(90, 0, 99, 9))]
    predicted = [
        Object("cats", Box(0, 0, 20, 18)),  # found
        Object("cat", cat),  # better, so this one is found and the first a duplicate
        Object("cat", Box(50, 50, 80, 78)),  # the dog under another name
        Object("television", Box(60, 80, 70, 90)),  # name right, place wrong
        Object("zebra", Box(30, 0, 40, 10)),
    ]
    found = match_objects(predicted, true, Names())
    assert found.found == ((1, 0),)
    assert found.duplicates == (0,)
    assert found.renamed == ((2, 1),)
    assert found.mislocated == ((3, 2),)
    assert found.extra == (4,)
    assert found.missed == (3,)


def test_as_many_pairs_as_possible_go_before_the_best_single_pair() -> None:
    # Greedy by IoU would take (0, 0) and leave the second truth without a partner.
    true = [Object("cat", Box(0, 0, 10, 10)), Object("cat", Box(0, 4, 10, 14))]
    predicted = [Object("cat", Box(0, 1, 10, 11)), Object("cat", Box(0, -3, 10, 7))]
    assert set(match_objects(predicted, true, Names()).found) == {(0, 1), (1, 0)}


def test_crowds_are_neither_missed_nor_hallucinated() -> None:
    true = [Object("cat", Box(0, 0, 50, 50), crowd=True)]
    inside, outside = Object("cat", Box(5, 5, 15, 15)), Object("cat", Box(60, 60, 70, 70))
    found = match_objects([inside, outside, Object("dog", Box(5, 5, 15, 15))], true, Names())
    assert (found.ignored, found.extra, found.missed) == ((0,), (1, 2), ())


def test_a_prediction_without_a_box_finds_nothing() -> None:
    found = match_objects([Object("cat")], [Object("cat", Box(0, 0, 9, 9))], Names())
    assert (found.found, found.mislocated) == ((), ((0, 0),))


def test_grounding_of_one_box_is_iou() -> None:
    score = score_grounding([Box(0, 0, 10, 10)], [Box(0, 0, 10, 20)])
    assert score.iou == pytest.approx(0.5)
    assert score.hits == {0.1: True, 0.3: True, 0.5: True, 0.7: False, 0.9: False}


def test_grounding_counts_missing_superfluous_and_absent() -> None:
    a, b = Box(0, 0, 10, 10), Box(50, 50, 60, 60)
    assert score_grounding([], [a]).iou == 0
    assert score_grounding([a], [a, b]).iou == pytest.approx(0.5)
    assert score_grounding([b, a], [a]).iou == pytest.approx(0.5)
    assert not any(score_grounding([b, a], [a]).hits.values())
    assert score_grounding([], []).iou == 1
    assert all(score_grounding([], []).hits.values())
    assert score_grounding([a], []).iou == 0
    assert all(score_grounding([b, a], [a, b]).hits.values())


@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4), st.randoms(use_true_random=False))
def test_grounding_does_not_depend_on_order_and_hits_fall(predicted: list[Box], true: list[Box], random) -> None:  # type: ignore[no-untyped-def]
    score = score_grounding(predicted, true)
    assert 0 <= score.iou <= 1 + 1e-12
    assert list(score.hits.values()) == sorted(score.hits.values(), reverse=True)
    shuffled = random.sample(predicted, len(predicted))
    assert score_grounding(shuffled, true).iou == pytest.approx(score.iou)
    assert score_grounding(shuffled, true).hits == score.hits


@pytest.mark.parametrize(
    ("predicted", "cause"),
    [
        (Box(10, 60, 30, 90), "loose"),
        (Box(60, 10, 95, 30), "axis order"),
        (Box(0.1, 0.6, 0.3, 0.95), "scale"),
        (Box(100, 600, 300, 950), "scale"),
        (Box(70, 60, 90, 95), "left-right"),
        (Box(10, 10, 30, 35), "another instance"),
        (Box(18, 72, 38, 99), "offset"),
        (Box(10, 60, 14, 64), "size"),
        (Box(45, 45, 47, 47), "elsewhere"),
        (None, "no box"),
    ],
)
def test_location_causes(predicted: Box | None, cause: str) -> None:
    assert location_cause(predicted, Box(10, 60, 30, 95), [Box(10, 10, 30, 30)], SIZE) == cause


@pytest.mark.parametrize(
    ("box", "cause"),
    [
        (Box(50, 50, 55, 55), "small"),
        (Box(20, 20, 50, 50), "crowded"),
        (Box(0, 60, 30, 90), "at the border"),
        (Box(60, 60, 90, 90), "in plain view"),
    ],
)
def test_miss_causes(box: Box, cause: str) -> None:
    assert miss_cause(box, [Box(20, 20, 35, 45)], SIZE) == cause


def test_sizes_are_relative_to_the_picture() -> None:
    assert [size_class(Box(0, 0, side, side), SIZE) for side in (14, 15, 29, 30)] == [
        "small", "medium", "medium", "large",
    ]  # fmt: skip
    assert size_class(Box(0, 0, 14, 14), (20, 20)) == "large"


def test_share_inside() -> None:
    share = share_inside([Box(0, 0, 10, 10), Box(5, 5, 5, 5)], [Box(5, 0, 20, 20)])
    assert share.tolist() == [[0.5], [0.0]]
