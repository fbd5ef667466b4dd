"""Every planted mistake is found under its kind, and repairing all kinds makes every metric perfect."""

from pathlib import Path

import pytest
from fake_examinees import (
    NAMES,
    SIZE,
    AnswersWrongly,
    DoesEverythingWrong,
    Hallucinates,
    Misplaces,
    Misses,
    MistakesScenes,
    Mumbles,
    Oracle,
    Pictures,
)

from chiasm.examine.errors import judge_answer, judge_detection, judge_grounding
from chiasm.examine.metrics import METRICS
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_rows
from chiasm.examine.summary import summarise
from chiasm.score.faults import KINDS
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.names import Names
from chiasm.types import Answer, Box, Detection, Object, Question, Reference

PLANTED = {
    Hallucinates: "hallucination",
    Misses: "missed_object",
    Misplaces: "wrong_location",
    AnswersWrongly: "wrong_answer",
    MistakesScenes: "wrong_scene",
    Mumbles: "unparsed",
}


def overall(summary: dict) -> dict[str, float | None]:
    return {entry["metric"]: entry["value"] for entry in summary["metrics"] if entry["slice"] is None}


def test_an_oracle_is_perfect_in_everything(tmp_path: Path) -> None:
    summary = examine(Oracle(Pictures()), Pictures(), tmp_path, substring=True, progress=False)
    best = {metric.name: metric.best for metric in METRICS if metric.best is not None}
    assert {name: value for name, value in overall(summary).items() if name in best} == best
    assert all(error["count"] == 0 and not error["cost"] for error in summary["errors"])


@pytest.mark.parametrize("examinee", PLANTED)
def test_a_planted_kind_is_the_only_kind_found(tmp_path: Path, examinee: type[Oracle]) -> None:
    summary = examine(examinee(Pictures()), Pictures(), tmp_path, progress=False)
    found = {error["kind"]: error["count"] for error in summary["errors"] if error["count"]}
    assert set(found) == {PLANTED[examinee]}


@pytest.mark.parametrize("examinee", [*PLANTED, DoesEverythingWrong])
def test_repairing_every_kind_brings_every_metric_to_its_best(tmp_path: Path, examinee: type[Oracle]) -> None:
    dataset = Pictures(40)
    examine(examinee(dataset), dataset, tmp_path, substring=True, progress=False)
    rows = read_rows(tmp_path)
    before = summarise(rows, replicates=10)
    for row in rows:
        for error in row["errors"]:
            for name, change in error["repair"].items():
                row["statistics"][name] = row["statistics"].get(name, 0) + change
        row["errors"] = []
    after = overall(summarise(rows, replicates=10))
    worse = [name for name, value in overall(before).items() if value != after[name]]
    assert worse
    for metric in METRICS:
        # Nothing mentioned or predicted leaves a rate without a denominator, which is no loss.
        if metric.best is not None and after[metric.name] is not None:
            assert after[metric.name] == pytest.approx(metric.best), metric.name


def test_costs_are_the_gain_of_fixing_one_kind(tmp_path: Path) -> None:
    dataset = Pictures(12)
    summary = examine(Hallucinates(dataset), dataset, tmp_path, progress=False)
    cost = next(error["cost"] for error in summary["errors"] if error["kind"] == "hallucination")
    values = overall(summary)
    assert cost["detect.precision"]["change"] == pytest.approx(1 - values["detect.precision"], abs=1e-5)
    assert cost["caption.hallucinated"]["change"] == pytest.approx(-values["caption.hallucinated"], abs=1e-5)
    assert "detect.recall" not in cost  # nothing was missed, so nothing comes back
    low, high = cost["detect.precision"]["ci_low"], cost["detect.precision"]["ci_high"]
    assert low <= cost["detect.precision"]["change"] <= high


def causes(judgement) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    return [(error.kind, error.cause) for error in judgement.errors]


NO_PRIORS = ObjectPriors([])


