"""COCO numbers: by hand, against the backend on random scenes, on real detections, and on broken files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.regions.coco import score_coco
from chiasm.score.regions.coco_accumulate import METRICS, Accumulation
from chiasm.score.regions.coco_backend import official
from chiasm.score.regions.coco_costs import Costs
from chiasm.score.regions.coco_curves import Curves, Outcome
from chiasm.score.regions.coco_files import read_results, read_truth
from chiasm.score.regions.coco_matching import match
from chiasm.score.regions.coco_overlaps import overlaps
from chiasm.score.regions.coco_reasons import explain
from chiasm.score.score_folder import summary

pytest.importorskip("faster_coco_eval")

CATEGORIES = [{"id": 3, "name": "cup"}, {"id": 1, "name": "dog"}]


def write(folder: Path, objects: list[dict], detections: list[dict], images: int = 1) -> tuple[Path, Path]:
    """Objects are numbered from 0 on purpose: the backend takes an id of 0 for "not matched"."""
    truth, results = folder / "truth.json", folder / "results.json"
    listed = [{"id": i, "width": 400, "height": 400, "file_name": f"{i}.jpg"} for i in range(1, images + 1)]
    annotations = [{"id": i, "iscrowd": 0} | row for i, row in enumerate(objects)]
    truth.write_text(json.dumps({"images": listed, "categories": CATEGORIES, "annotations": annotations}))
    results.write_text(json.dumps(detections))
    return truth, results


def thing(box: list[float], category: int = 3, image: int = 1, **more: Any) -> dict:
    return {"image_id": image, "category_id": category, "bbox": box, **more}


def backend(truth: Path, results: Path) -> tuple[dict[str, float], list[float]]:
    """The twelve numbers, and AP by category, NaN for -1, by faster-coco-eval as its users call it, but with ids from 1
    and with areas."""
    from faster_coco_eval import COCO, COCOeval_faster

    content = json.loads(truth.read_text())
    rows = [row | {"id": row["id"] + 1, "area": row["bbox"][2] * row["bbox"][3]} for row in content["annotations"]]
    known = COCO(content | {"annotations": rows})
    found = known.loadRes(json.loads(results.read_text()))
    evaluation = COCOeval_faster(known, found, "bbox", print_function=lambda *text: None)
    evaluation.run()
    numbers = np.where(evaluation.stats == -1, np.nan, evaluation.stats).tolist()
    by_category = evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=(0, 1))
    return dict(zip(METRICS, numbers, strict=True)), np.where(by_category == -1, np.nan, by_category).tolist()


def values(folder: Path, objects: list[dict], detections: list[dict], images: int = 1) -> dict[str, float | None]:
    score = score_coco(*write(folder, objects, detections, images), replicates=20)
    return {value.metric: value.value for value in score.values if value.slice is None}


def test_by_hand(tmp_path: Path) -> None:
    # Two cups of 100 x 100 (large). Scores .9: the first cup exactly. .8: nothing there. .7: the second cup, 80 of its
    # 100 columns, IoU .8. Precision is 1 up to recall .5, that is at 51 levels, then 2/3 at the other 50, as long as
    # IoU .8 is enough, at .50 to .80 (7 thresholds); above that precision is 1 at 51 levels and then 0.
    objects = [thing([0, 0, 100, 100]), thing([200, 200, 100, 100])]
    detections = [
        thing([0, 0, 100, 100], score=0.9),
        thing([0, 300, 50, 50], score=0.8),
        thing([200, 200, 80, 100], score=0.7),
    ]
    found = values(tmp_path, objects, detections)
    full, half = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert found["AP50"] == pytest.approx(full)
    assert found["AP75"] == pytest.approx(full)
    assert found["AP"] == pytest.approx((7 * full + 3 * half) / 10)
    # Both of the other boxes are of medium size: where they find nothing, they count for AP but not for large objects.
    assert found["AP_large"] == pytest.approx((7 * 1 + 3 * half) / 10)
    assert found["AP_small"] is None
    assert found["AR1"] == pytest.approx(0.5)
    assert found["AR100"] == pytest.approx((7 * 1 + 3 * 0.5) / 10)
    # Without the box on nothing, AP50 would be 1.
    assert found["AP50 cost: background"] == pytest.approx(1 - full)


def test_weights_are_copies_of_images_by_hand() -> None:
    # A hit, a miss, a hit, each in an image of its own with an object; a second class in the last is never said.
    # Weighted 2, 1, 1: recall 1/2 by the first, of 4 objects; 3/4 at 3 of 4.
    outcome = Outcome(
        image=np.array([0, 1, 2]),
        category=np.zeros(3, dtype=int),
        true=np.array([[True, False, True]]),
        counts=np.ones((1, 3), dtype=bool),
        object_image=np.array([0, 1, 2, 2]),
        object_category=np.array([0, 0, 0, 1]),
    )
    weights = np.array([[1, 1, 1], [2, 1, 1], [1, 1, 0]])
    precision, recall = Curves(outcome, 3).averages(weights)
    assert recall[0, 0] == pytest.approx([2 / 3, 3 / 4, 1 / 2])
    assert precision[0, 0] == pytest.approx([(34 * 1 + 33 * 2 / 3) / 101, (51 * 1 + 25 * 3 / 4) / 101, 51 / 101])
    assert precision[0, 1] == pytest.approx([0, 0, np.nan], nan_ok=True)
    assert np.isnan(precision[0, 2]).all()
    assert Curves(outcome, 3).recall(weights) == pytest.approx(recall, nan_ok=True)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[dict], list[dict], int]:
    """A few images with boxes on a coarse grid: equal IoUs, equal scores, nested and repeated boxes are common."""
    images = draw(st.integers(1, 4))
    grid = st.sampled_from([0, 10, 20, 30, 90, 100])
    side = st.sampled_from([10, 20, 30, 32, 96, 100])
    row = st.builds(
        lambda x, y, w, h, category, image: thing([x, y, w, h], category, image),
        grid, grid, side, side, st.sampled_from([1, 3]), st.integers(1, images),
    )  # fmt: skip
    objects = draw(st.lists(row, max_size=12))
    objects = [o | {"iscrowd": int(draw(st.integers(0, 5)) == 0)} for o in objects]
    scores = st.sampled_from([0.1, 0.5, 0.5, 0.9])
    detections = [d | {"score": draw(scores)} for d in draw(st.lists(row, max_size=20))]
    return objects, detections, images


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenes())
def test_own_sums_equal_the_backend(tmp_path: Path, scene: tuple[list[dict], list[dict], int]) -> None:
    truth_path, results_path = write(tmp_path, *scene)
    truth = read_truth(truth_path, "bbox")
    detections, _ = read_results(results_path, truth, "bbox")
    matches = match(detections, truth.objects)
    expected, expected_by_category = backend(truth_path, results_path)
    standard, by_category = official(truth, detections, matches, "bbox")
    assert [*standard.values()] == [None if np.isnan(value) else value for value in expected.values()]
    assert [*by_category.values()] == [None if np.isnan(value) else value for value in expected_by_category]
    ours = Accumulation(matches, detections, truth.objects, 2).averages(np.ones((1, len(truth.images))))
    assert ours.standard[:, 0] == pytest.approx([*expected.values()], abs=1e-9, nan_ok=True)
    assert ours.category_ap[:, 0] == pytest.approx(expected_by_category, abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenes(), st.data())
def test_a_resample_equals_the_backend_on_copied_images(tmp_path: Path, scene: Any, data: st.DataObject) -> None:
    objects, detections, images = scene
    # Within an image equal scores would be interleaved with the copies, which weights can't do; they are made unequal.
    detections = [row | {"score": row["score"] + index / 1000} for index, row in enumerate(detections)]
    weights = data.draw(st.lists(st.integers(0, 3), min_size=images, max_size=images))
    copies = [image for image, weight in enumerate(weights, start=1) for _ in range(weight)]

    def copied(rows: list[dict]) -> list[dict]:
        return [row | {"image_id": new} for new, old in enumerate(copies, 1) for row in rows if row["image_id"] == old]

    truth_path, results_path = write(tmp_path, copied(objects), copied(detections), len(copies))
    expected, _ = backend(truth_path, results_path)
    truth_path, results_path = write(tmp_path, objects, detections, images)
    truth = read_truth(truth_path, "bbox")
    found, _ = read_results(results_path, truth, "bbox")
    ours = Accumulation(match(found, truth.objects), found, truth.objects, 2).averages(np.array([weights]))
    assert ours.standard[:, 0] == pytest.approx([*expected.values()], abs=1e-9, nan_ok=True)


def test_every_reason_by_hand(tmp_path: Path) -> None:
    objects = [
        thing([0, 0, 100, 100]),  # 0: found twice
        thing([200, 0, 100, 100]),  # 1: hit by a shifted box
        thing([0, 200, 100, 100]),  # 2: called a dog
        thing([200, 200, 100, 100]),  # 3: nobody sees it
        thing([320, 320, 80, 80], iscrowd=1),  # 4
    ]
    detections = [
        thing([0, 0, 100, 100], score=0.9),  # found
        thing([0, 0, 100, 90], score=0.8),  # duplicate, IoU .9
        thing([260, 0, 100, 100], score=0.7),  # mislocated: 40 of 160 columns, IoU .25
        thing([0, 200, 100, 100], category=1, score=0.6),  # wrong name
        thing([60, 200, 100, 100], category=1, score=0.5),  # wrong name and place, IoU .25
        thing([110, 110, 80, 80], score=0.4),  # background
        thing([330, 330, 20, 20], score=0.3),  # inside the crowd
    ]
    truth_path, results_path = write(tmp_path, objects, detections)
    score = score_coco(truth_path, results_path, replicates=10)
    by_id = {item.id.split("/", 1)[1]: item for item in score.items}
    assert [by_id[f"detection/{i}"].slices["reason"] for i in range(7)] == [
        "found", "duplicate", "mislocated", "wrong name", "wrong name and place", "background", "ignored",
    ]  # fmt: skip
    assert {name: item.slices["reason"] for name, item in by_id.items() if name.startswith("object")} == {
        "object/1": "mislocated", "object/2": "wrong name", "object/3": "missed", "object/4": "ignored",
    }  # fmt: skip
    assert by_id["detection/2"].slices["cause"] == "offset"
    assert by_id["detection/2"].statistics["iou"] == pytest.approx(0.25)
    assert by_id["detection/3"].truth == {"name": "cup", "box": (0, 200, 100, 300)}
    assert by_id["object/3"].slices["cause"] == "in plain view"
    totals = Counter({})
    for item in score.items:
        totals.update(item.statistics)
    assert (totals["objects"], totals["detections"], totals["found"], totals["missed"]) == (4, 6, 1, 1)


def test_costs_by_hand(tmp_path: Path) -> None:
    # Four cups and no dogs; found at .9, the second mislocated at .7, the third called a dog at .6. A dog that is none
    # costs nothing, because a category without objects has no AP. AP50 now: 1/4 of the cups at precision 1: 26 levels.
    objects = [
        thing([0, 0, 100, 100]),
        thing([200, 0, 100, 100]),
        thing([0, 200, 100, 100]),
        thing([200, 200, 100, 100]),
    ]
    detections = [
        thing([0, 0, 100, 100], score=0.9),
        thing([260, 0, 100, 100], score=0.7),
        thing([265, 0, 100, 100], score=0.65),
        thing([0, 200, 100, 100], category=1, score=0.6),
    ]
    truth_path, results_path = write(tmp_path, objects, detections)
    truth = read_truth(truth_path, "bbox")
    found, _ = read_results(results_path, truth, "bbox")
    matches = match(found, truth.objects)
    reasons = explain(found, truth.objects, matches)
    gained = Costs(matches, found, truth.objects, reasons, 2).gains(np.ones((1, 1)))
    now = 26 / 101
    # The better of the two shifted boxes finds its cup, the other goes: half of the cups, 51 levels, at precision 1.
    assert gained["AP50", "mislocated"][0] == pytest.approx(51 / 101 - now)
    # Called a cup it is the second hit, after two misses: precision 2/4 from recall .26 on to .50, 25 levels.
    assert gained["AP50", "wrong name"][0] == pytest.approx((26 + 25 * 0.5) / 101 - now)
    # One cup fewer to find: 1/3 of them, 34 levels.
    assert gained["AP50", "missed"][0] == pytest.approx(34 / 101 - now)
    assert gained["AP50", "duplicate"][0] == gained["AP50", "background"][0] == 0
    # All that is found or mended lies exactly, so that every threshold has what .5 has.
    for error in ("mislocated", "wrong name", "missed", "duplicate"):
        assert gained["AP", error][0] == pytest.approx(gained["AP50", error][0])
    # A quarter of the cups is found: half with one more, a third with one fewer to find.
    recalls = [gained["AR100", error][0] for error in ("mislocated", "wrong name", "missed")]
    assert recalls == pytest.approx([1 / 4, 1 / 4, 1 / 12])


def test_a_wrong_name_put_right_fits_no_better_than_its_box(tmp_path: Path) -> None:
    # 80 of 100 columns of the cup that is called a dog: right at .50 to .80, 7 of 10 thresholds. The found cup fits at
    # .50 to .60 only, and what it lacks beyond is no error but AP50 less AP.
    objects = [thing([0, 0, 100, 100]), thing([200, 0, 100, 100])]
    detections = [thing([0, 0, 62, 100], score=0.9), thing([200, 0, 80, 100], category=1, score=0.8)]
    found = values(tmp_path, objects, detections)
    # Thresholds with both cups, with the second alone, which comes after a false one, and with none.
    both, second = 1, 51 / 101 / 2
    assert found["AP50 cost: wrong name"] == pytest.approx(both - 51 / 101)
    assert found["AP cost: wrong name"] == pytest.approx((3 * both + 4 * second - 3 * 51 / 101) / 10)
    assert found["AR100 cost: wrong name"] == pytest.approx((7 * 0.5) / 10)


def test_real_detections(shared_data: Path) -> None:
    """bbox AP .178, AP50 .343, AR100 .239 by pycocotools, in the data's README."""
    folder = shared_data / "coco-mini"
    score = score_coco(
        folder / "annotations" / "instances_val2017.json",
        folder / "predictions" / "fastestdet_val2017.json",
        replicates=100,
    )
    by_name = {value.metric: value for value in score.values if value.slice is None}
    assert [round(by_name[name].value or 0, 3) for name in ("AP", "AP50", "AR100")] == [0.178, 0.343, 0.239]
    for value in by_name.values():
        assert value.ci_low is not None
        assert value.ci_low <= value.value <= value.ci_high
    by_category = [value.value for value in score.values if value.slice is not None]
    assert np.mean(by_category) == pytest.approx(by_name["AP"].value)
    reasons = Counter(item.slices["reason"] for item in score.items)
    # 619 objects that count, each found, missed, or blamed on a detection.
    assert by_name["AP"].n == 619 == sum(int(item.statistics.get("objects", 0)) for item in score.items)
    assert reasons["found"] == 260


