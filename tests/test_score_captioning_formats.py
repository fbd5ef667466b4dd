"""Every caption file of the community gives the same captions, and broken ones say where."""

import csv
import json
from pathlib import Path

import pytest

from chiasm.errors import DataError
from chiasm.score.captioning.formats import aligned_references, read_candidates, read_references

TRUTH = {"1": ["a dog", 'one\u2028dog\r, "big"'], "2": ["a cat\x0b\x0c"]}
SAID = {"1": "a dog\r runs", "2": ""}


def _file(folder: Path, content: str, name: str = "file.json") -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"id": 1}], "annotations": [
            {"image_id": 1, "id": 7, "caption": TRUTH["1"][0]}, {"image_id": "2", "id": 8, "caption": TRUTH["2"][0]},
            {"image_id": 1, "id": 9, "caption": TRUTH["1"][1]}]},
        TRUTH,
        [{"image_id": int(name), "test": "x", "refs": captions} for name, captions in TRUTH.items()],
        [{"image_id": name, "caption": caption} for name, captions in TRUTH.items() for caption in captions],
        {"images": [{"filename": "x.jpg", "cocoid": int(name), "sentences": [{"raw": c} for c in captions]}
                    for name, captions in TRUTH.items()]},
        {"dataset": "f", "images": [{"filename": name, "sentences": [{"raw": c} for c in captions]}
                                    for name, captions in TRUTH.items()]},
    ],
    ids=["coco", "clipscore", "spice", "records", "karpathy coco", "karpathy flickr"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["json", "txt"])
def test_references(tmp_path: Path, content: object, suffix: str) -> None:
    for text in (json.dumps(content), "\ufeff" + json.dumps(content, indent=1, ensure_ascii=False)):
        assert read_references(_file(tmp_path, text, f"file.{suffix}")) == TRUTH


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"image_id": 1, "caption": SAID["1"]}, {"image_id": 2, "caption": SAID["2"]}]),
        "".join(json.dumps({"image_id": name, "caption": text}) + ",\r\n" for name, text in SAID.items()),
        json.dumps(SAID),
        json.dumps([{"image_id": name, "test": text, "refs": ["x"]} for name, text in SAID.items()]),
    ],
    ids=["coco results", "json lines", "clipscore", "spice"],
)
def test_candidates(tmp_path: Path, content: str) -> None:
    assert read_candidates(_file(tmp_path, content)) == SAID


def test_one_json_line(tmp_path: Path) -> None:
    assert read_candidates(_file(tmp_path, '{"image_id": 3, "caption": "a dog"}\n')) == {"3": "a dog"}


def test_split_of_a_karpathy_file(tmp_path: Path) -> None:
    images = [{"filename": split, "split": split, "sentences": [{"raw": "a dog"}]} for split in ("train", "test")]
    path = _file(tmp_path, json.dumps({"images": images}))
    assert list(read_references(path, karpathy_split="test")) == ["test"]


def test_parallel_lines_keep_their_number(tmp_path: Path) -> None:
    # Only LF and CRLF end a line; the empty third caption stays in its place.
    said = _file(tmp_path, "a dog\x0bruns\r\na\u2028cat\r\n\r\na bird\r\n", "hyp.txt")
    assert read_candidates(said) == {"1": "a dog\x0bruns", "2": "a\u2028cat", "3": "", "4": "a bird"}
    first, second = _file(tmp_path, "a\nb\n", "ref1.txt"), _file(tmp_path, "c\nd\n", "ref2.txt")
    assert aligned_references((first, second)) == {"1": ["a", "c"], "2": ["b", "d"]}
    with pytest.raises(DataError, match="different length"):
        aligned_references((first, said))


def test_audio_captioning_table(tmp_path: Path) -> None:
    path = tmp_path / "aac.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "caption_predicted", "caption_1", "caption_2"])
        rows.writerow(["x.wav", "rain,\nheavy", "it rains", "rain"])
    assert read_candidates(path) == {"x.wav": "rain,\nheavy"}
    assert read_references(path) == {"x.wav": ["it rains", "rain"]}


def test_flickr8k_files_agree(shared_data: Path) -> None:
    folder = shared_data / "flickr8k"
    tokens, table = read_references(folder / "Flickr8k.token.txt"), read_references(folder / "captions.dev.csv")
    assert len(table) == 113
    assert sum(map(len, tokens.values())) == 35460
    assert all([caption.strip() for caption in tokens[name]] == captions for name, captions in table.items())


def test_coco_captions(shared_data: Path) -> None:
    captions = read_references(shared_data / "coco-mini" / "annotations" / "captions_val2017.json")
    assert len(captions) == 79
    assert min(map(len, captions.values())) >= 5


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "x.txt", "empty"),
        ('[{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}]', "x.json", "second caption.*'1'"),
        ('{"1": "a", "1": "b"}', "x.json", "twice"),
        ('[{"image_id": NaN, "caption": "a"}]', "x.json", "entry 1"),
        ('[{"image_id": 1, "caption": null}]', "x.json", "expected text"),
        ('[{"image_id": 1, "text": "a"}]', "x.json", "expected image_id and caption"),
        ('[{"image_id": 1, "caption": "a"', "x.json", "ends in the middle"),
        ('{"1": ["a", "b"]}', "x.json", "expected text"),
        ("a.jpg#0\ta dog\na cat", "x.txt", "line 2"),
        ("image,caption\na.jpg,one,two", "x.csv", "line 2"),
        ("[]", "x.json", "no caption"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, content: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_candidates(_file(tmp_path, content, name))
