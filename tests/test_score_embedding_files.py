"""CLIPScore and BERTScore from files, and the ids of their rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.picture_ids import pictures_by_id
from chiasm.errors import DataError
from chiasm.score.captioning.bertscore import score_bertscore_files
from chiasm.score.captioning.clipscore import score_clipscore_files
from chiasm.score.result import Score
from chiasm.score.retrieval.array_files import read_ids

IMAGES = np.array([[2.0, 0.0], [1.0, 0.0]])
CAPTIONS = np.array([[3.0, 4.0], [-1.0, 0.0]])


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def values(score: Score) -> dict[str, float | None]:
    return {value.metric: value.value for value in score.values}


def test_clipscore_of_files(tmp_path: Path) -> None:
    # Cosines .6 and -1, so 2.5 * .6 and 0. The best references have cosines 1 and 0: 2 * 1.5 * 1 / 2.5 and 0.
    images, captions = saved(tmp_path / "i.npy", IMAGES), saved(tmp_path / "c.npy", CAPTIONS)
    references = saved(tmp_path / "r.npy", np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    (tmp_path / "of.json").write_text("[0, 1, 0]")
    (tmp_path / "ids.json").write_text('["139", 285]')
    score = score_clipscore_files(images, captions, references, tmp_path / "of.json", tmp_path / "ids.json")
    assert values(score) == pytest.approx({"clipscore": 0.75, "ref_clipscore": 0.6})
    assert [item.id for item in score.items] == ["139", "285"]
    assert values(score_clipscore_files(images, captions)) == pytest.approx({"clipscore": 0.75})


@pytest.mark.parametrize(
    ("owners", "message"),
    [("[0, 1]", "list of 3 row numbers"), ("[0, 0, 0]", "do not cover"), ("[0, 1, 2]", "do not cover"), ("{}", "list")],
)
def test_references_of_no_caption(tmp_path: Path, owners: str, message: str) -> None:
    (tmp_path / "of.json").write_text(owners)
    files = [saved(tmp_path / f"{n}.npy", rows) for n, rows in enumerate((IMAGES, CAPTIONS, np.ones((3, 2))))]
    with pytest.raises(DataError, match=message):
        score_clipscore_files(*files, tmp_path / "of.json")


@pytest.mark.parametrize("content", ['["a"]', '["a", "a"]', '["a", null]', '{"a": 1}'])
def test_ids_that_do_not_fit(tmp_path: Path, content: str) -> None:
    (tmp_path / "ids.json").write_text(content)
    with pytest.raises(DataError, match=r"ids\.json"):
        read_ids(tmp_path / "ids.json", 2)


def test_bertscore_of_files(tmp_path: Path) -> None:
    # Tokens e1, e2. Against e1: precision .5, recall 1, F1 2/3. Against e1, e2: all 1. The best of each counts.
    e = np.eye(2)
    np.savez(tmp_path / "said.npz", **{"a": e, "b": e})
    np.savez(tmp_path / "truth.npz", **{"a": e[:1], "b#0": e[:1], "b#1": e})
    found = values(score_bertscore_files(tmp_path / "truth.npz", tmp_path / "said.npz"))
    assert found == pytest.approx({"precision": 0.75, "recall": 1.0, "f1": 5 / 6})


def test_bertscore_without_a_caption(tmp_path: Path) -> None:
    np.savez(tmp_path / "said.npz", a=np.eye(2))
    np.savez(tmp_path / "truth.npz", a=np.eye(2), b=np.eye(2))
    with pytest.raises(DataError, match="'b'"):
        score_bertscore_files(tmp_path / "truth.npz", tmp_path / "said.npz")
    score = score_bertscore_files(tmp_path / "truth.npz", tmp_path / "said.npz", "wrong")
    assert values(score)["f1"] == pytest.approx(0.5)
    assert any("1 of 2 images have no caption" in note for note in score.notes)


def test_an_empty_caption_scores_0(tmp_path: Path) -> None:
    np.savez(tmp_path / "said.npz", a=np.eye(2), b=np.zeros((0, 2)))
    np.savez(tmp_path / "truth.npz", a=np.eye(2), b=np.eye(2))
    score = score_bertscore_files(tmp_path / "truth.npz", tmp_path / "said.npz")
    assert values(score)["f1"] == pytest.approx(0.5)
    assert score.items[1].problem == "empty caption"


@pytest.mark.parametrize("tokens", [np.ones((2, 3)), np.zeros((1, 2)), np.ones(2)])
def test_bertscore_of_other_shapes_names_the_caption(tmp_path: Path, tokens: np.ndarray) -> None:
    np.savez(tmp_path / "said.npz", a=tokens)
    np.savez(tmp_path / "truth.npz", a=np.eye(2))
    with pytest.raises(DataError, match="caption 'a'"):
        score_bertscore_files(tmp_path / "truth.npz", tmp_path / "said.npz")


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("words")
    for path in (saved(tmp_path / "one.npy", np.eye(2)), tmp_path / "text.npz", tmp_path / "none.npz"):
        with pytest.raises(DataError, match=path.name):
            score_bertscore_files(path, path)


def test_pictures_of_ids(tmp_path: Path) -> None:
    for name in ("000000000139.jpg", "COCO_val2014_000000000285.jpg", "image1.png", "12_ab.jpg"):
        (tmp_path / name).write_bytes(b"")
    found = pictures_by_id(tmp_path, ["139", "285", "image1", "12_ab.jpg"])
    assert [path.name for path in found.values()] == [
        "000000000139.jpg", "COCO_val2014_000000000285.jpg", "image1.png", "12_ab.jpg",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"no picture for 1 ids \('7'\)"):
        pictures_by_id(tmp_path, ["139", "7"])
    (tmp_path / "copy_139.png").write_bytes(b"")
    with pytest.raises(DataError, match="could be"):
        pictures_by_id(tmp_path, ["139"])
    assert pictures_by_id(tmp_path, ["000000000139"])["000000000139"].suffix == ".jpg", "a name goes before a number"


def test_an_answer_list_is_json(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text(json.dumps([1, 2.0, "3"]))
    assert read_ids(tmp_path / "ids.json", 3) == ["1", "2", "3"]
    assert read_ids(None, 2) == ["0", "1"]
