import json
from pathlib import Path

import pytest

from chiasm.data.records import read_json
from chiasm.errors import DataError
from chiasm.score.doctor import check_predictions


def written(folder: Path, content: str) -> Path:
    path = folder / "predictions.json"
    path.write_text(content, "utf-8")
    return path


def kinds(path: Path, *arguments, **options) -> list[tuple[str, int | None, str | None]]:
    return [(one.kind, one.number, one.id) for one in check_predictions(path, *arguments, **options).problems]


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    lines = [
        '{"question_id": 1, "answer": "yes"}',
        '{"question_id": "2", "answer": "  "}',
        '{"question_id": 1, "answer": "no"}',
        '{"question_id": 3, "answer": NaN}',
        '{"question_id": NaN, "answer": "a"}',
        '{"answer": "b"}',
        '{"question_id": 4}',
        '{"question_id": 5, "answer": ["cat"]}',
        '{"question_id": 6, "answer": "two\\nlines"}',
        "not JSON",
        '{"question_id": 7, "answer": "a", "score": [0.1, Infinity]}',
        '{"question_id": 8, "answ',
    ]
    checkup = check_predictions(written(tmp_path, "\n".join(lines)), ["1", "2", "3", "4", "5", "6", "9"])
    assert (checkup.records, checkup.id_key, checkup.answer_key) == (10, "question_id", "answer")
    found = sorted((one.kind, one.number, one.id) for one in checkup.problems if one.number is not None)
    assert found == [
        ("bad id", 5, None),
        ("duplicate id", 3, "1"),
        ("empty answer", 2, "2"),
        ("extra id", 11, "7"),
        ("line break", 9, "6"),
        ("no answer", 7, "4"),
        ("no id", 6, None),
        ("not finite", 4, "3"),
        ("not finite", 11, "7"),
        ("wrong type", 4, "3"),
        ("wrong type", 8, "5"),
    ]
    others = {one.kind: one for one in checkup.problems if one.number is None}
    assert set(others) == {"unreadable", "mixed id types", "missing id"}
    assert others["missing id"].id == "9"
    messages = "\n".join(one.message for one in checkup.problems)
    assert "line 10: not JSON" in messages
    assert "line 12: the JSON ends in the middle" in messages
    assert "line 3: id '1' was already given at 1" in messages


@pytest.mark.parametrize(
    "content",
    [
        '[{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "a dog"}]',
        '{"image_id": 1, "caption": "a cat"}\n{"image_id": 2, "caption": "a dog"}\n',
        '{"1": "a cat", "2": "a dog"}',
        '{"info": "x", "annotations": [{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "a dog"}]}',
    ],
    ids=["list", "lines", "object by id", "list in an object"],
)
def test_a_sound_file_of_any_form_has_no_problems(content: str, tmp_path: Path) -> None:
    checkup = check_predictions(written(tmp_path, content), ["1", "2"])
    assert checkup.problems == ()
    assert checkup.records == 2


def test_one_line_is_one_record(tmp_path: Path) -> None:
    checkup = check_predictions(written(tmp_path, '{"image_id": 1, "caption": "a cat"}'))
    assert (checkup.records, checkup.id_key, checkup.problems) == (1, "image_id", ())


def test_an_object_with_a_key_twice_is_said(tmp_path: Path) -> None:
    (problem,) = check_predictions(written(tmp_path, '{"1": "a cat", "1": "a dog"}')).problems
    assert problem.kind == "unreadable"
    assert "'1' appears twice" in problem.message


def test_entries_of_an_object_that_are_no_records_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, '{"annotations": [{"image_id": 1, "caption": "a cat"}, 7]}')
    assert kinds(path) == [("unreadable", None, None)]


def test_nearly_constant_answers_are_suspicious_from_twenty_on(tmp_path: Path) -> None:
    def answers(yes: int, no: int) -> str:
        return json.dumps([{"id": i, "answer": "Yes " if i < yes else "no"} for i in range(yes + no)])

    assert kinds(written(tmp_path, answers(95, 5))) == [("constant answer", None, None)]
    assert kinds(written(tmp_path, answers(94, 6))) == []
    assert kinds(written(tmp_path, answers(19, 0))) == []


def test_a_picture_may_have_many_boxes_or_none(tmp_path: Path) -> None:
    boxes = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}] * 2
    assert kinds(written(tmp_path, json.dumps(boxes)), ["1", "2"]) == []
    boxes = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, float("nan"), 5], "score": 0.5}]
    assert kinds(written(tmp_path, json.dumps(boxes)), ["2"]) == [("not finite", 1, "1"), ("extra id", 1, "1")]


def test_keys_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"key": 1, "output": ""}]')
    assert [kind for kind, _, _ in kinds(path)] == ["no id", "no answer"]
    assert kinds(path, id_key="key", answer_key="output") == [("empty answer", 1, "1")]


@pytest.mark.parametrize(("content", "message"), [("", "is empty"), ('[{"id": 1', "ends in the middle")])
def test_a_damaged_file_is_a_problem_and_no_exception(content: str, message: str, tmp_path: Path) -> None:
    checkup = check_predictions(written(tmp_path, content))
    assert [one.kind for one in checkup.problems] == ["unreadable"]
    assert message in checkup.problems[0].message


def test_a_file_that_is_not_there_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        check_predictions(tmp_path / "nothing.json")


def test_a_real_detector_has_no_problems(shared_data: Path) -> None:
    truth = read_json(shared_data / "coco-mini" / "annotations" / "instances_val2017.json")
    path = shared_data / "coco-mini" / "predictions" / "fastestdet_val2017.json"
    checkup = check_predictions(path, [str(photo["id"]) for photo in truth["images"]])
    assert checkup.problems == ()
    assert checkup.records == len(read_json(path))
