import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.records import read_json
from chiasm.errors import DataError
from chiasm.score.doctor import Checkup, check_predictions
from chiasm.score.doctor.findings import KINDS
from chiasm.score.doctor.truth import read_truth


def written(folder: Path, content: str | bytes | list | dict, name: str = "predictions") -> Path:
    path = folder / name
    if isinstance(content, list | dict):
        content = json.dumps(content)
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def places(checkup: Checkup) -> set[tuple[str, int | None, str | None]]:
    return {(found.kind, place.number, place.id) for found in checkup.findings for place in found.places}


def kinds(checkup: Checkup) -> dict[str, int]:
    return {finding.kind: finding.count for finding in checkup.findings}


def answers(texts: Iterable[object]) -> list[dict]:
    return [{"question_id": number, "answer": text} for number, text in enumerate(texts)]


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
    truth = [{"question_id": number, "answer": "red"} for number in (1, 2, 3, 4, 5, 6, 9)]
    checkup = check_predictions(written(tmp_path, "\n".join(lines)), written(tmp_path, truth, "truth"))
    assert (checkup.records, checkup.word, checkup.id_key) == (10, "line", "question_id")
    assert places(checkup) == {
        ("bad id", 5, None),
        ("duplicate id", 3, "1"),
        ("empty answer", 2, "2"),
        ("extra id", 11, "7"),
        ("line break", 9, "6"),
        ("missing id", None, "9"),
        ("mixed id types", 1, "1"),
        ("mixed id types", 2, "2"),
        ("no answer", 7, "4"),
        ("no id", 6, None),
        ("not finite", 4, "3"),
        ("not finite", 11, "7"),
        ("unreadable", None, None),
        ("wrong type", 4, "3"),
        ("wrong type", 8, "5"),
    }
    found = {finding.kind: [place.found for place in finding.places] for finding in checkup.findings}
    assert found["duplicate id"] == ["first given at 1"]
    assert [text.split(":")[0] for text in found["unreadable"]] == ["line 10", "line 12"]
    severities = [finding.severity for finding in checkup.findings]
    assert severities == sorted(severities)
    assert checkup.has_errors


SOUND = {
    "list": '[{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "a dog"}]',
    "lines": '{"image_id": 1, "caption": "a cat"}\n{"image_id": 2, "caption": "a dog"}\n',
    "by id": '{"1": "a cat", "2": "a dog"}',
    "by id, indented": '{\n"1": "a cat",\n"2": "a dog"\n}',
    "wrapped": '{"info": "x", "annotations": [{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "b"}]}',
    "csv": 'image_id,caption\n1,"a cat, black"\n2,a dog\n',
    "tsv": "index\tprediction\n1\ta cat\n2\ta dog\n",
}


@pytest.mark.parametrize("content", SOUND.values(), ids=SOUND)
def test_a_sound_file_of_any_form_has_no_findings(content: str, tmp_path: Path) -> None:
    truth = written(tmp_path, [{"image_id": 1, "caption": "cat"}, {"image_id": 2, "caption": "dog"}], "truth")
    checkup = check_predictions(written(tmp_path, content), truth)
    assert checkup.findings == ()
    assert checkup.records == 2


def test_one_answer_a_line_is_tied_by_order_and_counted(tmp_path: Path) -> None:
    truth = written(tmp_path, [{"imgname": "a", "query": str(n), "label": "3"} for n in range(3)], "truth")
    assert kinds(check_predictions(written(tmp_path, "3\n4\n5\n"), truth)) == {"no ids": 1}
    checkup = check_predictions(written(tmp_path, "3\n4, 5\n"), truth)
    assert kinds(checkup) == {"wrong number": 1, "no ids": 1}
    assert checkup.word == "line"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("", "unreadable"),
        ("[]", "no records"),
        ('[{"id": 1', "unreadable"),
        ('{"id": 1, "answer', "unreadable"),
        ('{"annotations": [{"image_id": 1, "caption": "a cat"}, 7]}', "unreadable"),
        ("index,answer\n1,a,b\n", "unreadable"),
        (b"index,answer\n1,\xe9\n", "unreadable"),
        ('{"1": "a cat", "1": "a dog"}', "duplicate id"),
        ('\ufeff[{"id": 1, "answer": "a"}]', "byte order mark"),
        ('{"id": 1, "answer": "a"}\n{"id": 2, "answer": "b"}\r\n', "CRLF"),
    ],
)
def test_a_damaged_file_is_a_finding_and_no_exception(content: str | bytes, kind: str, tmp_path: Path) -> None:
    assert kinds(check_predictions(written(tmp_path, content))) == {kind: 1}