def test_masks_as_the_backend_reads_the_same_files(shared_data: Path, tmp_path: Path) -> None:
    """The detector's boxes as mask outlines, through the backend's own loader: with and without boxes beside them."""
    from faster_coco_eval import COCO, COCOeval_faster
    from faster_coco_eval import mask as backend

    annotations = shared_data / "coco-mini" / "annotations" / "instances_val2017.json"
    sizes = {row["id"]: (row["height"], row["width"]) for row in json.loads(annotations.read_text())["images"]}
    rows = json.loads((shared_data / "coco-mini" / "predictions" / "fastestdet_val2017.json").read_text())
    for row in rows[:600]:
        x, y, w, h = row["bbox"]
        rle = backend.frPyObjects([[x, y, x + w + 1, y, x + w / 2, y + h + 1]], *sizes[row["image_id"]])[0]
        row["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
    for keep_boxes in (True, False):
        some = [{k: v for k, v in row.items() if keep_boxes or k != "bbox"} for row in rows[:600]]
        results = tmp_path / "segm.json"
        results.write_text(json.dumps(some))
        coco = COCO(str(annotations))
        evaluation = COCOeval_faster(coco, coco.loadRes(str(results)), "segm")
        evaluation.run()
        truth = read_truth(annotations, "segm")
        detections, notes = read_results(results, truth, "segm")
        matches = match(detections, truth.objects)
        numbers, _ = official(truth, detections, matches, "segm")
        assert list(numbers.values()) == pytest.approx(evaluation.stats, abs=1e-12)
        accumulation = Accumulation(matches, detections, truth.objects, len(truth.names))
        ours = accumulation.averages(np.ones((1, len(truth.images))))
        assert ours.standard[:, 0] == pytest.approx(evaluation.stats, abs=1e-9)
        assert bool(notes) == keep_boxes


def test_nothing_detected_and_nothing_to_find(tmp_path: Path) -> None:
    assert values(tmp_path, [thing([0, 0, 100, 100])], [])["AP"] == 0
    score = score_coco(*write(tmp_path, [], [thing([0, 0, 9, 9], score=1)]), replicates=5)
    assert all(value.value is None for value in score.values if value.metric in METRICS)
    assert "No object to find" in score.notes[0]


def test_overlaps_have_the_backends_bits(tmp_path: Path) -> None:
    from faster_coco_eval import mask

    rng = np.random.default_rng(0)
    boxes, others = rng.random((40, 4)) * 100, np.round(rng.random((25, 4)) * 100)
    others[0, 2:] = 0  # an empty box
    crowd = np.arange(25) % 3 == 0
    objects = [thing(box, iscrowd=int(is_crowd)) for box, is_crowd in zip(others.tolist(), crowd, strict=True)]
    paths = write(tmp_path, objects, [thing(box, score=0.5) for box in boxes.tolist()])
    truth = read_truth(paths[0], "bbox")
    found = overlaps(read_results(paths[1], truth, "bbox")[0], truth.objects, np.arange(40))
    ours = np.zeros((40, 25))
    ours[found.detection, found.object] = found.iou
    assert (ours == mask.iou(boxes, others, crowd.astype(int).tolist())).all()


def test_items_are_made_when_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [thing([0, 0, 50, 50], image=1), thing([99, 99, 50, 50], image=1), thing([0, 0, 50, 50], image=2)]
    said = [thing([0, 0, 50, 50], image=1, score=0.5), thing([0, 0, 50, 50], image=3, score=0.5)]
    with monkeypatch.context() as patch:
        patch.setattr("chiasm.score.regions.coco_items._of_detections", lambda *all_of_them: pytest.fail("too early"))
        score = score_coco(*write(tmp_path, objects, said, 5), replicates=2)
        counted = summary(score)
    assert (counted["items"], counted["images"], counted["unparsed"]) == (4, 3, 0)
    assert len(score.items) == len(list(score.items)) == 4
    assert len({item.image for item in score.items}) == 3
    assert score.items[-1].id == "2/object/2"


def test_progress_is_told_of_every_resample(tmp_path: Path) -> None:
    told: list[int] = []
    paths = write(tmp_path, [thing([0, 0, 50, 50])], [thing([0, 0, 50, 50], score=0.5)])
    score_coco(*paths, replicates=120, advance=told.append)
    assert sum(told) == 120
    assert len(told) > 1


def test_intervals_can_be_left_out(tmp_path: Path) -> None:
    rows = [thing([0, 0, 50, 50], image=image) for image in range(1, 9)]
    paths = write(tmp_path, rows, [row | {"score": 0.5, "bbox": [0, 0, 45 + row["image_id"], 50]} for row in rows], 8)
    without, with_them = score_coco(*paths, replicates=0), score_coco(*paths, replicates=50)
    assert [value.value for value in without.values] == [value.value for value in with_them.values]
    assert {value.ci_low for value in without.values} == {None}
    assert with_them.values[0].ci_low is not None
    assert with_them == score_coco(*paths, replicates=50)  # the seed is fixed


def test_order_of_files_and_text_ids_do_not_matter(tmp_path: Path) -> None:
    objects = [thing([10 * i, 0, 50, 50], image=1 + i % 2) for i in range(6)]
    detections = [thing([12 * i, 0, 50, 50], image=1 + i % 2, score=0.9 - i / 10) for i in range(6)]
    expected = values(tmp_path, objects, detections, images=2)
    as_text = [row | {"image_id": str(row["image_id"]), "category_id": "3"} for row in detections[::-1]]
    assert values(tmp_path, objects[::-1], as_text, images=2) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image_id": 9}, "entry 2: image_id 9 is not in the truth file"),
        ({"category_id": 0}, "entry 2: category_id 0 is not in the truth file, whose ids are 1, 3"),
        ({"score": float("nan")}, "entry 2: 'score' is nan"),
        ({"score": "0.5"}, "'score' is '0.5'"),
        ({"score": None}, "'score' is None"),
        ({"bbox": [1, 2, 3]}, "entry 2: 'bbox' is"),
        ({"bbox": [1, 2, -3, 4]}, "'bbox' is"),
        ({"bbox": [1, 2, 3, float("inf")]}, "'bbox' is"),
        ({"image_id": None}, "'image_id' is None"),
        ({"image_id": True}, "'image_id' is True"),
        ({"bbox": [1, 2, "3", 4]}, "'bbox' is"),
        ({"bbox": "1234"}, "'bbox' is"),
    ],
)
def test_broken_results_are_named(tmp_path: Path, row: dict, message: str) -> None:
    good = thing([0, 0, 9, 9], score=0.5)
    with pytest.raises(DataError, match=r"results\.json, entry 2") as caught:
        score_coco(*write(tmp_path, [thing([0, 0, 9, 9])], [good, good | row]))
    assert message in str(caught.value)


