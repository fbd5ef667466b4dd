"""Readouts against loops, and on vectors in which facts are planted, hidden or absent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.probe.facts import Fact, facts_of
from chiasm.probe.linear_readout import FOLDS, PENALTIES, average_precision, balanced_threshold, ridge_readout
from chiasm.probe.readout import appearance_types, pooled, readout
from chiasm.probe.result import Measurement
from chiasm.types import Example, Object

RNG = np.random.default_rng(0)
N = 400
TYPES = RNG.integers(0, 40, N)


def planted(count: int, share: float = 0.3, group: str = "object") -> list[Fact]:
    rng = np.random.default_rng(count)
    return [Fact(group, f"thing {i}", (rng.random(N) < share).astype(float)) for i in range(count)]


def of(measurements: tuple[Measurement, ...], name: str, *sites: str) -> Measurement:
    return next(m for m in measurements if m.name == name and m.sites == sites)


# ---------------------------------------------------------------------------------------------------------- facts


def test_facts_worked_by_hand() -> None:
    examples = [
        Example("a", None, objects=(Object("cup", attributes={"color": "red"}), Object("cup"), Object("dog"))),
        Example("b", None, objects=()),
        Example("c", None, objects=None),
        Example("d", None, objects=(Object("dog", crowd=True, attributes={"color": "blue"}),)),
    ]
    nan = float("nan")
    expected = {
        ("object", "cup"): [1, 0, nan, 0],
        ("object", "dog"): [1, 0, nan, 1],
        ("color", "blue"): [0, 0, nan, 1],
        ("color", "red"): [1, 0, nan, 0],
        ("count", "objects"): [3, 0, nan, nan],  # how many a crowd is, nobody knows
        ("count", "kinds"): [2, 0, nan, 1],
    }
    found = facts_of(examples)
    assert [(fact.group, fact.name) for fact in found] == list(expected)
    for fact in found:
        np.testing.assert_array_equal(fact.values, expected[fact.group, fact.name])
        assert fact.is_number == (fact.group == "count")
    with pytest.raises(DataError, match="no picture has annotated objects"):
        facts_of(examples[2:3])


# ---------------------------------------------------------------------------------------------------------- parts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_threshold_and_precision_equal_loops(rows: list[tuple[int, bool]]) -> None:
    scores, truth = (np.array(column, dtype=float) for column in zip(*rows, strict=True))

    def balanced(cut: float) -> float:
        says = scores > cut
        rates = [(says == t)[truth == t].mean() for t in (0, 1) if (truth == t).any()]
        return float(np.sum(rates)) + (0 if len(rates) == 2 else 1)

    best = max(balanced(cut) for cut in np.arange(-0.5, 7))
    assert balanced(balanced_threshold(scores, truth)) == pytest.approx(best)
    if truth.any():
        # Area under precision over recall, at each distinct score from the highest down.
        area = found = 0.0
        for score in sorted(set(scores), reverse=True):
            taken = scores >= score
            recall = truth[taken].sum() / truth.sum()
            area += (recall - found) * truth[taken].mean()
            found = recall
        assert average_precision(scores, truth) == pytest.approx(area)
    else:
        assert np.isnan(average_precision(scores, truth))


def test_ridge_equals_loops_over_folds_and_penalties() -> None:
    rng = np.random.default_rng(1)
    x, new, cluster = rng.standard_normal((60, 4)), rng.standard_normal((9, 4)), np.repeat(np.arange(20), 3)
    y = np.stack([x[:, 0] + 0.1 * rng.standard_normal(60), rng.standard_normal(60)], axis=1)

    def naive(x: np.ndarray, y: np.ndarray, new: np.ndarray, penalty: float) -> np.ndarray:
        centred = x - x.mean(0)
        inner = centred.T @ centred
        strength = penalty * np.trace(inner) / 4 * np.eye(4)
        return (new - x.mean(0)) @ np.linalg.solve(inner + strength, centred.T @ (y - y.mean())) + y.mean()

    fold = (np.random.default_rng(0).permutation(20) % FOLDS)[cluster]
    predicted, held_out = ridge_readout(x, y, cluster, new)
    for target in range(2):
        tried = []
        for penalty in PENALTIES:
            out = np.empty(60)
            for part in range(FOLDS):
                out[fold == part] = naive(x[fold != part], y[fold != part, target], x[fold == part], penalty)
            tried.append((np.square(out - y[:, target]).sum(), out, naive(x, y[:, target], new, penalty)))
        _, out, expected = min(tried, key=lambda result: result[0])
        np.testing.assert_allclose(held_out[:, target], out)
        np.testing.assert_allclose(predicted[:, target], expected)


def test_pooled_is_mean_and_maximum() -> None:
    features = Features(torch.tensor([[1.0, 5], [3, 1], [2, 2]]), ((1, 2), (1, 1)), "encoder")
    assert pooled(features).tolist() == [[2, 3, 3, 5], [2, 2, 2, 2]]


def test_types_follow_looks() -> None:
    thumbnails = np.random.default_rng(2).random((200, 12))
    types = appearance_types(np.concatenate([thumbnails, thumbnails]), bits=4)
    assert (types[:200] == types[200:]).all()
    assert 10 <= len(np.unique(types)) <= 16
    assert np.bincount(types).max() < 60
    assert len(np.unique(appearance_types(np.ones((5, 12))))) == 1


# ---------------------------------------------------------------------------------------------------------- readout


def test_facts_are_read_where_they_are_and_lost_where_they_are_not() -> None:
    facts = [*planted(6), Fact("count", "objects", RNG.integers(0, 7, N).astype(float))]
    truth = np.stack([fact.values for fact in facts], axis=1)
    mixed = truth @ RNG.standard_normal((7, 20))
    noise = RNG.standard_normal((N, 20))
    found = readout({"encoder": mixed, "connector": noise}, facts, TYPES, untrained={"connector": mixed})

    there = of(found, "object.balanced_accuracy", "encoder")
    assert there.value == pytest.approx(1)
    gone = of(found, "object.balanced_accuracy", "connector")
    assert gone.value == pytest.approx(0.5, abs=0.06)
    assert gone.null is not None
    assert gone.null.low is not None
    assert gone.null.high is not None
    assert gone.null.low - 0.03 < gone.value < gone.null.high + 0.03
    assert gone.ceiling is not None
    assert gone.ceiling.value == pytest.approx(1, abs=0.01)
    assert of(found, "count.r2", "encoder").value == pytest.approx(1, abs=1e-3)
    assert of(found, "count.r2", "connector").value == pytest.approx(0, abs=0.1)
    assert of(found, "object.average_precision", "encoder").value == pytest.approx(1)
    assert of(found, "object.average_precision", "connector").value == pytest.approx(0.3, abs=0.1)

    lost = of(found, "object.lost", "encoder", "connector")
    assert lost.value == pytest.approx(there.value - gone.value)
    assert lost.ci_low is not None
    assert lost.ci_low > 0.4
    assert lost.control is not None  # this untrained connector loses nothing
    assert lost.control.value == pytest.approx(0, abs=1e-9)
    single = of(found, "object.balanced_accuracy thing 3", "encoder")
    assert single.value == 1
    assert single.settings["fact"] == "thing 3"
    assert single.flags == ("every test picture scores alike: no interval",)
    assert len(found) == 2 * (4 + 2) + 2 + 2 * (6 * 2 + 1) - 2


def test_a_planted_loss_is_measured_at_its_size() -> None:
    """The facts of one half are erased: balanced accuracy falls from 1 to 1/2 for that half, by 1/4 on average."""
    facts = planted(8)
    vectors = np.stack([fact.values for fact in facts], axis=1)
    erased = np.where(np.arange(8) < 4, RNG.standard_normal((N, 8)), vectors)
    found = readout({"encoder": vectors, "connector": erased}, facts, TYPES)
    assert of(found, "object.lost", "encoder", "connector").value == pytest.approx(0.25, abs=0.03)


def test_reading_looks_is_not_selective() -> None:
    """Vectors that tell a picture's type and nothing else read control labels of types as well as any fact of them."""
    by_type = np.random.default_rng(5).random(40) < 0.4
    facts = [Fact("object", "of a type", by_type[TYPES].astype(float))]
    found = readout({"encoder": np.eye(40)[TYPES]}, facts, TYPES)
    score = of(found, "object.balanced_accuracy", "encoder")
    assert score.value is not None
    assert score.control is not None
    assert score.value > 0.9
    assert score.control.value > 0.9
    selectivity = of(found, "object.selectivity", "encoder")
    assert selectivity.value == pytest.approx(score.value - score.control.value)
    assert abs(selectivity.value) < 0.1

    own = np.random.default_rng(6).random(N) < 0.4
    found = readout({"encoder": own[:, None] + 0.0}, [Fact("object", "its own", own.astype(float))], TYPES)
    selectivity = of(found, "object.selectivity", "encoder")
    assert selectivity.value is not None
    assert selectivity.value > 0.4


