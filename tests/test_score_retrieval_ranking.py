"""Ranked retrieval: every measure by hand, against trec_eval where it is installed, and files that do not fit."""

import json
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.retrieval import measures
from chiasm.score.retrieval.ranking import (
    in_random_order,
    query_measures,
    ranked,
    score_run,
)


def numbers(score):
    return {value.metric: value.value for value in score.values}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# Relevant at ranks 1, 3 and 4 of five, four relevant in all; graded 3, 1, 2, and one of grade 1 that is not retrieved.
GAINS = np.array([3.0, 0.0, 1.0, 2.0, 0.0])
IDEAL = np.array([1.0, 2.0, 3.0, 0.0, 1.0])


def test_measures_by_hand():
    assert measures.precision_at(GAINS, 3) == pytest.approx(2 / 3)
    assert measures.precision_at(GAINS, 10) == pytest.approx(3 / 10)
    assert measures.recall_at(GAINS, 4, 3) == pytest.approx(2 / 4)
    assert measures.hit_at(GAINS, 1) == 1
    assert measures.hit_at(GAINS[1:], 1) == 0
    assert measures.f1_at(GAINS, 4, 3) == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert measures.reciprocal_rank(GAINS[1:]) == pytest.approx(1 / 2)
    assert measures.average_precision(GAINS, 4) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 4)


def test_ndcg_by_hand_with_both_gains():
    linear = (3 + 1 / 2 + 2 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / 2 + 1 / math.log2(5))
    exponential = (7 + 1 / 2 + 3 / math.log2(5)) / (7 + 3 / math.log2(3) + 1 / 2 + 1 / math.log2(5))
    assert measures.ndcg_at(GAINS, IDEAL) == pytest.approx(linear)
    assert measures.ndcg_at(GAINS, IDEAL, exponential=True) == pytest.approx(exponential)
    assert measures.ndcg_at(GAINS, IDEAL, k=2) == pytest.approx(3 / (3 + 2 / math.log2(3)))


def test_area_under_precision_recall_by_hand():
    # Points (recall, precision) from (0, 1): (1/4, 1), (1/4, 1/2), (2/4, 2/3), (3/4, 3/4), (3/4, 3/5).
    area = (1 / 4) * 1 + (1 / 4) * (1 / 2 + 2 / 3) / 2 + (1 / 4) * (2 / 3 + 3 / 4) / 2
    assert measures.area_under_precision_recall(GAINS, 4) == pytest.approx(area)


def test_a_query_without_relevant_documents_or_results_is_zero():
    for gains in (np.zeros(3), np.array([])):
        assert measures.average_precision(gains, 0) == measures.reciprocal_rank(gains) == 0
        assert measures.recall_at(gains, 0, 5) == measures.f1_at(gains, 0, 5) == measures.hit_at(gains, 5) == 0
        assert measures.ndcg_at(gains, np.zeros(2)) == measures.area_under_precision_recall(gains, 0) == 0


relevance = st.lists(st.integers(-1, 3), min_size=1, max_size=12)


@given(relevance, st.integers(1, 15))
def test_measures_stay_in_range_and_the_best_order_is_best(values, k):
    gains = np.array(values, dtype=float)
    best = np.sort(gains)[::-1]
    relevant = int((gains > 0).sum())
    for of in (
        lambda g: measures.average_precision(g, relevant),
        lambda g: measures.ndcg_at(g, gains, k),
        lambda g: measures.ndcg_at(g, gains, k, exponential=True),
        lambda g: measures.recall_at(g, relevant, k),
        lambda g: measures.f1_at(g, relevant, k),
        lambda g: measures.area_under_precision_recall(g, relevant),
        measures.reciprocal_rank,
    ):
        assert 0 <= of(gains) <= of(best) + 1e-12 <= 1 + 2e-12
    if relevant:
        assert measures.average_precision(best, relevant) == pytest.approx(1)
        assert measures.ndcg_at(best, gains) == pytest.approx(1)


@given(relevance, st.integers(1, 15))
def test_a_judgement_below_zero_counts_as_zero(values, k):
    gains = np.array(values, dtype=float)
    raised, relevant = np.maximum(gains, 0), int((gains > 0).sum())
    assert query_measures(gains, gains, relevant, [k]) == query_measures(raised, raised, relevant, [k])


def test_ties_go_to_the_later_name_whatever_the_order_of_the_file():
    assert ranked({"a": 1.0, "c": 1.0, "b": 1.0, "d": 2.0}) == ["d", "c", "b", "a"]
    assert ranked({"b": 1.0, "d": 2.0, "a": 1.0, "c": 1.0}) == ["d", "c", "b", "a"]
    assert ranked({"d10": 1.0, "d9": 1.0}) == ["d9", "d10"]  # as text


QRELS = "q1 0 a 2\nq1 0 b 0\nq1 0 c 1\nq2 0 a 1\nq3 0 z 0\n"
RUN = """q1 Q0 b 1 9.5 me
q1 Q0 a 2 9.0 me
q1 Q0 x 3 8 me
q1 Q0 c 4 1e-3 me
q2 Q0 b 1 1 me
q2 Q0 a 1 1 me
q3 Q0 y 1 1 me
"""