def test_results_as_lines_and_a_row_that_is_none(tmp_path: Path) -> None:
    good = thing([0, 0, 9, 9], score=0.5)
    truth, results = write(tmp_path, [thing([0, 0, 9, 9])], [good])
    in_a_list = score_coco(truth, results, replicates=0)
    results.write_text(json.dumps(good) + "\n")
    assert score_coco(truth, results, replicates=0) == in_a_list
    results.write_text(json.dumps([good, 7]))
    with pytest.raises(DataError, match="entry 2: expected an object"):
        score_coco(truth, results)


def test_broken_truth_is_named(tmp_path: Path) -> None:
    truth, results = write(tmp_path, [thing([0, 0, 9, 9], id=7), thing([0, 0, 9, 9], id=7)], [])
    with pytest.raises(DataError, match="id 7 appears twice in annotations"):
        score_coco(truth, results)
    truth.write_text(truth.read_text()[:-20])
    with pytest.raises(DataError, match="the JSON ends in the middle"):
        score_coco(truth, results)
    truth.write_text("[]")
    with pytest.raises(DataError, match="expected a COCO file"):
        score_coco(truth, results)
    truth, results = write(tmp_path, [thing([0, 0, 9, 9], segmentation=[[1, 2, 3]])], [])
    with pytest.raises(DataError, match="annotation 0: segmentation can't be read: a polygon needs three"):
        score_coco(truth, results, "segm")
    truth, results = write(tmp_path, [thing([0, 0, 9, 9], segmentation={"size": [400, 400], "counts": [5]})], [])
    with pytest.raises(DataError, match="its runs cover 5 pixels of 160000"):
        score_coco(truth, results, "segm")
