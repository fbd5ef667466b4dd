"""Several models: what they say against the truth with one voice, which mistakes they share, which come again."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from chiasm.errors import DataError
from chiasm.score.choice.contrast import score_sugarcrepe, score_winoground
from chiasm.score.choice.pope import score_pope
from chiasm.score.faults import find_faults
from chiasm.score.faults.duplicates import duplicate_errors
from chiasm.score.faults.suspects import suspect_ground_truth
from chiasm.score.faults.versus import shared_faults
from chiasm.score.result import Score
from chiasm.score.vqa.daquar import score_daquar


def pope(folder: Path, labels: Sequence[str], said: Sequence[str], objects: Sequence[str] | None = None) -> Score:
    objects = objects or [str(n) for n in range(len(labels))]
    questions = [
        {"question_id": n, "image": f"{n}.jpg", "text": f"Is there a {thing} in the image?", "label": label}
        for n, (thing, label) in enumerate(zip(objects, labels, strict=True))
    ]
    answers = [{"question_id": n, "text": text} for n, text in enumerate(said)]
    (folder / "q.json").write_text(json.dumps(questions))
    (folder / "a.json").write_text(json.dumps(answers))
    return score_pope([folder / "q.json"], [folder / "a.json"])


def rooms(folder: Path, rows: Sequence[tuple[str, str]], *said: str) -> Score:
    lines = [line for n, (question, answer) in enumerate(rows) for line in (question, answer, f"image{n}")]
    (folder / "q.txt").write_text("\n".join(lines) + "\n")
    (folder / "a.txt").write_text("\n".join(said) + "\n")
    return score_daquar(folder / "q.txt", folder / "a.txt")


def test_suspects_by_hand(tmp_path: Path) -> None:
    labels = ["yes"] * 4 + ["no"] * 4
    first = pope(tmp_path, labels, ["no", "no", "yes", "yes", "yes", "no", "no", "no"])
    second = pope(tmp_path, labels, ["no", "yes", "yes", "no", "yes", "no", "no", "no"])
    found = suspect_ground_truth({"a": first, "b": second})
    # Wrong yes: 1 of 4 for both, so 1/16 by chance. Wrong no: 2 of 4 for both, so 1/4, and one would be expected.
    assert [(one.item, one.answer, one.chance) for one in found.found] == [("q/4", "yes", 1 / 16), ("q/0", "no", 1 / 4)]
    assert found.expected == pytest.approx(4 / 4 + 4 / 16)


def test_independent_models_agree_as_often_as_expected_and_planted_labels_come_out(tmp_path: Path) -> None:
    rng = random.Random(0)
    truth = [rng.choice(["yes", "no"]) for _ in range(3000)]
    flipped = set(rng.sample(range(3000), 40))
    other = {"yes": "no", "no": "yes"}

    def says(error: float) -> list[str]:
        return [other[right] if rng.random() < error else right for right in truth]

    answers = [says(0.1), says(0.15), says(0.12)]
    clean = [pope(tmp_path, truth, said) for said in answers]
    found = suspect_ground_truth(dict(zip("abc", clean, strict=True)))
    assert abs(len(found.found) - found.expected) < 4 * found.expected**0.5 + 1
    labels = [other[right] if n in flipped else right for n, right in enumerate(truth)]
    found = suspect_ground_truth(dict(zip("abc", [pope(tmp_path, labels, said) for said in answers], strict=True)))
    planted = {f"q/{n}" for n in flipped}
    assert len(planted & {one.item for one in found.found}) > 20
    assert len(found.found) > 3 * found.expected


def test_form_and_refusals_do_not_contradict(tmp_path: Path) -> None:
    rows = [("what ?", "chair"), ("what ?", "table"), ("what ?", "lamp"), ("what ?", "door")]
    first = rooms(tmp_path, rows, "the answer is chair", "unknown", "sink", "sink")
    second = rooms(tmp_path, rows, "the answer is chair", "unknown", "sink", "bed")
    [only] = suspect_ground_truth({"a": first, "b": second}).found
    assert (only.item, only.prompt, only.answer) == ("image2: what ?", "what ?", "sink")


def test_suspects_need_models_of_one_task(tmp_path: Path) -> None:
    score = pope(tmp_path, ["yes"], ["no"])
    with pytest.raises(DataError, match="two scores or more"):
        suspect_ground_truth({"a": score})
    with pytest.raises(DataError, match="one task"):
        suspect_ground_truth({"a": score, "b": rooms(tmp_path, [("what ?", "chair")], "bed")})
    with pytest.raises(DataError, match="no items in common"):
        suspect_ground_truth({"a": Score("coco-bbox", "", (), ()), "b": Score("coco-bbox", "", (), ())})


def test_who_shares_which_fault(tmp_path: Path) -> None:
    labels = ["yes", "yes", "no", "no"]
    first, second = pope(tmp_path, labels, ["no", "yes", "yes", "no"]), pope(tmp_path, labels, ["no", "no", "no", "no"])
    table = shared_faults(first, find_faults(first), second, find_faults(second))
    assert [(row.kind, row.neither, row.only_first, row.only_second, row.both) for row in table] == [
        (None, 1, 1, 1, 1),
        ("missed_object", 2, 0, 1, 1),
        ("hallucination", 3, 1, 0, 0),
    ]


def test_the_same_mistake_again(tmp_path: Path) -> None:
    objects = ["dog", "dog", "cat", "dog"]
    score = pope(tmp_path, ["no", "no", "no", "yes"], ["Yes.", "yes", "yes", "no"], objects)
    [cluster] = duplicate_errors(score, find_faults(score))
    assert (cluster.kind, cluster.prompt, cluster.said) == ("hallucination", "Is there a dog in the image?", "yes")
    assert cluster.items == ("q/0", "q/1")


def test_equal_scores_prefer_nothing(tmp_path: Path) -> None:
    """The first model ties on pair 0 and both prefer the negative caption of pair 1, by scores of their own."""

    def scored(*rows: dict[str, float]) -> Score:
        (tmp_path / "s.jsonl").write_text("\n".join(json.dumps({"id": n, **row}) for n, row in enumerate(rows)))
        return (score_sugarcrepe if "positive" in rows[0] else score_winoground)(tmp_path / "s.jsonl")

    right = [{"positive": 0.9, "negative": 0.1}] * 2
    first = scored({"positive": 0.5, "negative": 0.5}, {"positive": 0.2, "negative": 0.4}, *right)
    second = scored({"positive": 0.3, "negative": 0.5}, {"positive": 0.1, "negative": 0.3}, *right)
    [only] = suspect_ground_truth({"a": first, "b": second}).found
    assert (only.item, only.answer) == ("1", "the negative caption")
    # The first of two models wrong in 1 of 4, the second in 2 of 4.
    assert only.chance == pytest.approx(1 / 4 * 2 / 4)

    sure = {"c0_i0": 0.9, "c1_i1": 0.9, "c0_i1": 0.1, "c1_i0": 0.1}
    first = scored({**sure, "c1_i0": 0.9}, {**sure, "c1_i0": 1.0, "c1_i1": 1.1}, sure)
    second = scored({**sure, "c1_i0": 0.9}, {**sure, "c1_i0": 0.95, "c1_i1": 1.2}, sure)
    assert [fault.cause for fault in find_faults(first)] == ["tie", "the wrong caption"]
    [only] = suspect_ground_truth({"a": first, "b": second}).found
    assert (only.item, only.answer) == ("1", "the wrong caption")