def test_the_width_is_that_of_the_narrowest_site() -> None:
    facts = planted(2)
    found = readout({"encoder": RNG.standard_normal((N, 30)), "connector": RNG.standard_normal((N, 7))}, facts, TYPES)
    assert {m.settings["width"] for m in found} == {7}
    found = readout({"encoder": RNG.standard_normal((N, 30))}, facts, TYPES, width=9)
    assert {m.settings["width"] for m in found} == {9}


def test_clusters_are_the_units() -> None:
    """Pictures that come ten times each are no more evidence than once."""
    facts = [Fact("object", "cup", np.repeat(RNG.random(N // 10) < 0.5, 10).astype(float))]
    vectors = facts[0].values[:, None] + np.repeat(RNG.standard_normal((N // 10, 1)), 10, axis=0)
    labels = np.repeat(np.arange(N // 10), 10).tolist()
    apart, together = (
        of(readout({"encoder": vectors}, facts, TYPES, clusters=clusters), "object.balanced_accuracy", "encoder")
        for clusters in (None, labels)
    )
    assert (apart.clusters, together.clusters) == (100, 10)
    assert together.ci_low is not None
    assert together.ci_high is not None
    assert apart.ci_low is not None
    assert apart.ci_high is not None
    assert together.ci_high - together.ci_low > 1.5 * (apart.ci_high - apart.ci_low)


def test_unknown_facts_are_left_out_of_fit_and_score() -> None:
    fact = planted(1)[0]
    values = fact.values.copy()
    values[::2] = np.nan
    # Where the fact is not known, the vector says the opposite: it must not matter.
    vectors = np.where(np.isnan(values), 1 - fact.values, fact.values)[:, None]
    found = readout({"encoder": vectors}, [Fact("object", "cup", values)], TYPES)
    assert of(found, "object.balanced_accuracy", "encoder").value == 1
    assert of(found, "object.average_precision", "encoder").value == 1


def test_pictures_without_annotations_are_left_out_and_flagged() -> None:
    fact = planted(1, share=0.5)[0]
    fact.values[100:] = np.nan
    vectors = np.where(np.isnan(fact.values), RNG.random(N), fact.values)[:, None]
    score = of(readout({"encoder": vectors}, [fact], TYPES), "object.balanced_accuracy", "encoder")
    assert (score.value, score.n, score.settings["train"]) == (1, 25, 75)
    assert score.flags[0] == "300 pictures without annotations are left out"


def test_rare_facts_are_left_out_and_flagged() -> None:
    rare, always = np.zeros(N), np.ones(N)
    rare[:3] = 1
    facts = [*planted(1), Fact("object", "rare", rare), Fact("object", "always", always)]
    found = readout({"encoder": RNG.standard_normal((N, 3))}, facts, TYPES)
    assert of(found, "object.balanced_accuracy", "encoder").flags[0] == (
        "object: 2 facts are too rare or too common here and are left out"
    )
    assert not any("rare" in m.name or "always" in m.name for m in found)


def test_constant_vectors_read_nothing() -> None:
    found = readout({"encoder": np.full((N, 4), 2.0)}, planted(3), TYPES)
    score = of(found, "object.balanced_accuracy", "encoder")
    assert score.value == pytest.approx(0.5, abs=0.05)


def test_bad_input() -> None:
    facts, vectors = planted(2), RNG.standard_normal((N, 3))
    broken = vectors.copy()
    broken[7, 1] = np.nan
    with pytest.raises(DataError, match="encoder: vectors that are not finite"):
        readout({"encoder": broken}, facts, TYPES)
    with pytest.raises(DataError, match="connector, untrained: vectors that are not finite"):
        readout({"connector": vectors}, facts, TYPES, untrained={"connector": broken})
    with pytest.raises(DataError, match="encoder: 399 rows for 400 pictures"):
        readout({"encoder": vectors[1:]}, facts, TYPES)
    with pytest.raises(DataError, match="none of 1 facts has 5 pictures of either kind in 300 training and 100 test"):
        readout({"encoder": vectors}, [Fact("object", "never", np.zeros(N))], TYPES)
    with pytest.raises(DataError, match="1 pictures in 1 clusters can't be split"):
        readout({"encoder": vectors[:1]}, [Fact("object", "cup", np.ones(1))], TYPES[:1])