def test_a_file_that_is_not_there_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        check_predictions(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The answer is red", "chat wrapping"),
        ("Answer: red", "chat wrapping"),
        ("Sure, it is red", "chat wrapping"),
        ("In the image, a red car", "chat wrapping"),
        ("**red**", "markdown"),
        ("red<|im_end|>", "special token"),
        ("red</s>", "special token"),
        ("red.", "trailing period"),
        ("red \x07", "control character"),
        ("cafÃ©", "mojibake"),
        ("â€œredâ€\x9d", "mojibake"),
        ("caf\ufffd", "mojibake"),
        ("red\u2028blue", "line break"),
        ("", "empty answer"),
    ],
)
def test_a_damaged_text_is_named(text: str, kind: str, tmp_path: Path) -> None:
    checkup = check_predictions(written(tmp_path, answers(["red", text])))
    assert kinds(checkup) == {kind: 1}
    assert checkup.findings[0].places[0].id == "1"
    assert not checkup.has_errors


@pytest.mark.parametrize(
    "text",
    ["red", "café", "naïve Zoë", "25.5", "1,000", "U.S. of A", "the answering machine", "a * b", "<loc0001>", "日本",
     "It is a red car on a street."],
)  # fmt: skip
def test_a_sound_text_is_not(text: str, tmp_path: Path) -> None:
    assert kinds(check_predictions(written(tmp_path, answers([text, "blue"])))) == {}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Yes "] * 19, {}),
        (["Yes "] * 10 + ["yes"] * 10, {"constant answer": 1}),
        (["yes"] * 95 + ["no"] * 5, {"nearly constant answer": 1}),
        (["yes"] * 94 + ["no"] * 6, {}),
        ([str(n) for n in range(12_000)] + ["yes"] * 240_000, {"nearly constant answer": 1}),
    ],
    ids=["few", "all", "95 %", "94 %", "many different ones first"],
)
def test_constant_answers_are_suspicious_from_twenty_on(texts: list[str], expected: dict, tmp_path: Path) -> None:
    assert kinds(check_predictions(written(tmp_path, answers(texts)))) == expected


def test_unparsed_answers_are_told_by_what_the_truth_is(tmp_path: Path) -> None:
    truth = [
        {"question_id": 1, "text": "Is there a cat?", "label": "no"},
        {"question_id": 2, "answers": [{"answer": "yes"}] * 6 + [{"answer": "no"}] * 4},
        {"question_id": 3, "answers": ["red"] * 10},
        {"question_id": 4, "choice_a": "one", "choice_b": "two", "answer": "A"},
        {"question_id": 5, "choices": ["one", "two"], "answer": 1},
    ]
    said = ["I cannot tell", "maybe", "maybe", "C", "the first"]
    rows = [{"question_id": number, "answer": text} for number, text in enumerate(said, start=1)]
    checkup = check_predictions(written(tmp_path, rows), written(tmp_path, truth, "truth"))
    assert places(checkup) == {
        ("neither yes nor no", 1, "1"),
        ("neither yes nor no", 2, "2"),
        ("names no option", 4, "4"),
        ("names no option", 5, "5"),
    }


def test_captions_that_stop_in_the_middle(tmp_path: Path) -> None:
    whole = ["a man rides a horse.", "two dogs play in the snow near a house."] * 5
    dangling = ["a man sitting at a table with a"]
    # Six words at most, as if cut there, and no period, where the others have one.
    limited = [f"a large brown dog chases cat{n}" for n in range(5)]
    for captions, expected in (
        (whole + dangling, {"cut off": 1}),
        (whole[::2] + limited, {}),
        (dangling, {"cut off": 1}),
    ):
        rows = [{"image_id": number, "caption": text} for number, text in enumerate(captions)]
        assert kinds(check_predictions(written(tmp_path, rows))) == expected
    rows = [{"image_id": number, "caption": text} for number, text in enumerate(whole[::2] * 2 + limited)]
    checkup = check_predictions(written(tmp_path, rows))
    assert kinds(checkup) == {"cut off": 5}


BOX = {"image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 40], "score": 0.5}
INSTANCES = {
    "images": [{"id": 1, "width": 100, "height": 80}, {"id": 2, "width": 50, "height": 50}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5]}],
    "categories": [{"id": 3, "name": "cat"}],
}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, None),
        ({"bbox": [10, 20, -3, 40]}, "inverted box"),
        ({"bbox": [10, 20, 0, 40]}, "empty box"),
        ({"bbox": [10, 20, float("nan"), 40]}, "not finite"),
        ({"bbox": [10, 20, 30]}, "wrong type"),
        ({"bbox": "10 20 30 40"}, "wrong type"),
        ({"score": float("inf")}, "not finite"),
        ({"bbox": [80, 20, 30, 40]}, "outside the picture"),
        ({"category_id": 4}, "unknown category"),
        ({"image_id": 5}, "extra id"),
    ],
)
def test_boxes_that_can_not_be(change: dict, kind: str | None, tmp_path: Path) -> None:
    truth = written(tmp_path, INSTANCES, "truth")
    checkup = check_predictions(written(tmp_path, [BOX] * 9 + [BOX | change]), truth)
    assert kinds(checkup) == ({kind: 1} if kind else {})


