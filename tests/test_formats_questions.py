"""One's own photos and questions: a small file by hand, and what is wrong with others."""

import json
from pathlib import Path

import pytest
from PIL import Image

from chiasm.data.formats.questions import Questions
from chiasm.data.open import open_dataset
from chiasm.errors import DataError

ROWS = [
    {"image": "kitchen/1.jpg", "question": "how many cups?", "answer": "2", "kind": "count"},
    {"image": "2.png", "question": "is it open?", "answer": ["yes", "half open"]},
    {"image": "kitchen/1.jpg", "question": "what is red?", "answer": "the kettle"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kitchen").mkdir()
    for name in ("kitchen/1.jpg", "2.png"):
        Image.new("RGB", (20, 16)).save(tmp_path / name)
    return tmp_path


def written(folder: Path, rows: list[dict]) -> Path:
    file = folder / "asked.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_by_hand(folder: Path) -> None:
    dataset = open_dataset(f"questions:{written(folder, ROWS)}")
    assert (dataset.name, len(dataset)) == ("questions:asked.jsonl", 2)
    first, second = dataset[0], dataset[1]
    assert first.id == "kitchen/1.jpg"
    assert first.image == folder / "kitchen" / "1.jpg"
    assert [(q.id, q.text, q.answers, q.kind) for q in first.questions] == [
        ("kitchen/1.jpg/0", "how many cups?", ("2",), "count"),
        ("kitchen/1.jpg/1", "what is red?", ("the kettle",), ""),
    ]
    assert second.questions[0].answers == ("yes", "half open")
    with pytest.raises(IndexError):
        dataset[2]


def test_a_list_and_photos_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("elsewhere") / "asked.json"
    file.write_text(json.dumps(ROWS))
    found = open_dataset(f"questions:{file}?images={folder}")
    assert [found[i].id for i in range(2)] == ["kitchen/1.jpg", "2.png"]
    with pytest.raises(DataError, match="none of the 2 annotated photos is here"):
        Questions(file)


def test_missing_photos_are_said_and_other_answers_are_other_data(folder: Path) -> None:
    before = Questions(written(folder, ROWS)).fingerprint()
    changed = [ROWS[0] | {"answer": "3"}, *ROWS[1:]]
    assert Questions(written(folder, changed)).fingerprint() != before
    (folder / "2.png").unlink()
    with pytest.warns(UserWarning, match="1 of 2 annotated photos are not here: 2.png"):
        dataset = Questions(written(folder, ROWS))
    assert dataset.missing == ("2.png",)
    assert len(dataset) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "2.png", "question": "?"}, "line 2: no 'answer', only 'image', 'question'"),
        ({"image": "2.png", "question": "?", "answer": []}, "line 2: 'answer' is an empty list"),
        ({"image": "2.png", "question": "?", "answer": 2}, "line 2: 'answer' is 2, expected text"),
        ({"image": "2.png", "question": "?", "answer": ["yes", ""]}, "line 2: 'answer' is '', expected text"),
        ({"image": "", "question": "?", "answer": "2"}, "line 2: 'image' is '', expected text"),
        (ROWS[0], "line 2: 'how many cups\\?' is asked about kitchen/1.jpg twice"),
    ],
)
def test_malformed_rows(folder: Path, row: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Questions(written(folder, [ROWS[0], row]))
