"""ANLS: the official rule with its length before collapsing, and the threshold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.vqa.anls import anls, score_anls, similarity


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("Grand  Hotel", "grand hotel", 1.0),
        ("hotel", "hotels", 1 - 1 / 6),
        ("kitten", "sitting", 1 - 3 / 7),
        ("", "hotel", 0.0),
        ("", "", 1.0),
        (" ", "", 1.0),
        # One edit over the 5 characters of "a   b" as written, not over the 3 it collapses to.
        ("a   b", "a c", 1 - 1 / 5),
        # The length is taken in uppercase, where "ß" becomes "SS": one edit over two.
        ("ß", "x", 0.5),
    ],
)
def test_similarity_by_hand(prediction, answer, expected):
    assert similarity(prediction, answer) == pytest.approx(expected)


def test_exactly_half_stays_and_less_is_nothing():
    assert anls("ab", ["ax"]) == 0.5
    assert anls("abc", ["axy"]) == 0.0
    assert anls("abc", ["zzz", "abd"]) == pytest.approx(2 / 3)


@given(prediction=st.text(max_size=8), answers=st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_range_and_symmetry(prediction, answers):
    score = anls(prediction, answers)
    assert score == 0.0 or 0.5 <= score <= 1.0
    assert anls(prediction, [prediction, *answers]) == 1.0
    assert similarity(prediction, answers[0]) == similarity(answers[0], prediction)


@pytest.fixture
def files(tmp_path):
    def write(rows, said):
        truth, predictions = tmp_path / "val.json", tmp_path / "said.json"
        truth.write_text(json.dumps({"dataset_name": "docvqa", "data": rows}))
        predictions.write_text(json.dumps([{"questionId": name, "answer": text} for name, text in said.items()]))
        return truth, predictions

    return write


def rows(*answers):
    return [
        {"questionId": index, "question": "?", "image": f"documents/{index // 2}.png", "answers": accepted}
        | ({"question_types": ["table/list", "form"]} if index == 0 else {})
        for index, accepted in enumerate(answers)
    ]


def test_score_by_both_rules(files):
    # 1 for equal text, .5 for one edit in two, 5/6 for one in six, 0 for nothing in common.
    score = score_anls(*files(rows(["ITC"], ["ab"], ["hotel"], ["x"]), {0: "itc", 1: "ac", 2: "hotels", 3: "nothing"}))
    found = {
        value.metric: value.value for value in score.values if value.method[:8] != "baseline" and value.slice is None
    }
    assert found == pytest.approx({"anls": (1 + 0.5 + 5 / 6) / 4, "anls_paper": (1 + 5 / 6) / 4, "exact": 0.25})
    assert [item.slices["outcome"] for item in score.items] == ["right", "misspelt", "misspelt", "below the threshold"]
    assert "1 of 4 answers" in score.notes[0]
    assert score.items[0].slices["question_type"] == "form + table/list"
    assert [item.image for item in score.items] == ["documents/0.png"] * 2 + ["documents/1.png"] * 2


def test_missing_and_empty(files):
    truth, said = files(rows(["a"], ["b"]), {1: ""})
    with pytest.raises(DataError, match="no prediction for 1 of 2"):
        score_anls(truth, said)
    score = score_anls(truth, said, missing="wrong")
    assert [item.problem for item in score.items] == ["no prediction", "empty answer"]
    assert score.notes[1:] == (
        "no prediction: 1 of 2 questions, counted as wrong.",
        "empty answer: 1 of 2 questions, counted as wrong.",
    )


def test_a_split_without_answers_can_not_be_scored(files):
    with pytest.raises(DataError, match="question '0' needs a list of texts as 'answers', found None"):
        score_anls(*files([{"questionId": 0, "question": "?"}], {0: "a"}))