def test_answer_errors_by_hand() -> None:
    there = Question("q", "Is there a cat?", ("yes",), "existence", "random")
    absent = Question("q", "Is there a cat?", ("no",), "existence", "random")
    assert causes(judge_answer(Answer("yes"), absent)) == [("hallucination", "yes-bias")]
    assert causes(judge_answer(Answer("No."), there)) == [("missed_object", "denied")]
    assert causes(judge_answer(Answer("perhaps"), there)) == [("unparsed", "neither yes nor no")]
    wordy = judge_answer(Answer("Yes, there is."), there)
    assert causes(wordy) == [("wrong_answer", "format only")]
    assert wordy.statistics["existence_right"] == 1
    assert wordy.statistics["exact"] == 0
    said_no = judge_answer(Answer("no"), Question("q", "Is the cat red?", ("yes",), "colour"))
    assert causes(said_no) == [("wrong_answer", "yes/no flip")]
    assert judge_answer(Answer("yes"), Question("q", "?", ())).right is None


def test_an_answer_of_a_minority_is_right_but_loses_soft_points() -> None:
    judgement = judge_answer(Answer("red"), Question("q", "Colour?", ("red", *["blue"] * 9), "colour"))
    assert judgement.right
    assert causes(judgement) == [("wrong_answer", "minority answer")]
    assert judgement.errors[0].repair == {"soft": pytest.approx(2 / 3)}


def test_detection_errors_by_hand() -> None:
    true = [Object("cat", Box(30, 20, 50, 40)), Object("cup", Box(55, 20, 80, 40))]
    said = Detection((Object("dog", Box(30, 20, 50, 40)), Object("tv", Box(2, 2, 20, 20))))
    priors = ObjectPriors([{"cup", "tv"}] * 8 + [{"cat"}] * 8)
    judgement = judge_detection(said, true, SIZE, Names(NAMES), priors)
    assert causes(judgement) == [
        ("hallucination", "wrong name"),
        ("hallucination", "co-occurrence prior"),
        ("missed_object", "named differently"),
        ("missed_object", "at the border"),
    ]
    assert judgement.statistics["true"] == judgement.statistics["predicted"] == 2
    assert judgement.statistics["recalled"] == 0


def test_an_empty_picture_reported_empty_is_right() -> None:
    assert judge_detection(Detection(()), (), SIZE, Names(), NO_PRIORS).right is True
    assert judge_detection(Detection(()), None, SIZE, Names(), NO_PRIORS).right is None


def test_grounding_errors_by_hand() -> None:
    box, far = Box(10, 20, 30, 40), Box(50, 20, 70, 40)
    one, two, none = (Reference("r", "it", boxes) for boxes in ((box,), (box, far), ()))

    def judged(reference: Reference, *predicted: Box):  # type: ignore[no-untyped-def]
        return judge_grounding(Detection(tuple(Object("it", b) for b in predicted)), reference, None, SIZE)

    assert causes(judged(one)) == [("missed_object", "in plain view")]
    assert causes(judged(one, far)) == [("wrong_location", "left-right")]
    assert causes(judged(one, box, far)) == [("hallucination", "extra count")]
    assert causes(judged(none, box)) == [("hallucination", "absent object")]
    assert judged(two, box).errors[0].true == 1
    loose = judged(one, Box(10, 20, 30, 38))
    assert causes(loose) == [("wrong_location", "loose")]
    assert loose.right
    assert causes(judged(two, far, box)) == []


def test_priors_know_what_appears_together() -> None:
    priors = ObjectPriors([{"car", "bus"}] * 5 + [{"car"}] * 5 + [{"fish"}] * 10)
    assert priors.expected("bus", ["car"])
    assert not priors.expected("fish", ["car"])
    assert not priors.expected("bus", [])
    assert not ObjectPriors([{"car", "bus"}] * 4 + [{"fish"}] * 10).expected("bus", ["car"])  # too few to tell


def test_every_kind_has_a_meaning() -> None:
    assert list(KINDS) == [
        "hallucination", "missed_object", "wrong_location", "wrong_answer", "wrong_scene", "unparsed",
    ]  # fmt: skip
