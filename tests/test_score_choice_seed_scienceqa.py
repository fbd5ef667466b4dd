"""SEED-Bench and ScienceQA from their own files."""

import json

import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.choice.scienceqa import score_scienceqa
from chiasm.score.choice.seed import score_seed
from chiasm.score.faults.unparsed import if_unparsed_were_right


def numbers(score, where=None):
    return {value.metric: value.value for value in score.values if value.slice == where}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def seed_questions(tmp_path):
    shared = {"choice_a": "one", "choice_b": "two", "choice_c": "three", "choice_d": "four"}
    questions = [
        {"question_id": "101_0", "data_id": "x", "data_type": "image", "question_type_id": 1, "answer": "A", **shared},
        {"question_id": "101_1", "data_id": "x", "data_type": "image", "question_type_id": 2, "answer": "B", **shared},
        {"question_id": 7, "data_id": "y", "data_type": "video", "question_type_id": 10, "answer": "B", **shared},
    ]
    types = {"Scene Understanding": 1, "Instance Identity": 2, "Action Recognition": 10}
    return write(tmp_path / "SEED-Bench.json", {"questions": questions, "question_type": types})


TRAILING_COMMAS = """{"question_id": "101_0", "prediction": "A"},
{"question_id": "101_1", "prediction": "The answer is B"},
{"question_id": "7", "prediction": "I see four"},
"""


def test_seed_numbers_by_hand_from_json_lines_with_trailing_commas(seed_questions, tmp_path):
    score = score_seed(seed_questions, write(tmp_path / "p.jsonl", TRAILING_COMMAS))
    assert numbers(score)["accuracy"] == pytest.approx(2 / 3)
    assert numbers(score, ("data_type", "image"))["accuracy"] == 1
    assert numbers(score, ("question_type", "Action Recognition"))["accuracy"] == 0
    assert numbers(score)["baseline.chance.accuracy"] == 0.25
    assert numbers(score)["baseline.majority.accuracy"] == pytest.approx(2 / 3)
    assert score.items[2].rule == "one option's text in the text"


def test_seed_by_first_character_loses_a_sentence(seed_questions, tmp_path):
    score = score_seed(seed_questions, write(tmp_path / "p.jsonl", TRAILING_COMMAS), dialect="first_character")
    assert numbers(score)["accuracy"] == pytest.approx(1 / 3)
    assert numbers(score)["unparsed"] == pytest.approx(2 / 3)
    assert if_unparsed_were_right(score) == {"accuracy": 1.0}


def test_seed_refuses_what_does_not_fit(seed_questions, tmp_path):
    predictions = write(tmp_path / "p.jsonl", TRAILING_COMMAS)
    with pytest.raises(ConfigError, match="letter, first_character"):
        score_seed(seed_questions, predictions, dialect="likelihood")
    with pytest.raises(DataError, match=r'expected \{"questions"'):
        score_seed(write(tmp_path / "q.json", [1]), predictions)
    with pytest.raises(DataError, match="the answer is 'A', but the options are none"):
        score_seed(
            write(
                tmp_path / "q.json", {"questions": [{"question_id": n, "answer": "A"} for n in ("101_0", "101_1", 7)]}
            ),
            predictions,
        )
    with pytest.raises(DataError, match="no question in it"):
        score_seed(write(tmp_path / "q.json", {"questions": []}), predictions)


PROBLEMS = {
    "1": {"choices": ["yes", "no"], "answer": 0, "image": None, "hint": "", "subject": "natural science",
          "grade": "grade2", "split": "test"},
    "2": {"choices": ["red", "blue", "green"], "answer": 2, "image": "image.png", "hint": "",
          "subject": "social science", "grade": "grade8", "split": "test"},
    "3": {"choices": ["a", "an"], "answer": 1, "image": None, "hint": "Look.", "subject": "language science",
          "grade": "grade12", "split": "test"},
    "4": {"choices": ["x", "y"], "answer": 1, "image": "image.png", "hint": "", "subject": "natural science",
          "grade": "grade1", "split": "train"},
}  # fmt: skip


