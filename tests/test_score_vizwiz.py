"""VizWiz: its own accuracy rule, and telling unanswerable questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.measures import measures_of
from chiasm.score.score_folder import read_score, write_score
from chiasm.score.vqa.normalise import official
from chiasm.score.vqa.vizwiz import average_precision, score_vizwiz


def question(image: str, answers: list[str], answerable: int) -> dict[str, Any]:
    people = [{"answer": answer, "answer_confidence": "yes"} for answer in answers]
    kind = "other" if answerable else "unanswerable"
    return {
        "image": image,
        "question": "What is this?",
        "answers": people,
        "answer_type": kind,
        "answerable": answerable,
    }


TRUTH = [
    question("a.jpg", ["mug"] * 2 + ["cup"] * 8, 1),
    question("b.jpg", ["unanswerable"] * 9 + ["cat"], 0),
    question("c.jpg", ["unanswerable"] * 6 + ["dog"] * 4, 0),
    question("d.jpg", ["Blue"] * 10, 1),
]
SAID = [
    {"image": "a.jpg", "answer": "The mug."},  # 2 of 10: .6
    {"image": "b.jpg", "answer": "unanswerable"},  # 9 of 10: 1
    {"image": "c.jpg", "answer": "dog"},  # 4 of 10: 1
    {"image": "d.jpg", "answer": "unanswerable"},  # nobody
]


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    def made(name: str, content: Any) -> Path:
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    return made


def values(score: Any) -> dict[str, float]:
    overall = (value for value in score.values if value.slice is None)
    return {value.metric: value.value for value in overall if not value.metric.startswith("baseline.")}


def test_answers_alone(write: Any) -> None:
    score = score_vizwiz(write("truth.json", TRUTH), write("said.json", SAID))
    found = values(score)
    assert found["accuracy"] == pytest.approx((0.6 + 1 + 1 + 0) / 4)
    # Called unanswerable: b (rightly) and d; c is missed. Calling all four so would have precision .5 and recall 1.
    assert found["unanswerable.precision"] == found["unanswerable.recall"] == found["unanswerable.f1"] == 0.5
    assert "unanswerable.ap" not in found
    baseline = next(value for value in score.values if value.metric == "baseline.always.unanswerable.f1")
    assert baseline.value == pytest.approx(2 / 3)


def test_people_answers_stay_as_written(write: Any) -> None:
    """The challenge compares the normalised prediction with raw answers, so that "Blue" is never met."""
    truth = [question("d.jpg", ["Blue"] * 10, 1)]
    score = score_vizwiz(write("truth.json", truth), write("said.json", [{"image": "d.jpg", "answer": "Blue"}]))
    assert values(score)["accuracy"] == 0


def test_scores_of_answerability(write: Any) -> None:
    # Doubts: a .2, b .9, c .5 (not above the threshold), d .7; labels b and c.
    sure = [{"image": row["image"], "answerable": value} for row, value in zip(SAID, (0.8, 0.1, 0.5, 0.3), strict=True)]
    score = score_vizwiz(write("truth.json", TRUTH), write("said.json", SAID), write("sure.json", sure))
    found = values(score)
    # In order b, d, c, a: precision 1 at the first, 2/3 at the third.
    assert found["unanswerable.ap"] == pytest.approx((1 + 2 / 3) / 2)
    assert (found["unanswerable.precision"], found["unanswerable.recall"]) == (0.5, 0.5)
    together = [row | {"answerable": one["answerable"]} for row, one in zip(SAID, sure, strict=True)]
    same = score_vizwiz(write("truth.json", TRUTH), write("both.json", together))
    assert values(same) == found


def test_image_named_answers_meet_numbered_questions(write: Any) -> None:
    """The VQA form of VizWiz numbers its questions; answers may go by the picture nevertheless."""
    numbered = [
        {"question_id": n, "image_id": row["image"], "question_type": row["answer_type"], "answers": row["answers"]}
        for n, row in enumerate(TRUTH)
    ]
    score = score_vizwiz(write("truth.json", {"annotations": numbered}), write("said.json", SAID))
    assert values(score) == values(score_vizwiz(write("own.json", TRUTH), write("said.json", SAID)))
    assert [item.image for item in score.items] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_a_kept_score_has_its_metrics(write: Any, tmp_path: Path) -> None:
    score = score_vizwiz(write("truth.json", TRUTH), write("said.json", SAID))
    write_score(tmp_path / "run", score, {})
    again = read_score(tmp_path / "run")
    sums = {key: np.array(sum(item.statistics[key] for item in again.items)) for key in again.items[0].statistics}
    for name, measure in measures_of(again).items():
        assert float(measure.of(sums)) == pytest.approx(values(score)[name])


@pytest.mark.parametrize("answerable", [1.5, -0.1, "yes", None, True])
def test_an_answerability_that_is_no_number(write: Any, answerable: Any) -> None:
    sure = [{"image": f"{name}.jpg", "answerable": answerable} for name in "abcd"]
    with pytest.raises(DataError, match=r"'answerable' of 'a.jpg' is"):
        score_vizwiz(write("truth.json", TRUTH), write("said.json", SAID), write("sure.json", sure))


def test_a_missing_score_of_answerability(write: Any) -> None:
    with pytest.raises(DataError, match="no prediction for 3 of 4"):
        score_vizwiz(
            write("truth.json", TRUTH), write("said.json", SAID), write("s.json", [{"image": "a.jpg", "answerable": 1}])
        )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=20))
def test_average_precision_of_a_plain_loop(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([label for label, _ in rows]), np.array([score for _, score in rows], dtype=float)
    if not labels.any():
        assert np.isnan(average_precision(labels, scores)[0])
        return
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = labels[scores >= threshold]
        expected += taken.mean() * (taken.sum() / labels.sum() - recall)
        recall = taken.sum() / labels.sum()
    assert average_precision(labels, scores)[0] == pytest.approx(expected)
    # A weight is how often an item counts.
    weights = np.arange(len(rows)) % 3
    if labels[weights > 0].any():
        repeated = average_precision(np.repeat(labels, weights), np.repeat(scores, weights))
        assert average_precision(labels, scores, weights[None].astype(float)) == pytest.approx(repeated)


def test_the_challenges_rule_on_real_questions(shared_data: Path, tmp_path: Path) -> None:
    """One person's answer against a plain port of the rule; and the constant answer, whose counts are known."""
    path = shared_data / "scoring" / "vqa" / "vizwiz_val_annotations_vqa_format.json"
    rows = json.loads(path.read_text())["annotations"]
    said = {row["question_id"]: row["answers"][-1]["answer"] for row in rows}
    expected = 0.0
    for row in rows:
        prediction, people = official(said[row["question_id"]]), [one["answer"] for one in row["answers"]]
        shares = [min(1, sum(a == prediction for j, a in enumerate(people) if j != i) / 3) for i in range(len(people))]
        expected += sum(shares) / len(people) / len(rows)
    results = tmp_path / "said.json"
    results.write_text(json.dumps([{"question_id": key, "answer": answer} for key, answer in said.items()]))
    assert values(score_vizwiz(path, results, replicates=10))["accuracy"] == pytest.approx(expected)
    results.write_text(json.dumps([{"question_id": key, "answer": "unanswerable"} for key in said]))
    constant = values(score_vizwiz(path, results, replicates=10))
    assert constant["unanswerable.recall"] == 1
    assert constant["unanswerable.precision"] == pytest.approx(1385 / 4319)
