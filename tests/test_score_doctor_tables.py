"""The doctor on MME's files and on what people said: ratings and preferences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.score.doctor import Checkup, check_predictions


def written(folder: Path, content: str, name: str = "table") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def places(checkup: Checkup) -> set[tuple[str, int | None, str | None]]:
    return {(found.kind, place.number, place.id) for found in checkup.findings for place in found.places}


MME = "a.jpg\tIs it?\tYes\tyes\na.jpg\tIs it not?\tNo\tno\n"


def test_a_line_of_mme_has_its_truth_and_its_answer(tmp_path: Path) -> None:
    assert check_predictions(written(tmp_path, MME)).findings == ()
    broken = MME + "b.jpg\tIs it?\tYes\tperhaps\nb.jpg\tIs it not?\tNo\n"
    checkup = check_predictions(written(tmp_path, broken))
    assert (checkup.records, checkup.word) == (4, "line")
    assert places(checkup) == {("neither yes nor no", 3, "b.jpg: Is it?"), ("no answer", 4, "b.jpg: Is it not?")}


def test_a_folder_of_mme_is_looked_at_file_by_file(tmp_path: Path) -> None:
    written(tmp_path / "mme", MME, "existence.txt")
    written(tmp_path / "mme", MME.replace("\tyes", "\tdog"), "scene.txt")
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "mme")])
    assert result.exit_code == 0
    assert "existence.txt: 2 records, nothing to complain about" in result.stdout
    assert "neither yes nor no (1)" in result.stdout
    found = json.loads(CliRunner().invoke(app, ["doctor", str(tmp_path / "mme"), "--json"]).stdout)
    assert [Path(one["path"]).name for one in found] == ["existence.txt", "scene.txt"]
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(app, ["doctor", str(tmp_path / "empty")]).exit_code == 1


def test_ratings(tmp_path: Path) -> None:
    sound = "item,rater,rating,system\n1,ann,5,a\n1,ann,4,b\n1,bob,5,a\n2,ann,,a\n"
    assert check_predictions(written(tmp_path, sound)).findings == ()
    broken = sound + "1,bob,2,a\n2,bob,good,a\n3,,1,a\n"
    checkup = check_predictions(written(tmp_path, broken))
    assert (checkup.records, checkup.has_errors) == (7, True)
    assert places(checkup) == {
        ("judged twice", 5, "1"), ("unusable judgement", 6, None), ("unusable judgement", 7, None),
    }  # fmt: skip
    rows = [{"item": n, "rater": "ann", "rating": 3} for n in range(5)]
    assert places(check_predictions(written(tmp_path, json.dumps(rows)))) == {("constant rater", None, None)}
    assert check_predictions(written(tmp_path, json.dumps(rows[:4]))).findings == ()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("item,left,right,winner\n1,a,b,a\n1,b,a,a\n1,a,b,tie\n", None),
        ("item,left,right,winner\n1,a,b,a\n2,a,b,c\n", "unusable judgement"),
        # Always the left one, whichever system that is.
        ("item,left,right,winner\n" + "1,a,b,a\n2,b,a,b\n3,a,b,left\n4,a,b,a\n5,b,a,b\n", "constant rater"),
        ("item,left,right,winner\n" + "1,a,b,a\n2,b,a,a\n3,a,b,left\n4,a,b,a\n5,b,a,a\n", None),
        ('[{"caption": "x", "model_0": "a", "model_1": "b", "label_0": 1, "label_1": 0}]', None),
        ('[{"caption": "x", "model_0": "a", "model_1": "b", "label_0": 1, "label_1": 1}]', "unusable judgement"),
        ('[{"prompt": "x", "generations": ["a/1", "b/1"], "ranking": [1, 2]}]', None),
        ('[{"prompt": "x", "generations": ["a/1"], "ranking": [1, 2]}]', "unusable judgement"),
    ],
)
def test_preferences(content: str, kind: str | None, tmp_path: Path) -> None:
    found = [finding.kind for finding in check_predictions(written(tmp_path, content)).findings]
    assert found == ([kind] if kind else [])


@pytest.mark.parametrize(
    "content",
    [
        '{"outputs": {"1": "B", "2": "A"}, "acc": 0.5}',  # ScienceQA's
        '{"results": {"1": 0, "2": 1}}',
        '{"sent_id": 1, "bbox": [0, 0, 1, 2]}\n{"sent_id": 2, "bbox": [0, 0, 1, 2]}\n',
        '{"id": 1, "point": [3, 4]}\n{"id": 2, "point": [3, 4]}\n',
        '{"question_id": 1, "text": "a cat"}\n{"question_id": 2, "answer": "a dog"}\n',
        '{"id": 1, "question": "a?", "answer": "cat"}\n{"id": 1, "question": "b?", "answer": "dog"}\n',  # TIFA's
    ],
)
def test_sound_files_of_other_forms_have_no_findings(content: str, tmp_path: Path) -> None:
    checkup = check_predictions(written(tmp_path, content))
    assert (checkup.records, checkup.findings) == (2, ())


def test_excel_files_and_other_archives(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (("index", "prediction"), (1, "cat"), (1, "dog")):
        book.active.append(cells)
    book.save(tmp_path / "p.xlsx")
    assert places(check_predictions(tmp_path / "p.xlsx")) == {("duplicate id", 2, "1")}
    (tmp_path / "z.npz").write_bytes(b"PK\x03\x04 and nothing")
    assert [finding.kind for finding in check_predictions(tmp_path / "z.npz").findings] == ["unreadable"]
