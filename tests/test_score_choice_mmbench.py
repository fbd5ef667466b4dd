"""MMBench in all its layouts: circular against vanilla, and passes that are missing."""

import csv
import json

import pytest

from chiasm.errors import DataError
from chiasm.score.choice.mmbench import score_mmbench
from chiasm.score.faults.unparsed import if_unparsed_were_right

PICTURE = "iVBORw0KGgo" * 20_000  # longer than the 128 KiB that csv takes by default


def write_table(path, rows, delimiter="\t"):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def numbers(score, where=None):
    return {value.metric: value.value for value in score.values if value.slice == where}


def rotations(index, options, right, category, image):
    """The passes of a question: its options rotated, with the letter that is right in each."""
    rows = []
    for step in range(len(options)):
        order = options[step:] + options[:step]
        cells = dict(zip("ABCD", order + [""] * 4, strict=False))
        image_cell = image if step == 0 else str(index)
        answer = "ABCD"[order.index(right)]
        rows.append({"index": index + step * 1_000_000, "question": "What\nis it?", **cells, "answer": answer,
                     "category": category, "image": image_cell})  # fmt: skip
    return rows


TRUTH = [
    *rotations(0, ["cat", "dog", "cow", "pig"], "dog", "animals", PICTURE),
    *rotations(1, ["red", "blue"], "red", "colours", "1"),
]


def predictions(wrong=()):
    return [{"index": row["index"], "prediction": "Z" if row["index"] in wrong else row["answer"]} for row in TRUTH]


@pytest.fixture
def truth(tmp_path):
    return write_table(tmp_path / "truth.tsv", TRUTH)


def test_one_wrong_pass_costs_the_question_in_circular_but_not_in_vanilla(truth, tmp_path):
    score = score_mmbench(truth, write_table(tmp_path / "p.tsv", predictions(wrong={2_000_000})))
    found = numbers(score)
    assert found["accuracy.circular"] == 0.5
    assert found["accuracy.vanilla"] == 1
    assert found["accuracy.all_passes"] == pytest.approx(5 / 6)
    assert found["unparsed"] == pytest.approx(1 / 6)
    assert numbers(score, ("category", "animals"))["accuracy.circular"] == 0
    assert numbers(score, ("category", "colours"))["accuracy.circular"] == 1
    # Guessing: (1/4 + 1/2) / 2 in the first pass, (1/4^4 + 1/2^2) / 2 in all.
    assert found["baseline.chance.accuracy.vanilla"] == pytest.approx(3 / 8)
    assert found["baseline.chance.accuracy.circular"] == pytest.approx((1 / 256 + 1 / 4) / 2)


def test_an_unparsed_answer_is_wrong_and_never_a_guess(truth, tmp_path):
    path = write_table(tmp_path / "p.tsv", predictions(wrong={0}))
    first, second = score_mmbench(truth, path), score_mmbench(truth, path)
    assert first == second
    [item] = [item for item in first.items if item.id == "0"]
    assert (item.parsed, item.problem) == (None, "names no option")
    # All four passes of its question count anew, and only this one was wrong.
    assert if_unparsed_were_right(first) == {
        "accuracy.circular": 1.0,
        "accuracy.all_passes": 1.0,
        "accuracy.vanilla": 1.0,
    }


def test_copies_belong_to_the_picture_of_their_first_pass(truth, tmp_path):
    items = score_mmbench(truth, write_table(tmp_path / "p.tsv", predictions())).items
    assert len({item.image for item in items[:4]}) == 1
    assert {item.image for item in items[4:]} == {"1"}
    assert len(items[0].image) == 64  # a hash, not the picture


def test_an_answer_may_be_the_text_of_an_option(truth, tmp_path):
    rows = [{"index": row["index"], "prediction": f"It is {row[row['answer']]}."} for row in TRUTH]
    assert numbers(score_mmbench(truth, write_table(tmp_path / "p.csv", rows, ",")))["accuracy.circular"] == 1


def test_json_lines_and_one_file_for_both(tmp_path):
    both = tmp_path / "both.jsonl"
    both.write_text("\n".join(json.dumps({**row, "prediction": row["answer"]}) for row in TRUTH))
    assert numbers(score_mmbench(both, both))["accuracy.circular"] == 1


def test_excel_files_with_openpyxl(truth, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["index", "prediction"])
    for row in predictions(wrong={1}):
        book.active.append([row["index"], row["prediction"]])
    book.save(tmp_path / "p.xlsx")
    assert numbers(score_mmbench(truth, tmp_path / "p.xlsx"))["accuracy.circular"] == 0.5


def test_excel_files_without_openpyxl_say_what_to_do(truth, tmp_path, monkeypatch):
    (tmp_path / "p.xlsx").write_bytes(b"PK\x03\x04")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(DataError, match="pip install openpyxl, or save it as TSV"):
        score_mmbench(truth, tmp_path / "p.xlsx")


def test_one_pass_alone_is_called_vanilla(tmp_path):
    rows = [row for row in TRUTH if row["index"] < 1_000_000]
    truth = write_table(tmp_path / "t.tsv", rows)
    score = score_mmbench(truth, write_table(tmp_path / "p.tsv", [p for p in predictions() if p["index"] < 1_000_000]))
    assert score.dialect == "vanilla"
    assert "accuracy.circular" not in numbers(score)
    assert "the official one is circular" in score.notes[-1]


def test_predictions_of_one_pass_do_not_pass_for_all(truth, tmp_path):
    path = write_table(tmp_path / "p.tsv", [p for p in predictions() if p["index"] < 1_000_000])
    with pytest.raises(DataError, match="no prediction for 4 of 6"):
        score_mmbench(truth, path)
    assert numbers(score_mmbench(truth, path, missing="wrong"))["accuracy.circular"] == 0


def test_a_truth_with_an_incomplete_question_is_named(tmp_path):
    truth = write_table(tmp_path / "t.tsv", [row for row in TRUTH if row["index"] != 3_000_000])
    with pytest.raises(DataError, match="1 of 2 questions do not have one pass for each option; the first is index 0"):
        score_mmbench(truth, truth)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "E"}, "index '0': the answer is 'E', but the options are A, B, C, D"),
        ({"index": 1}, "a second question for index '1'"),
        ({"index": "x"}, "index 'x': expected a whole number"),
        ({"index": ""}, "is empty text, not an id"),
    ],
)
def test_a_malformed_truth_is_named(tmp_path, change, message):
    truth = write_table(tmp_path / "t.tsv", [{**TRUTH[0], **change}, *TRUTH[1:]])
    with pytest.raises(DataError, match=message):
        score_mmbench(truth, truth)


def test_a_table_cut_off_inside_a_quoted_cell_is_an_error(truth, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('index,prediction\n0,"B, because')
    with pytest.raises(DataError, match="not readable as a table"):
        score_mmbench(truth, path)


def test_a_row_with_too_many_cells_is_named(truth, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("index,prediction\n0,B\n1,A, I think\n")
    with pytest.raises(DataError, match="line 3: 3 cells, but the header names 2"):
        score_mmbench(truth, path)
