"""Files that doctor is given by mistake: of the truth, of another task, or of no answers at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.records import read_json, records
from chiasm.errors import DataError
from chiasm.score.doctor import Checkup, check_predictions


def written(folder: Path, content: str | list | dict, name: str = "predictions") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def kinds(checkup: Checkup) -> dict[str, int]:
    return {finding.kind: finding.count for finding in checkup.findings}


def places(checkup: Checkup) -> set[tuple[str, int | None, str | None]]:
    return {(found.kind, place.number, place.id) for found in checkup.findings for place in found.places}


TRUTHS = {
    "vqa": {"annotations": [{"question_id": 1, "image_id": 1, "answers": [{"answer": "cat"}]}]},
    "pope": [{"question_id": 1, "image": "a.jpg", "text": "Is there a cat? ", "label": "no"}],
    "chartqa": [{"imgname": "a.png", "query": "How many?", "label": "3"}],
    "seed": {"questions": [{"question_id": 1, "choice_a": "cat", "choice_b": "dog", "answer": "A"}]},
    "scienceqa": {"1": {"question": "Which?", "choices": ["a", "b"], "answer": 0}},
    "gqa": {"1": {"question": "Which?", "answer": "cat", "fullAnswer": "It is a cat."}},
    "coco": {"images": [], "annotations": [{"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}]},
    "clipscore": {"a": ["a cat", "one cat"], "b": ["a dog", "one dog"]},
    "captions": {"annotations": [{"image_id": n // 3, "id": n, "caption": f"cat {n}"} for n in range(9)]},
    "daquar": "what is on the table ?\ncup\nimage1\nwhere is it ?\ntable\nimage2\n",
    "flickr": "".join(f"{name}.jpg#{n}\ta cat {n} .\n" for name in "ab" for n in range(5)),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_truth_is_not_taken_for_answers(name: str, tmp_path: Path) -> None:
    assert kinds(check_predictions(written(tmp_path, TRUTHS[name]))) == {"truth file": 1}


@pytest.mark.parametrize(
    "rows",
    [
        [{"question_id": 1, "text": "no", "label": "no"}],
        [{"question_id": 1, "prediction": "A", "A": "cat", "B": "dog", "answer": "B"}],
        [{"imgname": "a.png", "query": "How many?", "label": "3", "prediction": "4"}],
        [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0, "score": 0.5}],
    ],
)
def test_answers_beside_their_truth_are_answers(rows: list[dict], tmp_path: Path) -> None:
    assert kinds(check_predictions(written(tmp_path, rows))) == {}


def test_captions_in_the_layout_of_flickr8k_have_ids(tmp_path: Path) -> None:
    truth = written(tmp_path, TRUTHS["flickr"], "truth")
    assert kinds(check_predictions(written(tmp_path, "a.jpg#0\ta cat\nb.jpg#0\ta dog\n"), truth)) == {}
    assert places(check_predictions(written(tmp_path, "a.jpg#0\ta cat\n"), truth)) == {("missing id", None, "b.jpg")}


def test_answers_that_can_not_be_scored_against_this_truth(tmp_path: Path) -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
    captions = written(tmp_path, {"annotations": [{"image_id": 1, "caption": "a cat"}]}, "truth")
    assert kinds(check_predictions(written(tmp_path, [box]), captions)) == {"another task": 1}
    without = [{**box, "score": None}, {key: box[key] for key in box if key != "score"}]
    assert kinds(check_predictions(written(tmp_path, [box, *without]))) == {"no score": 2}
    lists = kinds(check_predictions(written(tmp_path, [{"id": 1, "answer": ["cat"]}, {"id": 2, "answer": ["dog"]}])))
    assert lists == {"wrong type": 2}


def test_real_files_of_the_truth_are_told_and_their_own_answers_pass(shared_data: Path, tmp_path: Path) -> None:
    scoring, coco = shared_data / "scoring", shared_data / "coco-mini/annotations"
    daquar = shared_data / "daquar/qa.894.raw.train.format_triple"
    charts, pope = shared_data / "chartqa/train/train_augmented.json", scoring / "pope/coco_pope_random.json"
    vizwiz, instances = scoring / "vqa/vizwiz_val_annotations_vqa_format.json", coco / "instances_val2017.json"
    captions, flickr = coco / "captions_val2017.json", shared_data / "flickr8k/captions.dev.csv"
    for path in (daquar, charts, pope, vizwiz, instances, captions, flickr, scoring / "clipscore/refs.json"):
        assert kinds(check_predictions(path)).keys() - {"CRLF", "cut off", "line break"} == {"truth file"}, path
    questions = [row for _, row in records(pope)]
    said = [{"question_id": row["question_id"], "text": row["label"]} for row in questions]
    assert kinds(check_predictions(written(tmp_path, said), pope)) == {}
    said = [{**row, "prediction": row["label"]} for _, row in records(charts)]
    assert kinds(check_predictions(written(tmp_path, said), charts)) == {}
    rows = read_json(vizwiz)["annotations"]
    said = [{"image": row["image_id"], "answer": row["multiple_choice_answer"]} for row in rows]
    assert kinds(check_predictions(written(tmp_path, said), vizwiz)) == {}
    boxes = [{**row, "score": 0.5} for row in read_json(instances)["annotations"]]
    assert kinds(check_predictions(written(tmp_path, boxes), instances)) == {}


def test_answers_of_several_numbers(tmp_path: Path) -> None:
    table = "id,positive,negative\n1,.5,.2\n2,nan,.2\n3,high,.2\n4,,.2\n"
    expected = {("not finite", 2, "2"), ("wrong type", 3, "3"), ("no answer", 4, "4")}
    assert places(check_predictions(written(tmp_path, table))) == expected
    rows = [{"id": 1, "text": "a cup", "yes": -0.1, "no": -2}, {"id": 2, "text": "a cup", "yes": True}]
    found = places(check_predictions(written(tmp_path, rows)))
    assert found == {("wrong type", 2, "2"), ("no answer", 2, "2")}


def test_files_of_no_answers_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.ones(3))
    with pytest.raises(DataError, match="an array or a picture"):
        check_predictions(tmp_path / "features.npy")
    with pytest.raises(DataError, match="a TREC run"):
        check_predictions(written(tmp_path, "q1 Q0 d1 1 0.5 mine\nq1 Q0 d2 2 0.4 mine\n"))
