import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data import json_stream
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


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(JSON_VALUES, max_size=8),
    st.integers(1, 40),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_list_read_in_blocks_of_any_size_is_what_json_makes_of_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list,
    block: int,
    indent: int | None,
    ascii: bool,
    bom: bool,
    end: str,
) -> None:
    # Blocks of a few bytes cut numbers, words, escapes and characters of several bytes anywhere.
    text = ("\ufeff" if bom else "") + json.dumps(rows, indent=indent, ensure_ascii=ascii).replace("\n", end)
    path = written(tmp_path_factory.mktemp("list"), text.encode("utf-8", "surrogatepass"))
    expected = json.loads(text.removeprefix("\ufeff"))
    assert repr(list(json_stream.entries(path, block))) == repr(expected)  # nan is equal to itself as text only


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5), st.integers(1, 40))
def test_members_are_those_of_the_object(tmp_path_factory: pytest.TempPathFactory, content: dict, block: int) -> None:
    path = written(tmp_path_factory.mktemp("object"), json.dumps(content))
    expected = []
    for key, value in json.loads(json.dumps(content)).items():
        streamed = isinstance(value, list) and value and isinstance(value[0], dict)
        expected += [(key, entry) for entry in value] if streamed else [(key, value)]
    assert repr(list(json_stream.members(path, block))) == repr(expected)


@given(
    st.lists(st.dictionaries(st.text(), st.lists(st.text(), max_size=2), max_size=2), min_size=1), st.integers(1, 40)
)
def test_trailing_commas_are_read_over_wherever_a_block_ends(
    tmp_path_factory: pytest.TempPathFactory, rows: list, block: int
) -> None:
    def loose(value: object) -> str:
        if isinstance(value, dict):
            return "{" + "".join(f"{json.dumps(key)}: {loose(inner)}," for key, inner in value.items()) + "}"
        return (
            "[" + "".join(f"{loose(inner)}, " for inner in value) + "]"
            if isinstance(value, list)
            else json.dumps(value)
        )

    path = written(tmp_path_factory.mktemp("commas"), loose(rows))
    assert list(json_stream.entries(path, block)) == rows


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"id": 1},\r\n{"id": 2, x}]', "line 3: not JSON at column 11 (Expecting property name"),
        (b'[{"id": 1}, {"id": 2} {"id": 3}]', "line 1: not JSON at column 23 (Expecting ','), near"),
        (b'[{"id": 1}] 7', "line 1: not JSON at column 13 (Extra data), near '7'"),
        (b'[{"id": 1}, ', "line 1: the JSON ends in the middle"),
        (b'[{"id": 1},\n', "line 2: the JSON ends in the middle"),
        (b'[{"id": 1}', "line 1: the JSON ends in the middle"),
        (b'[{"id": "a\n"}]', "line 1: not JSON at column 11 (Invalid control character"),
        (b'[1, 2.]', "line 1: not JSON at column 6 (Expecting ','), near '.]'"),
        (b'[,1]', "line 1: not JSON at column 2 (Expecting value)"),
        (b'[\n\n1, \xe9\n]', "line 3: not UTF-8 text"),
        (b'[\n"' + b"a" * 200 + b'\xe2\x82"]', "line 2: not UTF-8 text"),
        (b'[1,' + b"[" * 100_000, "line 1: objects are nested too deeply"),
    ],
)  # fmt: skip
def test_the_place_of_an_error_does_not_depend_on_the_blocks(
    content: bytes, message: str, block: int, tmp_path: Path
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as error:
        list(json_stream.entries(path, block))
    assert str(error.value).startswith(f"{path}, {message}")


def test_a_large_list_is_never_in_memory_whole(tmp_path: Path) -> None:
    rows = [{"question_id": number, "answer": "red and white" * 20} for number in range(50_000)]
    path = written(tmp_path, json.dumps(rows))
    size, count = path.stat().st_size, len(rows)
    del rows
    tracemalloc.start()
    try:
        assert sum(1 for _ in records(path)) == count
        assert tracemalloc.get_traced_memory()[1] < 8e6 < size / 1.5
    finally:
        tracemalloc.stop()


def test_an_error_in_the_middle_of_a_large_list_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"id": 1}, {"id": x},' + '{"id": 2},' * 3_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 1: not JSON at column 20"):
            list(records(path))
        assert tracemalloc.get_traced_memory()[1] < 20e6 < path.stat().st_size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        '{"info": {"a": [{}]}, "annotations": [{"id": 1}, {"id": 2}], "licenses": []}',
        '{"info": {},\n"annotations": [{"id": 1},\n{"id": 2}]}',
        '{"annotations": [\n{"id": 1},\n{"id": 2}\n]}',
        '{"data": [{"id": 1}, {"id": 2}], "annotations": [{"id": 3}]}',
        '{"id": 1}\n{"id": 2}',
        '[{"id": 1}, {"id": 2}]',
    ],
)
def test_a_list_may_lie_in_an_object_where_that_is_asked_for(content: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert [row for _, row in records(path, within=("annotations", "data"))] == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n"images": [{"id": 1}]\n}', "holds one JSON object; expected a JSON list under 'annotations' or 'data'"),
        ('{"annotations": [{"id": 1}, 7]}', "entry 2: expected an object {...}, found 7"),
        ('{"annotations": [{"id": 1}', "line 1: the JSON ends in the middle"),
        ('{"annotations": [{"id": 1}], "info": 1', "line 1: the JSON ends in the middle"),
    ],
)
def test_an_object_without_a_list_says_what_was_looked_for(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        list(records(written(tmp_path, content), within=("annotations", "data")))
    assert message in str(error.value)


def test_one_line_is_one_record_even_where_lists_may_lie_in_an_object(tmp_path: Path) -> None:
    assert list(records(written(tmp_path, '{"id": 1, "x": []}'), within=("annotations",))) == [(1, {"id": 1, "x": []})]


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
        (b"\x1f\x8b\x08\x00", "is gzip-compressed; unpack it or save it as JSON"),
        (b"PK\x03\x04", "is a zip archive or an Excel file; unpack it or save it as JSON"),
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
        with pytest.raises(DataError, match="a folder, where a file is expected"):
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


@pytest.mark.parametrize("content", ["question_id,answer\n1,cat\n", "5", "cat\n"])
def test_what_is_no_json_is_said_to_be_none(content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: expected (a JSON list, or one JSON|an) object .*, found"):
        list(records(written(tmp_path, content)))


def test_an_id_of_thousands_of_digits_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: Exceeds the limit"):
        list(records(written(tmp_path, f'[{{"id": {"9" * 5000}}}]')))


def test_missing_predictions_may_count_as_wrong_but_unknown_ones_never() -> None:
    paired(["1", "2"], ["1"], "gt.json", "pred.json", missing="wrong")
    with pytest.raises(DataError, match=r'count them as wrong .--missing-wrong, in Python missing="wrong"'):
        paired(["1", "2"], ["1"], "gt.json", "pred.json")
    with pytest.raises(DataError, match="unknown ids"):
        paired(["1", "2"], ["1", "3"], "gt.json", "pred.json", missing="wrong")
    with pytest.raises(DataError, match="no id is in both files"):
        paired(["1", "2"], ["a", "b"], "gt.json", "pred.json")
