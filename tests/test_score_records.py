import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.records import by_id, id_text, paired, place, read_json, records
from chiasm.errors import DataError

ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b, ]"}]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "predictions"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\ufeff" + json.dumps(ROWS),
        "\ufeff" + "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n",
        ",\n".join(map(json.dumps, ROWS)) + ",\n",
        '[{"id": 1, "text": "a",}, {"id": 2, "text": "b, ]"},\n]',
    ],
    ids=["list", "indented", "lines", "bom", "bom crlf blank", "lines with commas", "list with trailing commas"],
)
def test_every_common_way_to_write_a_file_reads_the_same(content: str, tmp_path: Path) -> None:
    assert [row for _, row in records(written(tmp_path, content))] == ROWS


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), min_size=1))
def test_no_text_moves_a_record_to_another_line(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    # ensure_ascii=False leaves U+2028, U+0085, VT and their like as they are: not one of them ends a line.
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path = written(tmp_path_factory.mktemp("lines"), lines.encode("utf-8", "surrogatepass"))
    assert list(records(path)) == list(enumerate(rows, start=1))


def test_a_large_file_of_lines_is_never_in_memory_whole(tmp_path: Path) -> None:
    first = next(records(written(tmp_path, '{"id": 1}\n' + "not JSON, and not reached\n")))
    assert first == (1, {"id": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1}\n{"id": 2, "te', "line 2: the JSON ends in the middle"),
        ('[\n{"id": 1},\n{"id": 2', "line 3: the JSON ends in the middle"),
        ('[{"id": 1}, {"id": "a', "line 1: the JSON ends in the middle"),
        ('{"id": 1}\n{id: 2}', "line 2: not JSON at column 2"),
        ('{"id": 1}\n[2]', r"line 2: expected an object {...}, found \[2\]"),
        ('[{"id": 1}, "two"]', "entry 2: expected an object {...}, found 'two'"),
        ('{\n "1": "a cat"\n}', "holds one JSON object; expected a JSON list"),
        ("", "is empty"),
        ("\ufeff \r\n", "is empty"),
        (b'{"id": 1}\n{"id": "\xe9"}', "line 2: not UTF-8 text"),
        (b'[{"id": 1},\n{"id": "\xe9"}]', "line 2: not UTF-8 text"),
        ('[{"id": 1}]'.encode("utf-16"), "is UTF-16 text; save the file as UTF-8"),
        ("[" * 100_000, "nested too deeply|ends in the middle"),
    ],
)
def test_what_can_not_be_read_is_named_with_its_line(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        list(records(path))
    assert str(error.value).startswith(str(path))


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    for read in (read_json, lambda path: list(records(path))):
        with pytest.raises(DataError, match="No such file"):
            read(tmp_path / "nothing.json")
        with pytest.raises(DataError, match="directory"):
            read(tmp_path)


def test_all_bad_lines_can_be_collected(tmp_path: Path) -> None:
    path = written(tmp_path, '{"id": 1}\nnonsense\n{"id": 2}\n"text"\n{"id": 3')
    problems: list[str] = []
    assert [number for number, _ in records(path, problems)] == [1, 3]
    assert [problem.split(":")[0] for problem in problems] == [f"{path}, line {n}" for n in (2, 4, 5)]


def test_a_key_given_twice_is_only_an_error_where_keys_are_ids(tmp_path: Path) -> None:
    path = written(tmp_path, '{"1": "a cat", "2": "a dog", "1": "a cow"}')
    assert read_json(path) == {"1": "a cow", "2": "a dog"}
    with pytest.raises(DataError, match="'1' appears twice"):
        read_json(path, unique_keys=True)


def test_ids_are_compared_as_text(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"id": 1}, {"id": "02"}, {"id": 3.0}]')
    assert list(by_id(path, records(path), "id", "answer")) == ["1", "02", "3"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 1}, {"id": "1"}], "line 2: a second answer for id '1', after that of line 1"),
        ([{"id": 1}, {"image": 2, "text": ""}], "line 2: this answer has no 'id', only 'image', 'text'"),
        ([{"id": 1}, {"id": float("nan")}], "line 2: 'id' of this answer is nan"),
        ([{"id": 1}, {"id": None}], "line 2: 'id' of this answer is None"),
        ([{"id": 1}, {"id": ""}], "line 2: 'id' of this answer is empty text"),
        ([{"id": 1}, {"id": True}], "line 2: 'id' of this answer is True"),
        ([{"id": 1}, {"id": 1.5}], "line 2: 'id' of this answer is 1.5"),
        ([{"id": 1}, {"id": [1]}], r"line 2: 'id' of this answer is \[1\]"),
    ],
)
def test_bad_ids_are_named_with_file_and_line(rows: list[dict], message: str, tmp_path: Path) -> None:
    path = written(tmp_path, "\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=message):
        by_id(path, records(path), "id", "answer")


def test_a_place_is_a_line_only_where_records_are_lines(tmp_path: Path) -> None:
    assert place(written(tmp_path, '{"id": 1}\n{"id": 2}'), 2).endswith(", line 2")
    assert place(written(tmp_path, '[{"id": 1},\n{"id": 2}]'), 2).endswith(", entry 2")
    assert place(written(tmp_path, '{"annotations":\n[{"id": 1}]}'), 1).endswith(", entry 1")


@given(st.integers())
def test_a_whole_number_and_its_text_are_one_id(number: int) -> None:
    assert id_text(number) == id_text(str(number)) == str(number)


def test_pairing_counts_and_shows_what_is_missing_and_what_is_extra() -> None:
    truth = [str(n) for n in range(10)]
    with pytest.raises(DataError) as error:
        paired(truth, ["0", "1", "x"], "gt.json", "pred.json")
    assert str(error.value) == (
        "pred.json does not fit gt.json: no prediction for 8 of 10 ids ('2', '3', '4', '5', '6', ...); "
        "1 of 3 predictions are for unknown ids ('x')"
    )
    paired(truth, reversed(truth), "gt.json", "pred.json")


def test_missing_predictions_may_count_as_wrong_but_unknown_ones_never() -> None:
    paired(["1", "2"], ["1"], "gt.json", "pred.json", missing="wrong")
    with pytest.raises(DataError, match='count them as wrong with missing="wrong"'):
        paired(["1", "2"], ["1"], "gt.json", "pred.json")
    with pytest.raises(DataError, match="unknown ids"):
        paired(["1", "2"], ["1", "3"], "gt.json", "pred.json", missing="wrong")
    with pytest.raises(DataError, match="no id is in both files"):
        paired(["1", "2"], ["a", "b"], "gt.json", "pred.json")
