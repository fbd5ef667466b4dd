"""ChartQA's relaxed accuracy, strict and lenient side by side."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.vqa.chartqa import lenient, score_chartqa, strict


@pytest.mark.parametrize(
    ("prediction", "label", "is_strict", "is_lenient"),
    [
        ("105", "100", True, True),
        ("105.1", "100", False, False),
        ("95", "100", True, True),
        ("-100", "100", False, False),
        ("5%", "0.05", True, True),
        ("5%", "5", False, True),
        ("5 %", "5", False, True),
        ("5 %", "5%", True, True),
        ("1,000", "1000", False, True),
        ("$1,000,000.", "1000000", False, True),
        ("10,5", "105", False, False),
        ("$5", "5", False, True),
        ("5€", "5", False, True),
        # A label of 0 takes no relative error.
        ("0", "0", True, True),
        ("0.0", "0", False, True),
        ("0.01", "0", False, False),
        ("YES", "Yes", True, True),
        (" yes. ", "Yes", False, True),
        ("Hispanic or  Latinx", "hispanic or latinx", False, True),
        ("", "", True, True),
        ("", "5", False, False),
        (".", "0", False, False),
        ("%", "5", False, False),
        ("nan", "5", False, False),
        ("China", "Chile", False, False),
        ("2,019", "2019", False, True),
    ],
)
def test_rules_by_hand(prediction, label, is_strict, is_lenient):
    assert (strict(prediction, label), lenient(prediction, label)) == (is_strict, is_lenient)


@given(prediction=st.text(max_size=6) | st.floats().map(str), label=st.text(max_size=6) | st.floats().map(str))
def test_lenient_never_refuses_what_strict_takes(prediction, label):
    assert lenient(prediction, label) >= strict(prediction, label)


HUMAN = [
    {"imgname": "a.png", "query": "How many?", "label": "10"},
    {"imgname": "a.png", "query": "Which?", "label": "China"},
    {"imgname": "b.png", "query": "How much?", "label": "1000"},
    {"imgname": "b.png", "query": "How much?", "label": "2"},
]
AUGMENTED = [{"imgname": "c.png", "query": "Which year?", "label": "2019"}]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_parts_and_their_mean(write):
    human = write("human.json", HUMAN), write("h.json", [{"answer": text} for text in ("10.2", "Chile", "1,000", "2")])
    augmented = write("augmented.json", AUGMENTED), write("a.jsonl", '{"question_id": 0, "answer": "2018"}')
    score = score_chartqa(*zip(human, augmented, strict=True))
    found = {(value.metric, value.slice): value.value for value in score.values}
    assert found["relaxed_accuracy.strict", None] == pytest.approx(3 / 5)
    assert found["relaxed_accuracy.lenient", None] == pytest.approx(4 / 5)
    assert found["relaxed_accuracy.strict", ("part", "human")] == pytest.approx(2 / 4)
    assert found["relaxed_accuracy.strict", ("part", "augmented")] == 1.0
    assert found["relaxed_accuracy.strict.mean_of_parts", None] == pytest.approx((2 / 4 + 1) / 2)
    assert found["relaxed_accuracy.lenient.mean_of_parts", None] == pytest.approx((3 / 4 + 1) / 2)
    outcomes = [item.slices["outcome"] for item in score.items]
    assert outcomes == ["right", "another answer", "format only", "right", "right"]
    assert score.notes == ("1 of 5 answers are wrong by the strict rule only for their format.",)


def test_answers_meet_their_question_by_image_and_text(write):
    truth = write("human.json", HUMAN)
    said = [row | {"answer": row["label"]} for row in (HUMAN[1], HUMAN[2], HUMAN[0], HUMAN[3])]
    score = score_chartqa([truth], [write("said.json", said)])
    assert [item.prediction for item in score.items] == ["10", "China", "1000", "2"]
    assert score.items[3].id == "human: b.png: How much? #2"
    assert not any("mean_of_parts" in value.metric for value in score.values)


def test_answers_line_by_line(write):
    truth = write("human.json", HUMAN)
    score = score_chartqa([truth], [write("said.txt", "10\r\nchina\n\n2\n")])
    assert [item.problem for item in score.items] == [None, None, "empty answer", None]
    with pytest.raises(DataError, match="has 3 answers without ids for 4 questions"):
        score_chartqa([truth], [write("said.txt", "10\nchina\n2")])


def test_bad_input(write):
    truth = write("human.json", HUMAN)
    with pytest.raises(ConfigError, match="0 files of questions"):
        score_chartqa([], [])
    with pytest.raises(ConfigError, match="1 files of questions need as many files of answers, not 2"):
        score_chartqa([truth], [truth, truth])
    with pytest.raises(ConfigError, match="parts of the same name, human"):
        score_chartqa([truth, write("test_human.json", HUMAN)], [truth, truth])
    with pytest.raises(DataError, match="entry 1: 'label' is 10, expected text"):
        score_chartqa([write("number.json", [HUMAN[0] | {"label": 10}])], [truth])
    with pytest.raises(DataError, match="no prediction for 3 of 4 ids"):
        score_chartqa([truth], [write("said.json", [HUMAN[0] | {"answer": "10"}])])
    some = score_chartqa([truth], [write("said.json", [HUMAN[0] | {"answer": "10"}])], missing="wrong")
    assert [item.problem for item in some.items] == [None, *["no prediction"] * 3]


def test_chartqa_as_it_ships(shared_data, write):
    truth = shared_data / "chartqa" / "train" / "train_augmented.json"
    rows = json.loads(truth.read_text())
    perfect = score_chartqa([truth], [write("said.json", [row | {"answer": row["label"]} for row in rows])])
    assert [value.value for value in perfect.values[:2]] == [1.0, 1.0]
    assert perfect.values[0].n == 1000
    # An extra currency sign costs the strict rule every number, the lenient rule none.
    dollars = [{"question_id": index, "answer": "$" + row["label"]} for index, row in enumerate(rows)]
    strict_value, lenient_value, *_ = score_chartqa([truth], [write("dollars.json", dollars)]).values
    assert strict_value.value == 0.0
    assert lenient_value.value == 1.0
