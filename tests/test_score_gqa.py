"""GQA: accuracy and the measures around it."""

import json

import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.vqa.gqa import score_gqa
from chiasm.score.vqa.gqa_distribution import distribution


def question(
    answer, structural="query", entailed=(), balanced=True, image="1", detailed="nameObject", text="What is it?"
):
    return {
        "question": text,
        "answer": answer,
        "imageId": image,
        "isBalanced": balanced,
        "types": {"structural": structural, "semantic": "obj", "detailed": detailed},
        "groups": {"global": "animal", "local": None},
        "entailed": list(entailed),
        "semantic": [
            {"operation": "select", "argument": "animal (3)", "dependencies": []},
            {"operation": "relate", "argument": "car,left of,s (4)", "dependencies": [0]},
            {"operation": "query", "argument": "name", "dependencies": [1]},
        ],
    }


QUESTIONS = {
    "01": question("cat", entailed=["01", "03", "04"]),
    "02": question("dog", image="2"),
    "03": question("yes", "verify", balanced=False),
    "04": question("no", "logical", balanced=False),
    "05": question("yes", "verify", image="2", entailed=["03"]),
}
SAID = {"01": "cat", "02": "Dog.", "03": "yes", "04": "yes", "05": "no"}


@pytest.fixture
def files(tmp_path):
    def write(questions=QUESTIONS, said=SAID):
        truth, predictions = tmp_path / "questions.json", tmp_path / "predictions.json"
        truth.write_text(questions if isinstance(questions, str) else json.dumps(questions))
        predictions.write_text(json.dumps([{"questionId": name, "prediction": text} for name, text in said.items()]))
        return truth, predictions

    return write


def values(score):
    return {(value.metric, value.slice): value.value for value in score.values}


def test_only_balanced_questions_count_and_to_the_letter(files):
    found = values(score_gqa(*files()))
    # Of 01, 02 and 05, only "cat" is right: "Dog." is not "dog".
    assert found["accuracy", None] == pytest.approx(1 / 3)
    assert found["open", None] == pytest.approx(1 / 2)
    assert found["binary", None] == 0.0
    assert found["accuracy", ("structural_type", "query")] == pytest.approx(1 / 2)
    assert found["accuracy", ("semantic_type", "obj")] == pytest.approx(1 / 3)
    assert found["accuracy", ("words", "03")] == pytest.approx(1 / 3)
    # "query: name" only reads off the answer, which leaves select and relate.
    assert found["accuracy", ("steps", "02")] == pytest.approx(1 / 3)


def test_consistency_over_entailed_questions(files):
    # Only 01 is right and entails others: 03 is right and 04 wrong, itself left out. 05 is wrong and does not count.
    assert values(score_gqa(*files()))["consistency", None] == pytest.approx(1 / 2)


def test_consistency_is_left_out_where_entailed_questions_are_unknown(files):
    balanced = {name: row for name, row in QUESTIONS.items() if row["isBalanced"]}
    score = score_gqa(*files(balanced, {name: SAID[name] for name in balanced}))
    assert ("consistency", None) not in values(score)
    assert "Consistency is left out: 2 entailed questions" in score.notes[1]


def test_dialects(files):
    expected = {"official": 1 / 3, "llava": 2 / 3, "lmms": 2 / 3}
    for dialect, value in expected.items():
        assert values(score_gqa(*files(), dialect=dialect))["accuracy", None] == pytest.approx(value)
    # Punctuation inside is dropped by lmms alone.
    said = SAID | {"02": "d-o-g"}
    assert values(score_gqa(*files(said=said), dialect="llava"))["open", None] == pytest.approx(1 / 2)
    assert values(score_gqa(*files(said=said), dialect="lmms"))["open", None] == 1.0
    with pytest.raises(ConfigError, match="unknown GQA dialect 'vqa'"):
        score_gqa(*files(), dialect="vqa")


def test_validity_and_plausibility(files, tmp_path):
    choices = tmp_path / "choices.json"
    scope = {name: {"valid": ["cat", "dog", "Dog."], "plausible": ["cat"]} for name in ("01", "02", "05")}
    choices.write_text(json.dumps(scope))
    found = values(score_gqa(*files(), choices=choices))
    # "cat" is valid and plausible, "Dog." valid, "no" neither.
    assert found["validity", None] == pytest.approx(2 / 3)
    assert found["plausibility", None] == pytest.approx(1 / 3)
    # What two things have in common is answered by color, material or shape, whatever the file says.
    common = QUESTIONS | {"02": question("shape", image="2", detailed="objThisCommon"), "05": QUESTIONS["05"]}
    common["02"]["types"]["detailed"] = "twoCommon"
    found = values(score_gqa(*files(common, SAID | {"02": "shape"}), choices=choices))
    assert found["plausibility", None] == pytest.approx(2 / 3)
    choices.write_text(json.dumps({"01": scope["01"]}))
    with pytest.raises(DataError, match="no 'valid' and 'plausible' answers for question '02'"):
        score_gqa(*files(), choices=choices)


def test_distribution_by_hand():
    # Group a: true x 3, y 1; predicted x 1, y 2, z 1: (1-3)^2/3 + (2-1)^2/1 = 7/3, weight 4.
    # Group b: true x 2, predicted x 2: 0, weight 2. One question has no group. (4 x 7/3) / 6 = 14/9,
    # and GQA's script divides by 100.
    value = distribution(
        ["a"] * 4 + ["b"] * 2 + [None],
        ["x", "x", "x", "y", "x", "x", "x"],
        ["x", "y", "y", "z", "x", "x", None],
        [str(index) for index in range(7)],
    )
    assert value.value == pytest.approx(0.14 / 9)
    assert value.n == 6
    assert value.ci_low is not None
    assert value.ci_low <= value.value <= value.ci_high
    assert distribution([None], ["x"], ["x"], ["1"]).value is None


def test_right_answers_have_no_distance(files):
    right = {name: row["answer"] for name, row in QUESTIONS.items()}
    found = values(score_gqa(*files(said=right)))
    assert found["distribution", None] == 0.0
    assert found["accuracy", None] == found["consistency", None] == 1.0


def test_items_say_why(files):
    score = score_gqa(*files(said={"01": "bird", "02": "Dog.", "05": ""}))
    assert [item.slices["outcome"] for item in score.items] == ["another answer", "format only", "empty answer"]
    assert [item.image for item in score.items] == ["1", "2", "2"]


def test_missing_predictions(files):
    truth, said = files(said={"01": "cat", "05": "no"})
    with pytest.raises(DataError, match=r"no prediction for 1 of 3 ids \('02'\)"):
        score_gqa(truth, said)
    score = score_gqa(truth, said, missing="wrong")
    assert values(score)["accuracy", None] == pytest.approx(1 / 3)
    assert score.notes[-1] == "no prediction: 1 of 3 questions, counted as wrong."
    with pytest.raises(DataError, match="1 of 4 predictions are for unknown ids"):
        score_gqa(*files(said=SAID | {"77": "x"}))


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ("[]", "expected GQA's questions"),
        ("{}", "expected GQA's questions"),
        ('{"01": 3}', "question '01' has no 'answer' text"),
        ('{"01": {"question": "?"}}', "scoring needs a split with answers"),
        ('{"01": {"answer": "x", "question": "?"}}', "question '01' has no 'types'"),
        ('{"01": {"answer": "x"}, "01": {"answer": "y"}}', "the key '01' appears twice"),
        ('{"01": {"answer": "x"', "ends in the middle"),
    ],
)
def test_bad_questions(files, questions, message):
    with pytest.raises(DataError, match=message):
        score_gqa(*files(questions))
