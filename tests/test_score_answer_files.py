"""One reader of answers: whatever file a model's answers are in, every task scores the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chiasm.errors import DataError
from chiasm.score.answer_files import answer_rows, answers_in_order, answers_of, answers_to
from chiasm.score.choice.pairs import score_nlvr2
from chiasm.score.choice.pope import score_pope
from chiasm.score.choice.scienceqa import score_scienceqa
from chiasm.score.choice.seed import score_seed
from chiasm.score.result import Score
from chiasm.score.vqa.accuracy import score_vqa
from chiasm.score.vqa.anls import score_anls
from chiasm.score.vqa.chartqa import score_chartqa
from chiasm.score.vqa.daquar import score_daquar
from chiasm.score.vqa.gqa import score_gqa
from chiasm.score.vqa.vizwiz import score_vizwiz

Row = dict[str, str]


def as_list(path: Path, rows: list[Row]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def as_lines(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_csv(path: Path, rows: list[Row], delimiter: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_tsv(path: Path, rows: list[Row]) -> Path:
    return as_csv(path, rows, "\t")


def as_xlsx(path: Path, rows: list[Row]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        book.active.append(cells)
    book.save(path)
    return path


WRITERS: list[Callable[[Path, list[Row]], Path]] = [as_list, as_lines, as_csv, as_tsv, as_xlsx]

VQA = {
    "annotations": [
        {"question_id": n, "image_id": n, "answers": [{"answer": "red", "answer_id": k} for k in range(10)]}
        for n in (1, 2)
    ]
}
VIZWIZ = [{"image": f"{n}.jpg", "question": "?", "answers": [{"answer": "red"}] * 10, "answerable": 1} for n in (1, 2)]
GQA = {
    str(n): {"question": "?", "answer": "red", "imageId": "7", "types": {"structural": "query", "semantic": "attr"}}
    for n in (1, 2)
}
ANLS = {"data": [{"questionId": n, "question": "?", "answers": ["red"]} for n in (1, 2)]}
CHARTS = [{"imgname": f"{n}.png", "query": "?", "label": "red"} for n in (1, 2)]
SEED = {
    "questions": [{"question_id": str(n), "answer": "A", "choice_a": "red", "choice_b": "blue"} for n in (1, 2)],
    "question_type": {},
}
SCIENCE = {str(n): {"choices": ["red", "blue"], "answer": 0, "split": "test"} for n in (1, 2)}
POPE = [{"question_id": n, "image": "7.jpg", "text": f"Is there a {n}?", "label": "yes"} for n in (1, 2)]
NLVR2 = [{"identifier": f"dev-{n}-0-0", "sentence": "?", "label": "True"} for n in (1, 2)]
TASKS: dict[str, tuple[Callable[[Path, Path], Score], Any, str, list[str], tuple[str, str]]] = {
    "vqa": (score_vqa, VQA, "question_id", ["1", "2"], ("red", "blue")),
    "vizwiz": (score_vizwiz, VIZWIZ, "image", ["1.jpg", "2.jpg"], ("red", "blue")),
    "gqa": (score_gqa, GQA, "questionId", ["1", "2"], ("red", "blue")),
    "docvqa": (score_anls, ANLS, "questionId", ["1", "2"], ("red", "blue")),
    "seed": (score_seed, SEED, "question_id", ["1", "2"], ("A", "B")),
    "scienceqa": (score_scienceqa, SCIENCE, "question_id", ["1", "2"], ("A", "B")),
    "nlvr2": (score_nlvr2, NLVR2, "identifier", ["dev-1-0-0", "dev-2-0-0"], ("True", "False")),
    "pope": (lambda gt, pred: score_pope([gt], [pred]), POPE, "question_id", ["1", "2"], ("yes", "no")),
    "chartqa": (lambda gt, pred: score_chartqa([gt], [pred]), CHARTS, "question_id", ["0", "1"], ("red", "blue")),
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_takes_every_layout(task: str, write: Callable[[Path, list[Row]], Path], tmp_path: Path) -> None:
    """The first of two answers is right, and stands beside a column "answer" that is not what the model said where the
    tables of VLMEvalKit have the truth."""
    scorer, truth, key, ids, said = TASKS[task]
    gt = as_lines(tmp_path / "gt", truth) if task in ("pope", "nlvr2") else tmp_path / "gt"
    if not gt.exists():
        gt.write_text(json.dumps(truth))
    rows = [{key: name, "answer": said[0], "prediction": text} for name, text in zip(ids, said, strict=True)]
    assert scorer(gt, write(tmp_path / "pred", rows)).values[0].value == 0.5


def test_how_answerable_a_question_is_may_stand_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "gt").write_text(json.dumps([VIZWIZ[0], VIZWIZ[1] | {"answerable": 0}]))
    rows = [{"image": f"{n}.jpg", "answer": "red", "answerable": text} for n, text in ((1, "0.9"), (2, "0.1"))]
    values = {one.metric: one.value for one in score_vizwiz(tmp_path / "gt", as_csv(tmp_path / "p", rows)).values}
    assert values["unanswerable.f1"] == values["unanswerable.ap"] == 1.0
    with pytest.raises(DataError, match=r"'answerable' of '2.jpg' is 'maybe', expected a number"):
        score_vizwiz(tmp_path / "gt", as_csv(tmp_path / "p", [rows[0], rows[1] | {"answerable": "maybe"}]))


@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"pope", "nlvr2"}))
def test_an_object_of_answers_by_id(task: str, tmp_path: Path) -> None:
    scorer, truth, _, ids, said = TASKS[task]
    (tmp_path / "gt").write_text(json.dumps(truth))
    (tmp_path / "pred").write_text(json.dumps(dict(zip(ids, said, strict=True))))
    assert scorer(tmp_path / "gt", tmp_path / "pred").values[0].value == 0.5
    (tmp_path / "pred").write_text('{"1": "a", "1": "b"}')
    with pytest.raises(DataError, match="'1' appears twice"):
        scorer(tmp_path / "gt", tmp_path / "pred")


def test_the_index_of_vlmevalkit_is_an_id(tmp_path: Path) -> None:
    rows = [{"index": "5", "question": "?", "answer": "red", "prediction": "blue"}]
    path = as_csv(tmp_path / "p.csv", rows)
    assert answers_of(path, answer_rows(path)) == {"5": "blue"}
    assert answers_to(path, ["5", "6"], "gt", missing="wrong") == {"5": "blue", "6": None}


ASKED = [("a.png", "How many?"), ("b.png", "Who?")]


def test_questions_without_ids_meet_a_table_by_image_and_question_or_by_order(tmp_path: Path) -> None:
    by_pair = [
        {"image": "b.png", "question": "Who?", "answer": "Ann"},
        {"image": "a.png", "question": "How many?", "answer": "2"},
    ]
    assert answers_in_order(as_tsv(tmp_path / "pairs", by_pair), ASKED) == ["2", "Ann"]
    # An index that does not begin at 0 is no place, so the order counts, and the questions say that it is right.
    by_order = [
        {"index": "9", "question": "How many? Be brief.", "prediction": "2"},
        {"index": "10", "question": "Who?", "prediction": "Ann"},
    ]
    assert answers_in_order(as_csv(tmp_path / "order", by_order), ASKED) == ["2", "Ann"]
    with pytest.raises(DataError, match=r"entry 1 answers 'Who.', but the question in that place is 'How many.'"):
        answers_in_order(as_csv(tmp_path / "wrong", by_order[::-1]), ASKED)
    bare = [{"index": "1", "prediction": "Ann"}, {"index": "0", "prediction": "2"}]
    assert answers_in_order(as_csv(tmp_path / "bare", bare), ASKED) == ["2", "Ann"]


def test_an_answer_a_line_may_hold_commas(tmp_path: Path) -> None:
    """DAQUAR's answers are sets of words; a header names questions as well."""
    (tmp_path / "gt").write_text("what is it ?\nbook, text\nimage1\nwhat ?\ntext\nimage2\n")
    (tmp_path / "lines").write_text("book,text\ntext\n")
    assert answers_in_order(tmp_path / "lines", ASKED) == ["book,text", "text"]
    rows = [{"question": "what is it ?", "prediction": "book, text"}, {"question": "what ?", "prediction": "text"}]
    assert score_daquar(tmp_path / "gt", as_csv(tmp_path / "table", rows)).values[0].value == 1.0


def test_what_is_wrong_with_a_table_is_said_with_its_place(tmp_path: Path) -> None:
    twice = [{"question_id": "1", "answer": "red"}] * 2
    for write in WRITERS:
        path = write(tmp_path / write.__name__, twice)
        with pytest.raises(DataError, match=r"(entry|line) 2: a second answer for question_id '1'"):
            answers_of(path, answer_rows(path))
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 and nothing")
    pytest.importorskip("openpyxl")
    with pytest.raises(DataError, match="no Excel file that can be read"):
        answer_rows(tmp_path / "zip")
