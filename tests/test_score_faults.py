"""Faults of every task by hand, and what they cost: nothing without faults, everything with all of them put right."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.score.captioning.chair import score_chair
from chiasm.score.captioning.score import score_captions
from chiasm.score.choice.contrast import score_sugarcrepe, score_winoground
from chiasm.score.choice.mmbench import score_mmbench
from chiasm.score.choice.mme import score_mme
from chiasm.score.choice.pairs import score_nlvr2
from chiasm.score.choice.pope import score_pope
from chiasm.score.choice.seed import score_seed
from chiasm.score.faults import KINDS, TASKS, Fault, fault_costs, find_faults
from chiasm.score.generation.tifa import score_tifa
from chiasm.score.measures import measures_of
from chiasm.score.regions.mask_files import score_masks
from chiasm.score.regions.pointing import score_pointing
from chiasm.score.regions.refcoco import score_refcoco
from chiasm.score.result import Score
from chiasm.score.score_folder import read_score, write_score
from chiasm.score.vqa.accuracy import score_vqa
from chiasm.score.vqa.anls import score_anls
from chiasm.score.vqa.chartqa import score_chartqa
from chiasm.score.vqa.daquar import score_daquar
from chiasm.score.vqa.gqa import score_gqa
from chiasm.score.vqa.vizwiz import score_vizwiz


def write(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


def causes(score: Score) -> list[tuple[str, str]]:
    return [(fault.kind, fault.cause) for fault in find_faults(score)]


def when_all_is_right(score: Score, faults: Sequence[Fault]) -> dict[str, float]:
    """Every metric once all `faults` are put right."""
    measures = measures_of(score)
    values = (value for value in score.values if value.slice is None and value.metric in measures)
    now = {value.metric: value.value for value in values if value.value is not None}
    together = [replace(fault, kind="all", cause="all") for fault in faults]
    changes = {cost.metric: cost.change for cost in fault_costs(score, together, measures, replicates=0)}
    return {metric: value + changes.get(metric, 0) for metric, value in now.items()}


def check(score: Score, folder: Path, **other: float) -> None:
    """Repairing everything gives 1, or 0 where low is good, but for `other`; and the folder tells the same faults."""
    faults = find_faults(score)
    measures = measures_of(score)
    perfect = {
        name: 0.0 if measure.better == "lower" or name == "unparsed" else 1.0 for name, measure in measures.items()
    } | other
    assert when_all_is_right(score, faults) == pytest.approx(perfect)
    assert all(fault.kind in KINDS for fault in faults)
    assert fault_costs(score, (), measures) == ()
    write_score(folder / "run", score, {})
    assert find_faults(read_score(folder / "run")) == faults


def pope(folder: Path, labels: Sequence[str], said: Sequence[str], dialect: Any = "official") -> Score:
    questions = [
        {"question_id": n, "image": f"{n // 2}.jpg", "text": f"Is there a thing {n} in the image?", "label": label}
        for n, label in enumerate(labels)
    ]
    answers = [{"question_id": n, "text": text} for n, text in enumerate(said)]
    return score_pope([write(folder / "coco_pope_random.json", questions)], [write(folder / "a.json", answers)],
                      dialect=dialect)  # fmt: skip


def test_vizwiz_tells_apart_what_was_called_unanswerable(tmp_path: Path) -> None:
    people = {
        "a.jpg": (["mug"] * 2 + ["cup"] * 8, 1),
        "b.jpg": (["unanswerable"] * 9 + ["cat"], 0),
        "c.jpg": (["unanswerable"] * 6 + ["dog"] * 4, 0),
        "d.jpg": (["blue"] * 10, 1),
        "e.jpg": (["red"] * 10, 1),
    }
    truth = [
        {"image": image, "question": "What is this?", "answers": [{"answer": text} for text in answers],
         "answer_type": "other" if answerable else "unanswerable", "answerable": answerable}
        for image, (answers, answerable) in people.items()
    ]  # fmt: skip
    said = ["mug", "unanswerable", "dog", "unanswerable", "green"]
    answers = [{"image": image, "answer": answer} for image, answer in zip(people, said, strict=True)]
    score = score_vizwiz(write(tmp_path / "truth.json", truth), write(tmp_path / "said.json", answers))
    # "dog" has full accuracy, four people say so; only the call that there is an answer is wrong
    assert causes(score) == [
        ("wrong_answer", "minority answer"),
        ("wrong_answer", "answered the unanswerable"),
        ("wrong_answer", "called unanswerable"),
        ("wrong_answer", "another answer"),
    ]
    check(score, tmp_path)


def test_pope_yes_is_a_hallucination_and_no_a_missed_object(tmp_path: Path) -> None:
    score = pope(tmp_path, ["no", "yes", "yes", "no"], ["Yes", "No", "yes", "I cannot tell"])
    assert causes(score) == [
        ("hallucination", "yes-bias"),
        ("missed_object", "denied"),
        ("hallucination", "yes by default"),
    ]
    check(score, tmp_path, yes_ratio=0.5)
    costs = {(c.kind, c.cause, c.metric): c.change for c in fault_costs(score, find_faults(score), measures_of(score))}
    # Said yes: 3 times, once rightly. Without the two hallucinations accuracy is 3/4 and precision 1/1, recall stays.
    assert costs["hallucination", None, "accuracy"] == pytest.approx(0.5)
    assert costs["hallucination", None, "precision"] == pytest.approx(1 - 1 / 3)
    assert ("hallucination", None, "recall") not in costs
    assert costs["missed_object", "denied", "recall"] == pytest.approx(0.5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["yes", "no", "?"])), min_size=1),
       st.sampled_from(["official", "lmms", "vlmevalkit"]))  # fmt: skip
def test_any_answers_put_right_are_perfect(tmp_path: Path, rows: list[tuple[str, str]], dialect: str) -> None:
    score = pope(tmp_path, [label for label, _ in rows], [said for _, said in rows], dialect)
    found = when_all_is_right(score, find_faults(score))
    assert found["accuracy"] == pytest.approx(1)
    assert found["unparsed"] == 0
    if any(label == "yes" for label, _ in rows):
        assert found.get("f1", 1) == pytest.approx(1)  # undefined where nothing was yes, neither said nor true


def test_mme_flips_and_pairs(tmp_path: Path) -> None:
    rows = [("a", "Yes", "no"), ("a", "No", "no"), ("b", "Yes", "no"), ("b", "No", "yes")]
    (tmp_path / "existence.txt").write_text("\n".join(f"{i}\tIs it?\t{t}\t{s}" for i, t, s in rows))
    (tmp_path / "count.txt").write_text("a\tTwo?\tYes\tNo\na\tThree?\tNo\twell")
    score = score_mme(tmp_path)
    assert causes(score) == [
        ("wrong_answer", "yes/no flip"), ("unparsed", "unreadable output"), ("missed_object", "denied"),
        ("missed_object", "denied"), ("hallucination", "yes-bias"),
    ]  # fmt: skip
    check(score, tmp_path, perception=400)
    costs = {(c.kind, c.cause, c.metric): c.change for c in fault_costs(score, find_faults(score), measures_of(score))}
    # Both misses repaired: a pair of a becomes right, b's stays wrong for its hallucination, so 1 of 3 pairs.
    assert costs["missed_object", None, "accuracy_plus"] == pytest.approx(1 / 3)
    assert ("hallucination", None, "accuracy_plus") not in costs


def mmbench(folder: Path, said: Sequence[str]) -> Score:
    """Two questions with two options each; the second pass has them swapped."""
    truth = [
        {"index": 0, "question": "q", "A": "cat", "B": "dog", "answer": "A"},
        {"index": 1, "question": "q", "A": "red", "B": "blue", "answer": "B"},
        {"index": 1_000_000, "question": "q", "A": "dog", "B": "cat", "answer": "B"},
        {"index": 1_000_001, "question": "q", "A": "blue", "B": "red", "answer": "A"},
    ]
    rows = [{"index": row["index"], "prediction": text} for row, text in zip(truth, said, strict=True)]
    return score_mmbench(write(folder / "t.json", truth), write(folder / "p.json", rows))


def test_mmbench_position_bias_and_circular_cost(tmp_path: Path) -> None:
    # Question 0: always A, so right once. Question 1: blue is never chosen.
    score = mmbench(tmp_path, ["A", "A", "A", "B"])
    assert causes(score) == [
        ("wrong_answer", "position bias"), ("wrong_answer", "another option"), ("wrong_answer", "another option"),
    ]  # fmt: skip
    check(score, tmp_path)
    costs = {(c.cause, c.metric): c.change for c in fault_costs(score, find_faults(score), measures_of(score))}
    assert costs["position bias", "accuracy.circular"] == 0.5
    assert ("position bias", "accuracy.vanilla") not in costs
    assert costs["another option", "accuracy.circular"] == 0.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("ABZ"), min_size=4, max_size=4))
def test_circular_is_perfect_after_all_repairs(tmp_path: Path, said: list[str]) -> None:
    score = mmbench(tmp_path, said)
    assert when_all_is_right(score, find_faults(score))["accuracy.circular"] == 1


def test_nlvr2_groups(tmp_path: Path) -> None:
    examples = [{"identifier": f"dev-1-{n}-0", "sentence": "S", "label": "True"} for n in range(3)]
    rows = [{"identifier": row["identifier"], "prediction": text} for row, text in zip(examples, "TFF", strict=True)]
    (tmp_path / "dev.json").write_text("\n".join(map(json.dumps, examples)))
    score = score_nlvr2(tmp_path / "dev.json", write(tmp_path / "p.json", rows))
    check(score, tmp_path)
    one = find_faults(score)[:1]
    assert {cost.metric for cost in fault_costs(score, one, measures_of(score))} == {"accuracy"}


def test_seed_and_the_language_prior(tmp_path: Path) -> None:
    rows = [
        {"question_id": n, "data_id": n, "question_type_id": 1, "answer": "A", "question": "q",
         "choice_a": "cat", "choice_b": "dog", "choice_c": "cow"} for n in range(3)
    ]  # fmt: skip
    truth = write(tmp_path / "t.json", {"questions": rows, "question_type": {"What": 1}})

    def scored(*said: str) -> Score:
        return score_seed(truth, write(tmp_path / "p.json", [
            {"question_id": n, "prediction": text} for n, text in enumerate(said)]))  # fmt: skip

    seeing, blind = scored("B", "B", "none of these"), scored("B", "C", "A")
    check(seeing, tmp_path)
    assert [(fault.cause, fault.detail) for fault in find_faults(seeing, blind)] == [
        ("language prior", "B instead of A"),
        ("another option", "B instead of A"),
        ("unreadable output", "names no option"),
    ]


def test_vqa_points_that_people_leave(tmp_path: Path) -> None:
    def question(number: int, *answers: str) -> dict:
        people = [{"answer": answer, "answer_id": n} for n, answer in enumerate(answers, 1)]
        return {"question_id": number, "image_id": number, "answers": people}

    truth = write(tmp_path / "t.json", {"annotations": [
        question(1, *["red"] * 10), question(2, *["red"] * 5, *["pink"] * 2, *["a"] * 3),
        question(3, *map(str, range(10))), question(4, *["3"] * 10), question(5, *["dog"] * 10)]})  # fmt: skip
    said = ["the answer is red", "pink", "7", "5", ""]
    rows = [{"question_id": n, "answer": text} for n, text in enumerate(said, 1)]
    score = score_vqa(truth, write(tmp_path / "p.json", rows))
    # The third is said by one person in ten, as every answer to it: nothing better can be said, so nothing is wrong.
    assert [(fault.item, fault.cause, fault.detail) for fault in find_faults(score)] == [
        ("1", "format only", ""),
        ("2", "minority answer", "2 of 10 people say so"),
        ("4", "number off", "5 instead of 3: +2 (+67 %)"),
        ("5", "empty", "empty answer"),
    ]
    check(score, tmp_path, accuracy=(1 + 1 + 0.3 + 1 + 1) / 5)


def test_vizwiz_answers_without_ids_have_a_lower_best(tmp_path: Path, shared_data: Path) -> None:
    truth = shared_data / "scoring" / "vqa" / "vizwiz_val_annotations_vqa_format.json"
    rows = json.loads(truth.read_text())["annotations"]
    rng = random.Random(0)
    said = [{"question_id": row["question_id"], "answer": rng.choice(row["answers"])["answer"]} for row in rows]
    score = score_vqa(truth, write(tmp_path / "p.json", said), replicates=10)
    best = sum(item.statistics["attainable"] for item in score.items) / len(score.items)
    found = when_all_is_right(score, find_faults(score))
    assert found["accuracy"] == pytest.approx(best)
    assert all(item.statistics["score"] <= item.statistics["attainable"] for item in score.items)


def test_documents_charts_and_rooms(tmp_path: Path) -> None:
    questions = [{"questionId": n, "question": "q", "image": f"{n}", "answers": ["invoice"]} for n in range(3)]
    said = [{"questionId": n, "answer": text} for n, text in enumerate(("invoice", "invoicc", "table"))]
    score = score_anls(write(tmp_path / "q.json", {"data": questions}), write(tmp_path / "a.json", said))
    assert causes(score) == [("wrong_answer", "spelling within 2 edits"), ("wrong_answer", "another answer")]
    check(score, tmp_path)

    folder = tmp_path / "chart"
    folder.mkdir()
    asked = [{"imgname": f"{n}.png", "query": "q", "label": "10"} for n in range(3)]
    answers = [row | {"prediction": text} for row, text in zip(asked, ("10", "$10", "15"), strict=True)]
    score = score_chartqa([write(folder / "human.json", asked)], [write(folder / "a.json", answers)])
    assert [(fault.cause, fault.detail) for fault in find_faults(score)] == [
        ("format only", ""), ("number off", "15 instead of 10: +5 (+50 %)"),
    ]  # fmt: skip
    check(score, folder)

    folder = tmp_path / "rooms"
    folder.mkdir()
    (folder / "q.txt").write_text("what ?\nchair, table\nimage1\nwhat ?\nsofa\nimage2\n")
    (folder / "a.txt").write_text("table\nlamp\n")
    score = score_daquar(folder / "q.txt", folder / "a.txt")
    assert causes(score) == [("wrong_answer", "part of the answer"), ("wrong_answer", "another answer")]
    check(score, folder)


def test_gqa_and_generated_pictures(tmp_path: Path) -> None:
    asked = {
        str(n): {
            "question": "q", "answer": answer, "imageId": str(n), "isBalanced": True, "entailed": [],
            "types": {"structural": structural, "semantic": "obj", "detailed": "d"}, "groups": {"global": None},
        }
        for n, (answer, structural) in enumerate([("cat", "query"), ("yes", "verify"), ("left", "choose")])
    }  # fmt: skip
    said = [{"questionId": str(n), "prediction": text} for n, text in enumerate(("Cat.", "no", "right"))]
    score = score_gqa(write(tmp_path / "q.json", asked), write(tmp_path / "a.json", said))
    assert [cause for _, cause in causes(score)] == ["format only", "yes/no flip", "opposite side"]
    found = when_all_is_right(score, find_faults(score))
    assert {name: found[name] for name in ("accuracy", "binary", "open")} == {"accuracy": 1, "binary": 1, "open": 1}

    folder = tmp_path / "tifa"
    folder.mkdir()
    questions = [
        {
            "id": "1",
            "caption": "c",
            "question": f"q{n}",
            "choices": ["2", "3"],
            "answer": "2",
            "element_type": "counting",
        }
        for n in range(3)
    ]
    answers = [{"id": "1", "question": f"q{n}", "answer": text} for n, text in enumerate(("2", "3", "many"))]
    score = score_tifa(write(folder / "q.json", questions), write(folder / "a.json", answers))
    assert causes(score) == [("wrong_answer", "number off"), ("unparsed", "unreadable output")]
    check(score, folder)


def test_masks(tmp_path: Path) -> None:
    def mask(n: int, x: int, width: int) -> dict:
        polygon = [[x, 0, x + width, 0, x + width, 20, x, 20]] if width else {"counts": [800], "size": [20, 40]}
        return {"id": n, "category": "cup", "width": 40, "height": 20, "segmentation": polygon}

    truth = write(tmp_path / "t.json", [mask(0, 0, 20), mask(1, 0, 20), mask(2, 0, 20), mask(3, 0, 0)])
    said = write(tmp_path / "p.json", [mask(0, 0, 16), mask(1, 15, 20), mask(2, 0, 0), mask(3, 5, 5)])
    score = score_masks(truth, said)
    assert causes(score) == [
        ("wrong_location", "loose"), ("wrong_location", "wrong place"), ("missed_object", "nothing marked"),
        ("hallucination", "absent object"),
    ]  # fmt: skip
    check(score, tmp_path)


def test_captions_without_text_are_all_that_bleu_can_tell(tmp_path: Path) -> None:
    truth = write(tmp_path / "t.json", {"1": ["a dog"], "2": ["a cup"]})
    score = score_captions(truth, write(tmp_path / "p.json", {"1": "a cat", "2": ""}))
    assert causes(score) == [("unparsed", "empty")]
    assert fault_costs(score, find_faults(score), measures_of(score)) == ()


def test_captions_against_objects(tmp_path: Path) -> None:
    # Cups are in every picture of a table but the last one, and nowhere else.
    classes = {1: "dog", 2: "cup", 3: "dining table"}
    present = {n: [2, 3] for n in range(1, 7)} | {n: [1] for n in range(7, 20)} | {20: [3], 21: [1], 22: [1]}
    instances = write(tmp_path / "i.json", {
        "images": [{"id": n} for n in present], "categories": [{"id": n, "name": name} for n, name in classes.items()],
        "annotations": [{"image_id": n, "category_id": c} for n, found in present.items() for c in found]})  # fmt: skip
    said = {n: " and ".join(f"a {classes[c]}" for c in found) for n, found in present.items()}
    said |= {20: "a cup and a cup on a table", 21: "a dog and a cup", 22: "a dog without any cup", 7: "a lawn"}
    score = score_chair(instances, write(tmp_path / "p.json", {str(n): text for n, text in said.items()}))
    assert causes(score) == [
        ("missed_object", "omission"),
        ("hallucination", "co-occurrence prior"),
        ("hallucination", "co-occurrence prior"),
        ("hallucination", "absent class"),
        ("hallucination", "negation misread"),
    ]
    check(score, tmp_path)
    costs = {(c.cause, c.metric): c.change for c in fault_costs(score, find_faults(score), measures_of(score))}
    assert costs["co-occurrence prior", "chair_s"] == pytest.approx(-1 / 22)
    assert costs["omission", "recall"] > 0


def test_a_caption_is_right_only_without_any_hallucination(tmp_path: Path) -> None:
    classes = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cup"}]
    instances = write(tmp_path / "i.json", {"images": [{"id": 1}], "categories": classes, "annotations": []})
    score = score_chair(instances, write(tmp_path / "p.json", {"1": "a dog, no cup"}))
    assert causes(score) == [("hallucination", "absent class"), ("hallucination", "negation misread")]
    costs = fault_costs(score, find_faults(score), measures_of(score))
    # Either alone leaves the caption with the other one.
    assert [cost.cause for cost in costs if cost.metric == "chair_s"] == [None]


def test_places(tmp_path: Path) -> None:
    boxes = {11: [0, 0, 50, 50], 12: [120, 10, 60, 80], 13: [10, 30, 80, 40]}
    refs = [
        {"ref_id": a, "ann_id": a, "image_id": 1, "split": "val", "sentences": [{"sent_id": a, "raw": f"thing {a}"}]}
        for a in boxes
    ]
    rows = [{"id": a, "image_id": 1, "category_id": 1, "bbox": box} for a, box in boxes.items()]
    images = [{"id": 1, "width": 200, "height": 100}]
    instances = write(tmp_path / "i.json", {"images": images, "annotations": rows, "categories": []})
    said = {11: boxes[12], 12: [20, 10, 60, 80], 13: [10, 30, 80, 35]}  # another, mirrored, nearly right
    predictions = [{"sent_id": a, "bbox": box} for a, box in said.items()]
    score = score_refcoco(write(tmp_path / "r.json", refs), instances, write(tmp_path / "p.json", predictions))
    assert causes(score) == [
        ("wrong_location", "another instance"), ("wrong_location", "left-right"), ("wrong_location", "loose"),
    ]  # fmt: skip
    check(score, tmp_path)

    folder = tmp_path / "points"
    folder.mkdir()
    truth = [{"id": n, "image": n, "category": "cup", "bbox": [0, 0, 10, 10]} for n in range(3)]
    points = [{"id": 0, "point": [5, 5]}, {"id": 1, "point": [40, 5]}, {"id": 2, "point": [99, 99]}]
    score = score_pointing(write(folder / "t.json", truth), write(folder / "p.json", points))
    assert causes(score) == [("wrong_location", "near miss"), ("wrong_location", "elsewhere")]
    check(score, folder)


def test_preferences(tmp_path: Path) -> None:
    rows = [{"id": 1, "positive": 0.2, "negative": 0.2}, {"id": 2, "positive": 0.1, "negative": 0.3}]
    score = score_sugarcrepe(write(tmp_path / "s.json", rows))
    assert [cause for _, cause in causes(score)] == ["tie", "the negative caption"]
    check(score, tmp_path)
    folder = tmp_path / "w"
    folder.mkdir()
    score = score_winoground(write(folder / "s.json", [{"id": 1, "c0_i0": 3, "c0_i1": 1, "c1_i0": 2, "c1_i1": 1}]))
    # On picture 1 the captions tie, and caption 1 fits picture 0 better than its own.
    assert [cause for _, cause in causes(score)] == ["the wrong caption and picture"]
    check(score, folder)


def test_numbers_that_are_no_mistakes_have_none() -> None:
    assert "retrieval" not in TASKS
    assert find_faults(Score("retrieval", "", (), ())) == ()
