"""Readers on small collections made here, on damaged ones, and on the real data where it is at hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chiasm.data.formats.coco import Coco, existence_questions
from chiasm.data.formats.daquar import Daquar, kind_of, part_of
from chiasm.data.formats.flickr8k import Flickr8k
from chiasm.data.formats.photos import Photos
from chiasm.data.images import open_image
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, DataError, ImageError
from chiasm.types import Box, Dataset, Example


def photo(path: Path, size: tuple[int, int] = (100, 80)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def examples(dataset: Dataset) -> list[Example]:
    return [dataset[index] for index in range(len(dataset))]


def check_dataset(dataset: Dataset) -> None:
    """What everything above a reader relies on."""
    found = examples(dataset)
    assert len({example.id for example in found}) == len(found)
    questions = [question for example in found for question in example.questions]
    assert len({question.id for question in questions}) == len(questions)
    for example in found:
        with open_image(example.image, name=example.id) as image:
            for thing in example.objects or ():
                assert thing.name in (dataset.object_names or ())
                assert thing.box is not None
                assert 0 <= thing.box.x1 <= thing.box.x2 <= image.width
                assert 0 <= thing.box.y1 <= thing.box.y2 <= image.height
    with pytest.raises(IndexError):
        dataset[len(dataset)]


# ---- DAQUAR

TRIPLES = "what is on the desk ?\nbook, scissor\nimage3\nhow many cups ?\n2\nimage7\nwhere is it ?\nshelf\nimage3\n"


@pytest.fixture
def daquar(tmp_path: Path) -> Path:
    (tmp_path / "qa.894.raw.train.format_triple").write_text(TRIPLES)
    photo(tmp_path / "images" / "image3.jpg")
    photo(tmp_path / "images" / "image7.png")
    return tmp_path


def test_daquar_by_hand(daquar: Path) -> None:
    dataset = Daquar(daquar)
    check_dataset(dataset)
    three, seven = examples(dataset)
    assert (three.id, seven.id) == ("image3", "image7")
    assert [(q.text, q.answers, q.kind) for q in three.questions] == [
        ("what is on the desk ?", ("book, scissor",), "object"),
        ("where is it ?", ("shelf",), "place"),
    ]
    assert [(q.text, q.answers, q.kind) for q in seven.questions] == [("how many cups ?", ("2",), "count")]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("how many chairs are there ?", "count"),
        ("how manu chairs ?", "count"),
        ("how are the lights connected ?", "other"),
        ("what color is the chair ?", "color"),
        ("what is the colour of the wall ?", "color"),
        ("what are the colours of the cups ?", "color"),
        ("what is the wall colour ?", "color"),
        ("what is the blue colour object on the night stand ?", "object"),
        ("what is the object black in colour ?", "object"),
        ("what is the colorful object ?", "object"),
        ("where is the tv kept ?", "place"),
        ("is there a lamp ?", "existence"),
        ("which object is used for playing music ?", "object"),
        ("who is behind the table ?", "other"),
    ],
)
def test_kinds_of_questions(question: str, kind: str) -> None:
    assert kind_of(question) == kind


def test_the_held_out_part_depends_on_the_name_alone() -> None:
    names = [f"image{n}" for n in range(1, 2001)]
    held_out = [name for name in names if part_of(name) == "heldout"]
    assert held_out[:3] == ["image1", "image38", "image46"]  # must never change: trained models depend on it
    assert 160 < len(held_out) < 240


def test_daquar_names_missing_photos(daquar: Path) -> None:
    (daquar / "images" / "image7.png").unlink()
    with pytest.warns(UserWarning, match="1 of 2 annotated photos are not here: image7"):
        dataset = Daquar(daquar)
    assert dataset.missing == ("image7",)
    assert [example.id for example in examples(dataset)] == ["image3"]
    (daquar / "images" / "image3.jpg").unlink()
    with pytest.raises(DataError, match="none of the 2 annotated photos"):
        Daquar(daquar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TRIPLES + "what ?\n", "10 lines are not whole triples"),
        (TRIPLES.replace("2\n", "\n"), "line 4: a question and its answer must not be empty"),
        (TRIPLES.replace("image7", "lamp"), "line 6: expected a photo such as 'image3', got 'lamp'"),
        ("", "not whole triples"),
    ],
)
def test_malformed_daquar(daquar: Path, text: str, message: str) -> None:
    (daquar / "qa.894.raw.train.format_triple").write_text(text)
    with pytest.raises(DataError, match=f"format_triple.*{message}"):
        Daquar(daquar)


def test_other_refusals_of_daquar(daquar: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'heldout'"):
        Daquar(daquar, part="held")
    with pytest.raises(DataError, match=r"test\.format_triple: no such annotation file"):
        Daquar(daquar, split="test")
    with pytest.raises(DataError, match="no such folder"):
        Daquar(daquar / "absent")
    (daquar / "qa.894.raw.train.format_triple").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not a readable UTF-8"):
        Daquar(daquar)


# ---- Flickr8k


@pytest.fixture
def flickr8k(tmp_path: Path) -> Path:
    (tmp_path / "Flickr_8k.devImages.txt").write_text("b.jpg\na.jpg\n")
    (tmp_path / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\nb.jpg#0\tA cat .\na.jpg#1\tDogs .\nc.jpg#0\tNo .\n")
    (tmp_path / "captions.dev.csv").write_text('image,caption\na.jpg,A dog .\nb.jpg,"A cat, asleep ."\n')
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        photo(tmp_path / "Images" / name)
    return tmp_path


def test_flickr8k_by_hand(flickr8k: Path) -> None:
    dataset = Flickr8k(flickr8k, split="dev")
    check_dataset(dataset)
    assert [(e.id, e.captions) for e in examples(dataset)] == [
        ("b.jpg", ("A cat .",)),
        ("a.jpg", ("A dog .", "Dogs .")),
    ]


def test_flickr8k_from_the_table(flickr8k: Path) -> None:
    (flickr8k / "Flickr8k.token.txt").unlink()
    table = [("b.jpg", ("A cat, asleep .",)), ("a.jpg", ("A dog .",))]
    assert [(e.id, e.captions) for e in examples(Flickr8k(flickr8k, split="dev"))] == table
    (flickr8k / "Flickr_8k.devImages.txt").unlink()
    assert [(e.id, e.captions) for e in examples(Flickr8k(flickr8k, split="dev"))] == table[::-1]


def test_flickr8k_names_missing_photos(flickr8k: Path) -> None:
    (flickr8k / "Images" / "b.jpg").unlink()
    with pytest.warns(UserWarning, match=r"1 of 2 .*: b\.jpg"):
        dataset = Flickr8k(flickr8k, split="dev")
    assert (dataset.missing, len(dataset)) == (("b.jpg",), 1)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Flickr8k.token.txt", "a.jpg#0\tA dog .\na.jpg A dog .\n", "line 2: expected 'photo"),
        ("Flickr8k.token.txt", "a.jpg#0\tA dog .\na.jpg#1\t \n", "line 2: expected 'photo"),
        ("Flickr8k.token.txt", "a.jpg#0\tA dog .\na.jpg#0\tDogs .\n", "line 2: a.jpg#0 appears twice"),
        ("Flickr8k.token.txt", "a.jpg#0\tA dog .\n", "no caption for b.jpg"),
        ("Flickr_8k.devImages.txt", "a.jpg\nb.jpg\na.jpg\n", "line 3: a.jpg is already on line 1"),
        ("Flickr_8k.devImages.txt", "a.jpg\n\n\n", "line 2: expected the name"),
        ("Flickr_8k.devImages.txt", "../a.jpg\n", "line 1: expected the name"),
        ("captions.dev.csv", "picture,text\n", "line 1: expected the columns"),
        ("captions.dev.csv", "image,caption\na.jpg\n", "line 2: expected an image and a caption"),
        ("captions.dev.csv", 'image,caption\na.jpg,"A dog\n', "line 2: unexpected end"),
    ],
)
def test_malformed_flickr8k(flickr8k: Path, file: str, text: str, message: str) -> None:
    if file.endswith(".csv"):
        (flickr8k / "Flickr8k.token.txt").unlink()
    (flickr8k / file).write_text(text)
    with pytest.raises(DataError, match=message):
        Flickr8k(flickr8k, split="dev")


def test_other_refusals_of_flickr8k(flickr8k: Path) -> None:
    with pytest.raises(ConfigError, match="no split 'val'"):
        Flickr8k(flickr8k, split="val")
    with pytest.raises(DataError, match=r"testImages\.txt: no such annotation file"):
        Flickr8k(flickr8k, split="test")


# ---- COCO


def coco_files() -> dict[str, dict[str, Any]]:
    """Photos 1 (a cup and a crowd), 2 (listed, nothing on it) and 3 (captions only)."""
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in (1, 2, 3)]
    return {
        "instances": {
            "images": images[:2],
            "categories": [{"id": 7, "name": "orange"}, {"id": 3, "name": "cup"}],
            "annotations": [
                {"id": 10, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 40.5], "iscrowd": 0},
                {"id": 11, "image_id": 1, "category_id": 7, "bbox": [90, -0.5, 20, 10], "iscrowd": 1},
            ],
        },
        "captions": {
            "images": [images[0], images[2]],
            "annotations": [
                {"id": 1, "image_id": 3, "caption": "A chair."},
                {"id": 2, "image_id": 1, "caption": "A cup.\n"},
            ],
        },
    }


def write_coco(folder: Path, files: dict[str, dict[str, Any]], photos: tuple[int, ...] = (1, 2, 3, 4)) -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for kind, data in files.items():
        (folder / "annotations" / f"{kind}_val2017.json").write_text(json.dumps(data))
    for number in photos:
        photo(folder / "val2017" / f"{number}.jpg")
    return folder


def test_coco_by_hand(tmp_path: Path) -> None:
    dataset = Coco(write_coco(tmp_path, coco_files()))
    check_dataset(dataset)
    assert dataset.object_names == ("cup", "orange")
    one, two, three, four = examples(dataset)
    assert one.objects is not None
    assert [(thing.name, thing.box, thing.crowd) for thing in one.objects] == [
        ("cup", Box(10, 20, 40, 60.5), False),
        ("orange", Box(90, 0, 100, 9.5), True),
    ]
    assert (two.objects, two.captions, two.questions) == ((), (), ())
    assert (three.objects, three.captions) == (None, ("A chair.",))
    assert (four.id, four.objects, four.captions) == ("4.jpg", None, ())
    assert one.captions == ("A cup.",)


def test_coco_with_one_of_the_two_files(tmp_path: Path) -> None:
    files = coco_files()
    only_captions = Coco(write_coco(tmp_path / "a", {"captions": files["captions"]}))
    assert only_captions.object_names is None
    assert all(example.objects is None and not example.questions for example in examples(only_captions))
    only_instances = Coco(write_coco(tmp_path / "b", {"instances": files["instances"]}))
    assert not any(example.captions for example in examples(only_instances))
    with pytest.raises(DataError, match=r"neither instances_val2017\.json nor captions_val2017\.json"):
        Coco(write_coco(tmp_path / "c", {}))


def test_coco_names_missing_photos(tmp_path: Path) -> None:
    write_coco(tmp_path, coco_files(), photos=(1, 4))
    with pytest.warns(UserWarning, match=r"2 of 3 .*: 2\.jpg, 3\.jpg$"):
        dataset = Coco(tmp_path)
    assert dataset.missing == ("2.jpg", "3.jpg")
    assert [example.id for example in examples(dataset)] == ["1.jpg", "4.jpg"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("instances", "annotations", 1, "id"), 10, "id 10 in annotations appears twice"),
        (("instances", "annotations", 1, "id"), None, "entry 1 of annotations: 'id' is missing"),
        (("instances", "annotations", 1, "image_id"), 3, "id 11 in annotations: no photo has id 3"),
        (("instances", "annotations", 1, "category_id"), 8, "id 11 in annotations: no category has id 8"),
        (("instances", "annotations", 1, "bbox"), None, "id 11 in annotations: 'bbox' is missing"),
        (("instances", "annotations", 1, "bbox"), [1, 2, 3], "expected bbox"),
        (("instances", "annotations", 1, "bbox"), [1, 2, 3, "4"], "expected bbox"),
        (("instances", "annotations", 1, "bbox"), [1, 2, -3, 4], "id 11 .* does not lie in its 100x80 photo"),
        (("instances", "annotations", 1, "bbox"), [1, 2, 3, float("nan")], "does not lie in its"),
        (("instances", "annotations", 1, "bbox"), [101, 2, 3, 4], "does not lie in its"),
        (("instances", "annotations", 1), 5, "entry 1 of annotations is not an object"),
        (("instances", "images", 1, "id"), 1, "id 1 in images appears twice"),
        (("instances", "images", 1, "file_name"), "1.jpg", "id 2 in images: 1.jpg is listed twice"),
        (("instances", "images", 1, "width"), None, "id 2 in images: 'width' is missing"),
        (("instances", "images", 1, "width"), 0, "id 2 in images: a photo of 0x80 pixels"),
        (("instances", "categories"), None, "no list 'categories'"),
        (("instances", "categories", 0, "name"), "cup", "two categories have the same name"),
        (("captions", "annotations", 0, "caption"), " ", "id 1 in annotations: the caption is empty"),
        (("captions", "annotations", 0, "image_id"), 9, "id 1 in annotations: no photo has id 9"),
        (("captions", "images"), {}, "no list 'images'"),
    ],
)
def test_malformed_coco_names_file_and_id(tmp_path: Path, place: tuple, value: Any, message: str) -> None:
    files: Any = coco_files()
    target = files
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(DataError, match=rf"{place[0]}_val2017\.json: .*{message}"):
        Coco(write_coco(tmp_path, files))


def test_other_refusals_of_coco(tmp_path: Path) -> None:
    write_coco(tmp_path, coco_files())
    with pytest.raises(DataError, match="did you mean 'val2017'"):
        Coco(tmp_path, split="val")
    for text in ('{"images": [', "[]", "[" * 100_000):
        (tmp_path / "annotations" / "instances_val2017.json").write_text(text)
        with pytest.raises(DataError, match=r"instances_val2017\.json: (not JSON|expected a JSON object)"):
            Coco(tmp_path)


def test_existence_questions() -> None:
    names = ["apple", "bed", "cup", "dog", "eel", "fork", "goat", "orange", "umbrella"]
    present = {"cup": [0, 3], "dog": [1], "fork": [2], "orange": [4]}
    asked = existence_questions("7", present, names)
    assert [q.answers for q in asked] == [("yes",), ("no",)] * 3
    for question in asked:
        name = question.id.removeprefix("7/")
        assert (name in present) == (question.answers == ("yes",))
        assert question.text == f"Is there {'an' if name[0] in 'aeou' else 'a'} {name} in the image?"
        assert (question.kind, question.variant, question.choices) == ("existence", "random", ("yes", "no"))
    assert len({q.id for q in asked}) == 6
    assert {q.about for q in asked} <= {(), *map(tuple, present.values())}
    assert all(bool(q.about) == (q.answers == ("yes",)) for q in asked)
    assert existence_questions("7", dict(reversed(present.items())), names[::-1]) == asked
    assert any(existence_questions(str(n), present, names) != asked for n in range(5))
    assert [q.answers for q in existence_questions("7", {"cup": [0]}, names)] == [("yes",), ("no",)]
    assert existence_questions("7", {}, names) == ()
    assert existence_questions("7", {name: [0] for name in names}, names) == ()


# ---- photos, fingerprints, open_dataset


def test_photos(tmp_path: Path) -> None:
    for name in ("b.jpg", "sub/a.png"):
        photo(tmp_path / name)
    dataset = Photos(tmp_path)
    check_dataset(dataset)
    assert examples(dataset) == [
        Example(id="b.jpg", image=tmp_path / "b.jpg"),
        Example(id="sub/a.png", image=tmp_path / "sub/a.png"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures in this folder"):
        Photos(tmp_path / "empty")


def test_fingerprints_change_with_the_data_only(daquar: Path, tmp_path: Path) -> None:
    first = Daquar(daquar).fingerprint()
    assert first == Daquar(daquar).fingerprint()
    triples = daquar / "qa.894.raw.train.format_triple"
    triples.write_text(TRIPLES.replace("shelf", "table"))
    assert Daquar(daquar).fingerprint() != first
    triples.write_text(TRIPLES)
    assert Daquar(daquar).fingerprint() == first
    photo(daquar / "images" / "image3.jpg", size=(10, 10))
    assert Daquar(daquar).fingerprint() != first


def test_open_dataset(daquar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_dataset(f"daquar:{daquar}"), Daquar)
    assert open_dataset(f"daquar:{daquar}?part=train&split=train").name == "daquar:train/train"
    for spec in (str(daquar), f"photos:{daquar}"):
        assert isinstance(open_dataset(spec), Photos)
    monkeypatch.chdir(daquar)
    assert len(open_dataset("images")) == 2
    (daquar / "coco").mkdir()
    photo(daquar / "coco" / "a.jpg")
    assert isinstance(open_dataset("coco"), Photos)  # a folder may bear the name of a dataset


def test_open_dataset_draws_scenes() -> None:
    dataset = open_dataset("scenes:test?count=3&size=64&seed=1")
    assert len(dataset) == 3
    assert open_image(dataset[0].image).size == (64, 64)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scene:test", "no dataset is called 'scene'; did you mean 'scenes'"),
        ("daqar", "neither a folder of photos nor a dataset; did you mean 'daquar'"),
        ("./nowhere", "neither a folder of photos nor a dataset$"),
        ("daquar", "say what to open: daquar:FOLDER"),
        ("coco:?split=val2017", "say what to open: coco:FOLDER"),
        ("coco:x?spilt=val2017", "no option 'spilt'; did you mean 'split'"),
        ("photos:x?split=a", "no option 'split'$"),
        ("scenes:test?count=many", "count=many is not a whole number"),
        ("scenes:test?count=1&count=2", "option 'count' is given twice"),
        ("scenes:test?count", "count= is not a whole number"),
        ("", "neither a folder"),
    ],
)
def test_open_dataset_explains_what_is_wrong(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_dataset(spec)


# ---- real data


def test_real_daquar(shared_data: Path) -> None:
    parts = {part: Daquar(shared_data / "daquar", part=part) for part in ("all", "train", "heldout")}
    count = {part: sum(len(e.questions) for e in examples(dataset)) for part, dataset in parts.items()}
    assert (len(parts["all"]), count["all"]) == (794, 6795)
    assert (len(parts["heldout"]), count["heldout"]) == (76, 606)
    assert len(parts["train"]) + len(parts["heldout"]) == 794
    assert not {e.id for e in examples(parts["train"])} & {e.id for e in examples(parts["heldout"])}
    kinds = Counter(question.kind for e in examples(parts["all"]) for question in e.questions)
    assert kinds["count"] > 900
    assert kinds["color"] > 600
    assert kinds["other"] < 10


def test_real_flickr8k(shared_data: Path) -> None:
    for split, count in (("train", 753), ("dev", 113)):
        dataset = Flickr8k(shared_data / "flickr8k", split=split)
        assert (len(dataset), dataset.missing) == (count, ())
        assert all(len(example.captions) == 5 for example in examples(dataset))


def test_real_coco(shared_data: Path) -> None:
    train, val = (Coco(shared_data / "coco-mini", split=split) for split in ("train2017", "val2017"))
    assert (len(train), len(val)) == (80, 159)
    assert sum(len(e.objects or ()) for e in examples(train)) == 739
    assert sum(len(e.objects or ()) for e in examples(val)) == 624
    assert sum(e.objects is not None for e in examples(val)) == 79
    assert sum(len(e.captions) for e in examples(val)) == 395
    assert len(val.object_names or ()) == 80
    answers = Counter(question.answers[0] for e in examples(val) for question in e.questions)
    assert answers["yes"] == answers["no"] == 200
    check_dataset(val)


@pytest.mark.slow
def test_every_real_photo_opens(shared_data: Path) -> None:
    for dataset in (
        Daquar(shared_data / "daquar"),
        Flickr8k(shared_data / "flickr8k", split="train"),
        Flickr8k(shared_data / "flickr8k", split="dev"),
        Coco(shared_data / "coco-mini", split="train2017"),
        Photos(shared_data / "chartqa"),
        Photos(shared_data / "sroie"),
    ):
        check_dataset(dataset)
