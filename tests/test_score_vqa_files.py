"""VQA results against annotations, as VQAv2, TextVQA, VizWiz and LLaVA write them."""

import json
import re
import tracemalloc

import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.vqa.accuracy import score_vqa, score_vqa_in_every_dialect
from chiasm.score.vqa.annotations import read_annotations
from chiasm.score.vqa.soft_accuracy import DIALECTS


def people(*answers, ids=True):
    return [
        {"answer": answer, "answer_confidence": "yes"} | ({"answer_id": index} if ids else {})
        for index, answer in enumerate(answers)
    ]


def annotation(question, answers, **rest):
    row = {"question_id": question, "image_id": question // 10, "answers": answers}
    return row | {"question_type": "what", "answer_type": "other"} | rest


ANNOTATIONS = [
    annotation(10, people(*["cat"] * 10)),
    annotation(11, people(*["yes"] * 2, *["no"] * 8), answer_type="yes/no", question_type="is the"),
    annotation(20, people(*["2"] * 3, *["three"] * 7), answer_type="number", question_type="how many"),
]
RESULTS = [
    {"question_id": 10, "answer": "cat"},
    {"question_id": "11", "answer": "Yes."},
    {"question_id": 20, "answer": "two"},
]


@pytest.fixture
def files(tmp_path):
    def write(annotations=ANNOTATIONS, results=RESULTS):
        truth, predictions = tmp_path / "annotations.json", tmp_path / "results.json"
        truth.write_text(annotations if isinstance(annotations, str) else json.dumps({"annotations": annotations}))
        predictions.write_text(results if isinstance(results, str) else json.dumps(results))
        return truth, predictions

    return write


def values(score):
    return {(value.metric, value.slice): value for value in score.values}


def test_accuracy_overall_and_by_type(files):
    # By the closed form 1 for all ten, .6 for two and .9 for three, so the mean is 2.5 / 3.
    found = values(score_vqa(*files()))
    assert found["accuracy", None].value == pytest.approx(2.5 / 3)
    assert found["accuracy", None].n == 3
    assert found["accuracy", ("answer_type", "yes/no")].value == pytest.approx(0.6)
    assert found["accuracy", ("answer_type", "number")].value == pytest.approx(0.9)
    assert found["accuracy", ("question_type", "how many")].n == 1


def test_types_may_be_absent(files):
    bare = [{key: row[key] for key in ("question_id", "image_id", "answers")} for row in ANNOTATIONS]
    values = [(value.metric, value.slice) for value in score_vqa(*files(bare)).values]
    assert values == [("accuracy", None), ("baseline.majority.accuracy", None)]


def test_items_say_where_the_points_went(files):
    # The second is wrong for its capital alone, since the official rule compares to the letter where all agree.
    rows = [annotation(10, people(*["cat"] * 10)), annotation(11, people(*["Red"] * 10)), *ANNOTATIONS[2:]]
    said = [("10", "dog"), ("11", "red"), ("20", "two")]
    score = score_vqa(*files(rows, [{"question_id": name, "answer": text} for name, text in said]))
    assert [item.slices["outcome"] for item in score.items] == [
        "nobody says so",
        "format only",
        "3 of 10 people say so",
    ]
    assert score.items[1].rule == "raw text, since all people agree"
    assert (score.items[2].prediction, score.items[2].parsed) == ("two", "2")
    assert score.items[2].image == "2"


def test_all_dialects_side_by_side(files):
    scores = score_vqa_in_every_dialect(*files())
    assert tuple(scores) == DIALECTS
    assert all(score.dialect == dialect for dialect, score in scores.items())
    # "Yes." and "two" need a normalisation that the simple rule does not have: only "cat" is left.
    assert values(scores["simple"])["accuracy", None].value == pytest.approx(1 / 3)
    assert scores["vlmevalkit"].values[0].value == score_vqa(*files(), dialect="vlmevalkit").values[0].value


def test_questions_file_names_the_images(files, tmp_path):
    asked = tmp_path / "questions.json"
    asked.write_text(
        json.dumps({"questions": [{"question_id": q, "image_id": 7, "question": "?"} for q in (10, 11, 20)]})
    )
    bare = [{"question_id": row["question_id"], "answers": row["answers"]} for row in ANNOTATIONS]
    truth, results = files(bare)
    assert {item.image for item in score_vqa(truth, results, asked).items} == {"7"}
    asked.write_text(json.dumps({"questions": [{"question_id": 10, "image_id": 7}]}))
    with pytest.raises(DataError, match="not about the same questions: 2 are only annotated, 0 only asked"):
        score_vqa(truth, results, asked)


def test_textvqa_file_of_bare_texts_and_llava_answers(tmp_path):
    truth, answers = tmp_path / "TextVQA_0.5.1_val.json", tmp_path / "answers.jsonl"
    row = {
        "question_id": 34602,
        "image_id": "0054c91397f2fe05",
        "answers": ["nokia"] * 9 + ["toshiba"],
        "ocr_tokens": [],
    }
    truth.write_text(json.dumps({"dataset_type": "val", "data": [row]}))
    answers.write_text('\ufeff{"question_id": 34602, "prompt": "what brand?", "text": "Nokia\\n"},\r\n')
    score = score_vqa(truth, answers, dialect="evalai")
    assert score.values[0].value == 1.0
    assert score.items[0].image == "0054c91397f2fe05"


def test_llava_names_textvqa_answers_by_image_and_asks_in_the_prompt(tmp_path):
    truth, answers = tmp_path / "val.json", tmp_path / "answers.jsonl"
    asked = {34602: "what is this?", 34603: "What is this? And what brand?"}
    rows = [
        {"question_id": name, "image_id": "7", "question": text, "answers": [text] * 10} for name, text in asked.items()
    ]
    truth.write_text(json.dumps({"data": rows}))

    def write(*prompts):
        lines = [json.dumps({"question_id": "7", "prompt": prompt, "text": prompt[:13]}) for prompt in prompts]
        answers.write_text("\n".join(lines))

    write("What is this? and what brand?\nReference OCR token: nokia\nAnswer.", "What is this?\nAnswer.")
    score = score_vqa(truth, answers, dialect="evalai")
    assert [(item.id, item.statistics["score"]) for item in score.items] == [("34602", 1.0), ("34603", 0.0)]
    assert score.notes == ("1 of 2 prompts hold reference OCR tokens; compare with such runs only.",)
    write("What was that?")
    with pytest.raises(DataError, match="the prompt holds no question on image '7': 'what was that"):
        score_vqa(truth, answers)


def test_answers_without_ids_show_the_flaw_and_its_cure(files):
    # Four of ten say "cat" with one confidence. Equal records fall out together: 6 x min(1, 4/3) / 10 = .6; with ids 1.
    rows = [annotation(10, people(*["cat"] * 4, "a", "b", "c", "d", "e", "f", ids=False))]
    truth, results = files(rows, RESULTS[:1])
    for dialect in ("official", "lmms"):
        score = score_vqa(truth, results, dialect=dialect)
        assert values(score)["accuracy", None].value == pytest.approx(0.6)
        assert values(score)["accuracy_with_answer_ids", None].value == pytest.approx(1.0)
        assert "1 of 1 questions have answers without an answer_id" in score.notes[0]
    score = score_vqa(truth, results, dialect="evalai")
    assert score.values[0].value == pytest.approx(1.0)
    assert score.notes == ()


def test_vizwiz_list_is_known_by_image(tmp_path):
    truth, answers = tmp_path / "val.json", tmp_path / "results.json"
    truth.write_text(
        json.dumps([{"image": "a.jpg", "question": "what?", "answers": people(*["soup"] * 10, ids=False)}])
    )
    answers.write_text(json.dumps([{"image": "a.jpg", "answer": "soup"}]))
    assert score_vqa(truth, answers, dialect="vlmevalkit").values[0].value == 1.0


def test_missing_prediction_is_an_error_or_wrong(files):
    truth, results = files(results=RESULTS[:2])
    with pytest.raises(DataError, match=r"no prediction for 1 of 3 ids \('20'\)"):
        score_vqa(truth, results)
    score = score_vqa(truth, results, missing="wrong")
    assert values(score)["accuracy", None].value == pytest.approx(1.6 / 3)
    assert score.items[2].problem == score.items[2].slices["outcome"] == "no prediction"
    assert score.notes == ("no prediction: 1 of 3 questions, counted as wrong.",)


def test_empty_answer_is_wrong_and_counted(files):
    score = score_vqa(*files(results=[RESULTS[0] | {"answer": " \n"}, *RESULTS[1:]]))
    assert (score.items[0].problem, score.items[0].statistics["score"]) == ("empty answer", 0.0)
    assert score.notes == ("empty answer: 1 of 3 questions, counted as wrong.",)


def test_odd_line_ends_in_an_answer_stay_with_their_question(files):
    said = ["cat\u2028", "yes\x0b\x0c", "2\r"]
    score = score_vqa(*files(results=[row | {"answer": text} for row, text in zip(RESULTS, said, strict=True)]))
    assert [item.parsed for item in score.items] == ["cat", "yes", "2"]


def test_few_people_are_noted(files):
    rows = [annotation(10, people("cat"))]
    score = score_vqa(*files(rows, RESULTS[:1]))
    # Once the only person is held out, nobody is left to agree.
    assert score.values[0].value == 0.0
    assert "1 of 1 questions do not have 10 answers" in score.notes[0]


@pytest.mark.parametrize(
    ("annotations", "results", "message"),
    [
        (
            ANNOTATIONS,
            [*RESULTS, {"question_id": 99, "answer": "x"}],
            r"1 of 4 predictions are for unknown ids \('99'\)",
        ),
        (ANNOTATIONS, [*RESULTS, {"question_id": 10.0, "answer": "x"}], "a second answer for question_id '10'"),
        (ANNOTATIONS, [{"question_id": 10, "answer": None}], "id '10': 'answer' is None, expected text"),
        (ANNOTATIONS, '[{"question_id": NaN, "answer": "x"}]', "is nan, expected text or a whole number"),
        (ANNOTATIONS, [{"question_id": 10, "reply": "x"}], "no answer under 'prediction', 'answer', 'text', only"),
        (ANNOTATIONS, [{"id": 10, "answer": "x"}], "no id under 'question_id'"),
        (ANNOTATIONS, "[]", "holds no answers"),
        (ANNOTATIONS, '[{"question_id": 10, "ans', "ends in the middle"),
        ([annotation(10, [])], RESULTS[:1], "question '10' needs a list of 'answers'"),
        ([annotation(10, [{"answer": 3}])], RESULTS[:1], "question '10' has the answer 3, expected text"),
        ([ANNOTATIONS[0], ANNOTATIONS[0]], RESULTS[:1], "a second question for question_id '10'"),
        ('{"images": []}', RESULTS[:1], "this question has no 'question_id', only 'images'"),
        ('{\n"images": []\n}', RESULTS[:1], "expected a JSON list under 'annotations' or 'data' or 'questions'"),
        ("7", RESULTS[:1], "line 1: expected an object {...}, found 7"),
        ("[]", RESULTS[:1], "holds no questions"),
        ('{"annotations": [3]}', RESULTS[:1], "expected an object {...}, found 3"),
    ],
)
def test_bad_files_are_refused_by_name(files, annotations, results, message):
    with pytest.raises(DataError, match=message if "\\" in message else re.escape(message)):
        score_vqa(*files(annotations, results))


def test_unknown_dialect(files):
    with pytest.raises(ConfigError, match="unknown VQA dialect 'vqa'; there are official"):
        score_vqa(*files(), dialect="vqa")


def test_vizwiz_validation_as_it_ships(shared_data, tmp_path):
    truth = shared_data / "scoring" / "vqa" / "vizwiz_val_annotations_vqa_format.json"
    rows = json.loads(truth.read_text())["annotations"]
    said = tmp_path / "majority.json"
    said.write_text(json.dumps([{"question_id": row["question_id"], "answer": "unanswerable"} for row in rows]))
    score = score_vqa(truth, said, replicates=200)
    found = values(score)
    # By a plain port of the official script, run once, before and after an id was added to each answer.
    assert found["accuracy", None].n == 4319
    assert found["accuracy", None].value == pytest.approx(0.42941267)
    assert found["accuracy_with_answer_ids", None].value == pytest.approx(0.52123177)
    low, high = found["accuracy", None].ci_low, found["accuracy", None].ci_high
    assert low < found["accuracy", None].value < high


def test_annotations_are_read_one_at_a_time(tmp_path):
    """All rows of VQAv2 together would take a gigabyte."""
    rows = [annotation(n, people("red", *["blue"] * 9)) for n in range(3000)]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"annotations": rows}))
    del rows
    tracemalloc.start()
    found = read_annotations(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 3000
    # Parsed all at once they take 5.6 times the bytes of the file; one by one, a few blocks of text.
    assert peak < 3.5 * path.stat().st_size