def test_boxes_of_another_scale_or_order(tmp_path: Path) -> None:
    truth = written(tmp_path, INSTANCES, "truth")
    normalised = [BOX | {"bbox": [0.1, 0.2, 0.3, 0.5]}] * 3
    assert kinds(check_predictions(written(tmp_path, normalised), truth)) == {"normalised boxes": 1}
    corners = [BOX | {"bbox": [50, 30, 90, 70]}, BOX | {"bbox": [5, 5, 20, 20]}]
    assert kinds(check_predictions(written(tmp_path, corners), truth)) == {"corners": 1}


def test_keys_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"key": 1, "said": ""}]')
    assert kinds(check_predictions(path)) == {"no ids": 1, "no answer": 1}
    assert kinds(check_predictions(path, id_key="key", answer_key="said")) == {"empty answer": 1}


def test_a_truth_without_ids_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is it a file of the truth"):
        read_truth(written(tmp_path, [{"x": 1}]))


def test_every_kind_says_what_it_means_and_what_to_do() -> None:
    assert all(kind.means.endswith(".") and kind.advice.endswith(".") for kind in KINDS.values())


def test_a_real_detector_has_no_findings_and_its_corners_do(shared_data: Path, tmp_path: Path) -> None:
    truth = shared_data / "coco-mini" / "annotations" / "instances_val2017.json"
    path = shared_data / "coco-mini" / "predictions" / "fastestdet_val2017.json"
    checkup = check_predictions(path, truth)
    assert checkup.findings == ()
    assert checkup.records == len(read_json(path))
    rows = [row | {"bbox": [x, y, x + w, y + h]} for row in read_json(path) for x, y, w, h in [row["bbox"]]]
    assert "corners" in kinds(check_predictions(written(tmp_path, rows), truth))


@pytest.mark.parametrize(
    ("file", "count", "form"),
    [
        ("scoring/pope/coco_pope_random.json", 3000, {"yes/no"}),
        ("scoring/vqa/vizwiz_val_annotations_vqa_format.json", 4319, {"yes/no", "text"}),
        ("scoring/clipscore/refs.json", 2, {"caption"}),
        ("flickr8k/Flickr8k.token.txt", 7093, {"caption"}),
        ("coco-mini/annotations/captions_val2017.json", 79, {"caption"}),
        ("coco-mini/annotations/instances_val2017.json", 79, {"box"}),
        ("daquar/qa.894.raw.train.format_triple", 6795, {"text"}),
        ("chartqa/train/train_augmented.json", 1000, {"text"}),
    ],
)
def test_the_truth_of_real_files(file: str, count: int, form: set[str], shared_data: Path) -> None:
    truth = read_truth(shared_data / file)
    assert len(truth.forms) == count
    assert set(truth.forms.values()) == form


def test_the_command_prints_places_and_exits_with_one_only_for_errors(tmp_path: Path) -> None:
    path = written(tmp_path, answers(["red."] * 7 + ["blue"]))
    result = CliRunner().invoke(app, ["doctor", str(path)])
    assert result.exit_code == 0
    assert "warning: trailing period (7)" in result.output
    assert f"{path}, entry 1, id '0': 'red.'" in result.output
    assert "... and 2 more" in result.output
    path = written(tmp_path, answers([["red"], "blue"]))
    result = CliRunner().invoke(app, ["doctor", str(path), "--json"])
    assert result.exit_code == 1
    [finding] = json.loads(result.output)["findings"]
    assert (finding["kind"], finding["severity"], finding["places"][0]["id"]) == ("wrong type", "error", "0")


def test_answers_may_name_the_image_instead_of_the_question(tmp_path: Path) -> None:
    rows = [{"question_id": n, "image_id": f"{n}.jpg", "answers": ["yes"]} for n in range(3)]
    by_image = [{"image": f"{n}.jpg", "answer": text} for n, text in enumerate(("yes", "maybe"))]
    checkup = check_predictions(written(tmp_path, by_image), written(tmp_path, {"annotations": rows}, "truth"))
    assert places(checkup) == {("missing id", None, "2.jpg"), ("neither yes nor no", 2, "1.jpg")}
    two_of_one = [*rows, {"question_id": 3, "image_id": "0.jpg", "answers": ["no"]}]
    llava = [{"question_id": f"{n}.jpg", "prompt": "?", "text": "no"} for n in (0, 0, 1, 2)]
    assert kinds(check_predictions(written(tmp_path, llava), written(tmp_path, two_of_one, "truth"))) == {}


def test_pairs_of_picture_and_question_stand_for_ids(tmp_path: Path) -> None:
    asked = [{"imgname": "a", "query": "?", "label": "1"}, {"imgname": "b", "query": "?", "label": "2"}]
    truth = written(tmp_path, asked, "truth")
    said = [{"imgname": "a", "query": "?", "answer": "1"}, {"imgname": "b", "answer": "2"}]
    checkup = check_predictions(written(tmp_path, said), truth)
    assert places(checkup) == {("no id", 2, None), ("missing id", None, "b: ?")}
    by_position = [{"question_id": n, "answer": "1"} for n in (0, 2)]
    checkup = check_predictions(written(tmp_path, by_position), truth)
    assert places(checkup) == {("extra id", 2, "2"), ("missing id", None, "1")}