def test_numbers_from_trec_files_by_hand(tmp_path):
    # q1: b a x c, relevant at 2 and 4: AP (1/2 + 2/4) / 2. q2: a tie, so b then a: AP 1/2. q3: nothing relevant: 0.
    score = score_run(write(tmp_path / "qrels", QRELS), write(tmp_path / "run", RUN))
    found = numbers(score)
    assert found["map"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert found["mrr"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert found["hit@1"] == 0
    assert found["recall@5"] == pytest.approx(2 / 3)
    assert found["precision@5"] == pytest.approx((2 / 5 + 1 / 5) / 3)
    assert [item.id for item in score.items] == ["q1", "q2", "q3"]


def test_json_and_trec_layouts_agree(tmp_path):
    qrels = {"q1": {"a": 2, "b": 0, "c": 1}, "q2": {"a": 1}, "q3": {"z": 0}}
    run = {"q1": {"b": 9.5, "a": 9.0, "x": 8, "c": 1e-3}, "q2": {"a": 1, "b": 1}, "q3": {"y": 1}}
    from_json = score_run(write(tmp_path / "a", qrels), write(tmp_path / "b", run))
    from_trec = score_run(write(tmp_path / "c", QRELS), write(tmp_path / "d", RUN))
    assert from_json.values == from_trec.values


def test_missing_queries(tmp_path):
    qrels, run = write(tmp_path / "qrels", QRELS), write(tmp_path / "run", RUN.split("q2")[0])
    with pytest.raises(DataError, match="no prediction for 2 of 3"):
        score_run(qrels, run)
    score = score_run(qrels, run, missing="wrong")
    assert numbers(score)["map"] == pytest.approx((1 / 2) / 3)
    assert score.notes == ("2 of 3 queries have no results and count as 0.",)


def test_documents_that_never_meet_are_remarked_on(tmp_path):
    score = score_run(write(tmp_path / "qrels", {"q": {"1.jpg": 1}}), write(tmp_path / "run", {"q": {"1": 0.5}}))
    assert "No query found anything relevant" in score.notes[0]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("q1 Q0 a 1 nan me\n", "line 1: 'nan' is not a finite number"),
        ("q1 Q0 a 1 0.5 me\nq1 Q0 a 2 0.4 me\n", "line 2: document 'a' is there a second time for query 'q1'"),
        ("q1 Q0 a 1 0.5\n", "line 1: 5 columns, expected 'query Q0"),
        ("", "is empty"),
        ('[{"q1": {"a": 1}}]', "holds a JSON list; expected {query: {document: number}}, or 'query Q0"),
        ('{"q1": {"a": 1, "a": 2}}', "'a' appears twice"),
        ('{"q1": [1]}', "query 'q1': expected an object"),
        ('{"q1": {"a": 1', "in the middle"),
        ("q9 Q0 a 1 0.5 me\n", "no id is in both files"),
    ],
)
def test_runs_that_do_not_fit_are_named(tmp_path, run, message):
    with pytest.raises(DataError, match=message):
        score_run(write(tmp_path / "qrels", "q1 0 a 1\n"), write(tmp_path / "run", run))


@pytest.mark.parametrize("cutoffs", [(), (5, 0)])
def test_cutoffs_below_one_are_refused(tmp_path, cutoffs):
    with pytest.raises(ConfigError, match="cutoffs must be 1 or more"):
        score_run(write(tmp_path / "qrels", QRELS), write(tmp_path / "run", RUN), cutoffs)


names = st.sampled_from(["a", "b", "c", "d10", "d9", "é"])


def tables(lowest):
    return st.fixed_dictionaries(
        {query: st.dictionaries(names, st.integers(lowest, 3), min_size=1) for query in ("q1", "q2")}
    )


@settings(max_examples=100, deadline=None)
@given(tables(lowest=0), tables(lowest=-1))  # trec_eval never returns where all judgements of a query are below 0
def test_equal_to_trec_eval(tmp_path_factory, qrels, run):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    wanted = {"map", "recip_rank", "P_1,5", "recall_1,5", "success_1,5", "ndcg", "ndcg_cut_1,5"}
    scores = {query: {document: float(value) for document, value in found.items()} for query, found in run.items()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(scores)
    folder = tmp_path_factory.mktemp("trec")
    ours = score_run(write(folder / "qrels", qrels), write(folder / "run", scores), cutoffs=(1, 5))
    for item in ours.items:
        expected = theirs[item.id]
        for mine, their in [
            ("map", "map"), ("mrr", "recip_rank"), ("precision@5", "P_5"), ("recall@1", "recall_1"),
            ("recall@5", "recall_5"), ("hit@1", "success_1"), ("ndcg", "ndcg"), ("ndcg@1", "ndcg_cut_1"),
            ("ndcg@5", "ndcg_cut_5"),
        ]:  # fmt: skip
            assert item.statistics[mine] == pytest.approx(expected[their]), (mine, item)


@pytest.mark.parametrize("gains", [[1, 0, 0, 0], [1, 2, 0, 0, 0], [0, 0, 0], [], [3]])
@pytest.mark.parametrize("unlisted", [0, 2])
def test_random_order_is_the_mean_of_all_orders(gains, unlisted):
    ideal = np.array([*(gain for gain in gains if gain), *[1.0] * (1 + unlisted)])
    orders = [query_measures(np.array(order), ideal, len(ideal), (1, 3)) for order in permutations(gains)]
    found = in_random_order(sum(gain > 0 for gain in gains), len(gains), len(ideal), (1, 3))
    assert set(found) == {"map", "mrr", *(f"{name}@{k}" for k in (1, 3) for name in ("precision", "recall", "hit"))}
    for name, value in found.items():
        assert value == pytest.approx(np.mean([order[name] for order in orders])), name


def test_random_order_stands_beside_the_score(tmp_path):
    # Two queries with the right one among 2 and among 4 documents: 1/2 and 1/4 of the random orders begin with it.
    truth = write(tmp_path / "t.json", {"a": {"x": 1}, "b": {"x": 1}})
    run = write(tmp_path / "r.json", {"a": {"x": 2, "y": 1}, "b": {"x": 4, "y": 3, "z": 2, "w": 1}})
    assert numbers(score_run(truth, run))["baseline.random_order.hit@1"] == pytest.approx(3 / 8)