@pytest.fixture
def problems(tmp_path):
    return write(tmp_path / "problems.json", PROBLEMS)


def test_scienceqa_numbers_and_slices_by_hand(problems, tmp_path):
    lines = [
        {"question_id": "1", "text": "A"},
        {"question_id": 2, "text": "The answer is C."},
        {"question_id": "3", "text": "A"},
    ]
    score = score_scienceqa(problems, write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, lines))))
    assert numbers(score)["accuracy"] == pytest.approx(2 / 3)
    assert numbers(score, ("image", "with"))["accuracy"] == 1
    assert numbers(score, ("text", "with"))["accuracy"] == 0
    assert numbers(score, ("context", "none"))["accuracy"] == 1
    assert numbers(score, ("subject", "LAN"))["accuracy"] == 0
    assert numbers(score, ("grade", "7-12"))["accuracy"] == 0.5
    assert numbers(score)["baseline.chance.accuracy"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)


@pytest.mark.parametrize(
    "content",
    [
        {
            "acc": 66.6,
            "correct": 2,
            "count": 3,
            "results": {"1": 0, "2": 2, "3": 0},
            "outputs": {"1": "A", "2": "C", "3": "A"},
        },
        {"results": {"1": 0, "2": 2, "3": 0}},
    ],
)
def test_scienceqa_result_objects(problems, tmp_path, content):
    assert numbers(score_scienceqa(problems, write(tmp_path / "p.json", content)))["accuracy"] == pytest.approx(2 / 3)


def test_scienceqa_splits_and_pictures_only(problems, tmp_path):
    path = write(tmp_path / "p.json", {"results": {"2": -1}})
    score = score_scienceqa(problems, path, images_only=True)
    assert [item.id for item in score.items] == ["2"]
    assert score.items[0].parsed is None
    train = score_scienceqa(problems, write(tmp_path / "p.json", {"results": {"4": 1}}), split="train")
    assert numbers(train)["accuracy"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"results": {"1": 0, "2": 2, "3": 0, "9": 0}}, "1 of 4 predictions are for unknown ids"),
        ({"results": {"1": 0}}, "no prediction for 2 of 3 ids"),
        ({"results": {"1": 0, "2": 2, "3": [0]}}, "problem '3': the answer is \\[0\\]"),
        ({"accuracy": 1}, "no id under 'question_id'.*only 'accuracy'"),
        ('{"results": {"1": 0, "2"', "in the middle|one JSON object"),
    ],
)
def test_scienceqa_answers_that_do_not_fit_are_named(problems, tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        score_scienceqa(problems, write(tmp_path / "p.json", content))


def test_scienceqa_malformed_problems_are_named(tmp_path):
    predictions = write(tmp_path / "p.json", {"results": {"1": 0}})
    with pytest.raises(DataError, match="'1': 'answer' 5 is no index"):
        score_scienceqa(
            write(tmp_path / "q.json", {"1": {"choices": ["a"], "answer": 5, "split": "test"}}), predictions
        )
    with pytest.raises(DataError, match="no problem of split 'test'"):
        score_scienceqa(write(tmp_path / "q.json", {}), predictions)
    twice = '{"1": {"choices": ["a"], "answer": 0}, "1": {"choices": ["a"], "answer": 0}}'
    with pytest.raises(DataError, match="'1' appears twice"):
        score_scienceqa(write(tmp_path / "q.json", twice), predictions)


@pytest.mark.parametrize("content", ["<html>not found</html>", "[]", "question_id,prediction\n"])
def test_a_file_without_answers_is_never_all_wrong(seed_questions, tmp_path, content):
    (tmp_path / "p.txt").write_text(content)
    with pytest.raises(DataError, match="holds no answers; expected a row an answer"):
        score_seed(seed_questions, tmp_path / "p.txt", missing="wrong")
