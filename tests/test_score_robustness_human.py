import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.captioning.score import score_captions
from chiasm.score.result import Score
from chiasm.score.robustness.human import others_who_agree, score_human_answers
from chiasm.score.robustness.human_captions import score_human_captions
from chiasm.score.robustness.rank_correlation import kendall, spearman
from chiasm.score.vqa.soft_accuracy import Judge


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=60))
def test_correlations_equal_scipy_with_many_ties(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array(pairs, dtype=float).T
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(kendall(a, b))
        assert np.isnan(spearman(a, b))
    else:
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_kendall_by_hand() -> None:
    # Of 6 pairs, (3, 4) is out of order and (1, 2) is tied in b: (4 - 1) / sqrt(6 * 5).
    assert kendall(np.array([1, 2, 3, 4]), np.array([1, 1, 5, 2])) == pytest.approx(3 / 30**0.5)


def test_correlations_of_nothing() -> None:
    for values in (np.array([]), np.array([1.0])):
        assert np.isnan(kendall(values, values))
        assert np.isnan(spearman(values, values))


RED = ["red", "Red.", "the red", "blue"]


def asked(path: Path, answers: dict[str, list[str]], **more: Any) -> Path:
    rows = [{"question_id": n, "image_id": n, "answers": said, **more} for n, said in answers.items()]
    path.write_text(json.dumps({"annotations": rows}))
    return path


def said(path: Path, answers: dict[str, str]) -> Path:
    path.write_text(json.dumps([{"question_id": name, "answer": text} for name, text in answers.items()]))
    return path


def values(score: Score) -> dict[str, float | None]:
    return {value.metric: value.value for value in score.values if value.slice is None}


def test_people_against_each_other_by_hand(tmp_path: Path) -> None:
    # Three say red (one in capitals), one says blue: each red has two others of its kind, blue has none.
    assert others_who_agree(RED, Judge("lmms")) == [2, 2, 2, 0]
    assert others_who_agree(RED, Judge("exact")) == [0, 0, 0, 0]
    gt = asked(tmp_path / "gt.json", {"a": RED})
    assert values(score_human_answers(gt, dialect="lmms")) == {
        "human": pytest.approx(3 * (2 / 3) / 4),
        "agreement": pytest.approx(3 / 6),
    }
    # "red" is part of "the red" and of "red.": all three find another, in any case.
    assert values(score_human_answers(gt, dialect="substring"))["human"] == pytest.approx(3 / 4)


def test_the_model_beside_the_people_is_the_official_accuracy(tmp_path: Path) -> None:
    # Ten people, four say yes: a yes of theirs finds three others, a no five; the model's no finds six of ten.
    gt = asked(tmp_path / "gt.json", {"a": ["yes"] * 4 + ["no"] * 6, "b": ["yes"] * 10}, answer_type="yes/no")
    score = score_human_answers(gt, said(tmp_path / "p.json", {"a": "no", "b": "maybe"}), dialect="lmms")
    found = values(score)
    assert found["human"] == 1
    assert found["agreement"] == pytest.approx(((4 * 3 + 6 * 5) / 90 + 1) / 2)
    assert found["model"] == 0.5
    assert found["model_minus_human"] == -0.5
    assert ("answer_type", "yes/no") in {value.slice for value in score.values}


@pytest.mark.parametrize("dialect", ["official", "lmms", "evalai", "vizwiz", "simple", "exact"])
def test_a_person_scores_as_their_answer_would_against_the_others(tmp_path: Path, dialect: Any) -> None:
    answers = ["cat", "Cat", "a cat", "dog", "two dogs", "cat", "", "yes", "dog", "cat"]
    others = others_who_agree(answers, Judge(dialect))
    for person, count in enumerate(others):
        rest = [answer for other, answer in enumerate(answers) if other != person]
        assert Judge(dialect)(answers[person], rest).matches == count


def test_a_model_that_errs_where_people_disagree_is_consistent(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    answers = {f"q{i}": ["yes"] * (5 + i % 6) + ["no"] * (5 - i % 6) for i in range(120)}
    model = {name: "yes" if rng.random() < people.count("yes") / 10 else "eh" for name, people in answers.items()}
    score = score_human_answers(asked(tmp_path / "gt.json", answers), said(tmp_path / "p.json", model), dialect="lmms")
    found = {value.metric: value for value in score.values}
    for name in ("spearman", "kendall"):
        assert found[name].ci_low is not None
        assert 0 < found[name].ci_low < found[name].value < found[name].ci_high <= 1  # type: ignore[operator]


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    gt = asked(tmp_path / "gt.json", {"a": ["x", "x"], "b": ["x", "y"], "c": ["x"]})
    score = score_human_answers(gt, said(tmp_path / "p.json", {"a": "z", "b": "z", "c": "z"}))
    assert [value.value for value in score.values if value.metric in ("spearman", "kendall")] == [None, None]
    assert "1 of 3 questions have one answer only" in score.notes[1]
    assert "no rank correlation" in score.notes[2]
    with pytest.raises(DataError, match="'c'"):
        score_human_answers(gt, said(tmp_path / "p.json", {"a": "z", "b": "z"}))
    with pytest.raises(DataError, match="no question has two"):
        score_human_answers(asked(tmp_path / "one.json", {"a": ["x"]}))
    with pytest.raises(ConfigError, match="dialect"):
        score_human_answers(gt, dialect="loud")  # type: ignore[arg-type]


CAPTIONS = {
    "1": ["a cat sits on a red mat", "a cat on a mat", "the cat is sitting down"],
    "2": ["two dogs run on the beach", "dogs running on sand", "a pair of dogs by the sea"],
}


def test_captions_are_the_mean_of_the_rounds(tmp_path: Path) -> None:
    (tmp_path / "refs.json").write_text(json.dumps(CAPTIONS))
    model = {"1": "a cat on a red mat", "2": "dogs run on the beach"}
    (tmp_path / "said.json").write_text(json.dumps(model))
    found = values(score_human_captions(tmp_path / "refs.json", tmp_path / "said.json"))
    rounds: dict[str, list[dict[str, float | None]]] = {"human": [], "model": []}
    for number in range(3):
        others = {name: captions[:number] + captions[number + 1 :] for name, captions in CAPTIONS.items()}
        (tmp_path / "others.json").write_text(json.dumps(others))
        (tmp_path / "one.json").write_text(json.dumps({name: texts[number] for name, texts in CAPTIONS.items()}))
        for who, path in (("human", "one.json"), ("model", "said.json")):
            rounds[who].append(values(score_captions(tmp_path / "others.json", tmp_path / path)))
    for metric in ("bleu_1", "bleu_4", "rouge_l", "cider_d", "cider"):
        means = {who: np.mean([one[metric] for one in found_in]) for who, found_in in rounds.items()}
        assert found[f"human_{metric}"] == pytest.approx(means["human"])
        assert found[f"model_{metric}"] == pytest.approx(means["model"])
        assert found[f"model_minus_human_{metric}"] == pytest.approx(means["model"] - means["human"])


def test_a_single_caption_has_no_others(tmp_path: Path) -> None:
    (tmp_path / "refs.json").write_text(json.dumps(CAPTIONS | {"3": ["alone"]}))
    score = score_human_captions(tmp_path / "refs.json")
    assert [item.id for item in score.items] == ["1", "2"]
    assert "1 of 3 images have one caption only" in score.notes[1]
    (tmp_path / "refs.json").write_text(json.dumps({"3": ["alone"]}))
    with pytest.raises(DataError, match="no image has two"):
        score_human_captions(tmp_path / "refs.json")
