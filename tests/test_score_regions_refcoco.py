"""RefCOCO by hand, from refer's JSON and pickle, with boxes, masks and raw model text, and on broken files."""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chiasm.data.box_text import codec
from chiasm.errors import DataError
from chiasm.score.regions.refcoco import score_refcoco
from chiasm.score.result import Score
from chiasm.types import Box

pytest.importorskip("faster_coco_eval")

# Three objects on two pictures of 200 x 100; the first has two sentences.
BOXES = {11: [0, 0, 50, 50], 12: [100, 0, 100, 100], 13: [20, 20, 40, 80]}
IMAGES = {11: 1, 12: 1, 13: 2}
SENTENCES = {11: [(0, "the left cup"), (1, "cup, tasse à café")], 12: [(2, "big dog")], 13: [(3, "cup")]}
SPLITS = {11: "testA", 12: "testA", 13: "testB"}


def refs() -> list[dict]:
    return [
        {
            "ref_id": ann - 10,
            "ann_id": ann,
            "image_id": IMAGES[ann],
            "split": SPLITS[ann],
            "sentences": [{"sent_id": key, "raw": text, "sent": text.lower()} for key, text in SENTENCES[ann]],
        }
        for ann in BOXES
    ]


def polygon(x: float, y: float, w: float, h: float) -> list[list[float]]:
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "refs.json").write_text(json.dumps(refs()))
    annotations = [
        {"id": ann, "image_id": IMAGES[ann], "category_id": 1, "bbox": box, "segmentation": polygon(*box)}
        for ann, box in BOXES.items()
    ]
    images = [{"id": i, "width": 200, "height": 100} for i in (1, 2)]
    categories = [{"id": 1, "name": "thing"}]
    content = {"annotations": annotations, "images": images, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def score(files: Path, rows: list[dict] | str, refs_name: str = "refs.json", **options: Any) -> Score:
    predictions = files / "predictions.json"
    predictions.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return score_refcoco(files / refs_name, files / "instances.json", predictions, replicates=50, **options)


def overall(scored: Score) -> Mapping[str, float | None]:
    return {
        value.metric: value.value
        for value in scored.values
        if value.slice is None and not value.metric.startswith("baseline.")
    }


# Exact; half of it (IoU .5, centre inside); 40 of 160 columns (IoU .25, centre on the border); nothing in common.
ROWS = [
    {"sent_id": 0, "bbox": [0, 0, 50, 50]},
    {"sent_id": 1, "bbox": [0, 0, 25, 50]},
    {"sent_id": "2", "bbox": [40, 0, 100, 100]},
    {"sent_id": 3, "bbox": [150, 0, 10, 10]},
]


def test_boxes_by_hand(files: Path) -> None:
    scored = score(files, ROWS)
    assert overall(scored) == {
        "acc@0.5": 0.5,
        "acc@0.1": 0.75,
        "acc@0.3": 0.5,
        "acc@0.7": 0.25,
        "acc@0.9": 0.25,
        "mean IoU": pytest.approx((1 + 0.5 + 0.25 + 0) / 4),
        # The enclosing boxes are 50 x 50, 50 x 50, 160 x 100 (all covered), and 140 x 100 with 3300 covered.
        "mean GIoU": pytest.approx((1 + 0.5 + 0.25 - (14000 - 3300) / 14000) / 4),
        "centre hit": 0.5,
        "unparsed": 0,
    }
    splits = {v.slice[1]: v.value for v in scored.values if v.slice and v.slice[0] == "split" and v.metric == "acc@0.5"}
    assert splits == {"testA": pytest.approx(2 / 3), "testB": 0}
    assert [item.slices.get("cause") for item in scored.items] == [None, None, "offset", "elsewhere"]
    assert scored.dialect == "one prediction a sentence; continuous IoU"


def test_one_prediction_a_ref_or_object_and_one_split(files: Path) -> None:
    rows = [{"ref_id": ann - 10, "bbox": box} for ann, box in BOXES.items()]
    assert overall(score(files, rows))["acc@0.9"] == 1
    rows = [{"ann_id": ann, "bbox": [x, y, x + w, y + h]} for ann, (x, y, w, h) in BOXES.items()]
    scored = score(files, rows, box_order="xyxy")
    assert overall(scored)["mean IoU"] == pytest.approx(1)
    assert scored.items[0].truth["text"] == "the left cup / cup, tasse à café"
    assert len(score(files, ROWS[3:], split="testB").items) == 1
    with pytest.raises(DataError, match=r"no refs of split 'val'; it has testA, testB"):
        score(files, ROWS, split="val")


def test_masks_by_hand(files: Path) -> None:
    rows = [
        {"ann_id": 11, "segmentation": polygon(0, 0, 50, 50)},
        {"ann_id": 12, "segmentation": polygon(150, 0, 50, 100)},
    ]
    rows.append({"ann_id": 13, "segmentation": polygon(100, 20, 40, 80)})
    scored = overall(score(files, rows))
    # IoU 1, .5 and 0; intersections 2500 + 5000 + 0, unions 2500 + 10000 + 2 * 3200.
    assert scored["mIoU"] == pytest.approx(0.5)
    assert scored["cIoU"] == pytest.approx(7500 / 18900)
    assert scored["acc@0.5"] == pytest.approx(2 / 3)
    assert "centre hit" not in scored


@pytest.mark.parametrize(
    "dialect", ["qwen-vl", "qwen2.5-vl", "qwen3-vl", "gemini", "paligemma", "florence-2", "fractions"]
)
def test_raw_text_in_any_dialect(files: Path, dialect: str) -> None:
    written = codec(dialect, (200, 100))
    label = None if dialect == "fractions" else "cup"
    rows = []
    for ann, (x, y, w, h) in BOXES.items():
        text = written.encode([(label, Box(x, y, x + w, y + h))], (200, 100))
        rows.append({"ann_id": ann, "answer": text})
    scored = score(files, rows, text_dialect=dialect)
    assert overall(scored)["acc@0.9"] == 1
    assert {item.rule for item in scored.items} == {dialect}


def test_unparsed_text_is_wrong_counted_and_shown(files: Path) -> None:
    texts = ["<box>(0,0),(249,499)</box>", "I see no cup", "<box>(0,0),(0,0)</box>", ""]
    rows = [{"sent_id": i, "text": text} for i, text in enumerate(texts)]
    scored = score(files, rows, text_dialect="qwen-vl")
    assert overall(scored)["acc@0.9"] == 0.25
    assert overall(scored)["unparsed"] == 0.75
    assert [item.parsed is None for item in scored.items] == [False, True, True, True]
    assert "empty box" in (scored.items[2].problem or "")
    assert "says that there is no box" in (scored.items[3].problem or "")
    assert "3 of 4 predictions are missing or unparsed" in scored.notes[0]


def test_the_first_of_several_boxes_counts_and_is_said(files: Path) -> None:
    text = "<box>(0,0),(249,499)</box><box>(500,0),(999,999)</box>"
    rows = [{"sent_id": i, "text": text} for i in range(4)]
    scored = score(files, rows, text_dialect="qwen-vl")
    assert overall(scored)["acc@0.9"] == 0.5
    assert scored.items[0].rule == "qwen-vl, first of 2 boxes"


def test_the_wrong_order_of_numbers_is_noticed(files: Path) -> None:
    rows = [{"ann_id": ann, "bbox": [x, y, x + w, y + h]} for ann, (x, y, w, h) in BOXES.items()]
    assert any("Read as xyxy instead of xywh, mean IoU would be 1.000" in note for note in score(files, rows).notes)
    assert score(files, ROWS).notes == ()


def test_missing_and_extra_predictions(files: Path) -> None:
    with pytest.raises(DataError, match=r"no prediction for 1 of 4 ids \('3'\)"):
        score(files, ROWS[:3])
    with pytest.raises(DataError, match=r"unknown ids \('9'\)"):
        score(files, [*ROWS, {"sent_id": 9, "bbox": [0, 0, 1, 1]}])
    scored = score(files, ROWS[:3], missing="wrong")
    assert overall(scored)["acc@0.1"] == 0.75
    assert scored.items[3].problem == "no prediction"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ROWS[0]], "a second prediction for sent_id '0'"),
        ([{"bbox": [0, 0, 1, 1]}], "predictions need a key sent_id, ref_id or ann_id"),
        ([{"sent_id": i, "bbox": [0, 0, float("nan"), 1]} for i in range(4)], "sent_id 0: bbox is"),
        ([{"sent_id": i, "bbox": "1,2,3,4"} for i in range(4)], "expected four finite numbers"),
        ([{"sent_id": i, "bbox": [5, 5, -2, 1]} for i in range(4)], "inverted as xywh"),
        ([{"sent_id": i, "box": [5, 5, 2, 1]} for i in range(4)], "no 'bbox', 'segmentation' or text under"),
        ([{"sent_id": i, "text": "[1, 2, 3, 4]"} for i in range(4)], "say in which dialect"),
        ([{"sent_id": i, "segmentation": [[1, 2]]} for i in range(4)], "a polygon needs three or more corners"),
        ("[", "the JSON ends in the middle"),
        ("[]", "no predictions"),
    ],
)
def test_broken_predictions_are_named(files: Path, rows: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        score(files, rows)
    assert message in str(caught.value)
    assert "predictions.json" in str(caught.value)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_published_pickle_is_read(files: Path, protocol: int) -> None:
    (files / "refs(unc).p").write_bytes(pickle.dumps(refs(), protocol))
    assert overall(score(files, ROWS, "refs(unc).p")) == overall(score(files, ROWS))


class _Attack:
    def __reduce__(self) -> tuple:
        return os.system, ("touch owned",)


def test_nothing_in_a_pickle_runs(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    for attack in (_Attack(), [1, {"a": _Attack()}]):
        (files / "refs.p").write_bytes(pickle.dumps(attack))
        with pytest.raises(DataError, match=r"refs\.p: it names (posix|nt)\.system"):
            score(files, ROWS, "refs.p")
    assert not (files / "owned").exists()
    (files / "refs.p").write_bytes(pickle.dumps(refs())[:-9])
    with pytest.raises(DataError, match="not a readable pickle"):
        score(files, ROWS, "refs.p")
