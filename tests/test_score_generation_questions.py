"""What a model says about a generated or edited picture: TIFA, VQAScore, instruction compliance."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.generation.compliance import Edit, score_compliance
from chiasm.score.generation.logprob_files import score_vqascore_file
from chiasm.score.generation.tifa import score_tifa
from chiasm.score.generation.vqascore import score_vqascore, vqascore
from chiasm.score.result import Score


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def question(caption: Any, text: str, answer: str, element: str = "object", choices: Any = None) -> dict[str, Any]:
    asked = {"id": caption, "caption": "c", "question": text, "choices": choices or ["yes", "no"], "answer": answer}
    return asked | {"element_type": element}


def values(score: Score) -> dict[Any, float | None]:
    return {(v.metric, v.slice and v.slice[1]): v.value for v in score.values}


def test_tifa_is_the_mean_over_captions_not_over_questions(tmp_path: Path) -> None:
    truth = [
        question("a", "is there a cat?", "yes"),
        question("a", "what color?", "red", "color", ["red", "blue"]),
        question("a", "how many?", "2", "counting", ["1", "2"]),
        question("b", "is there a dog?", "yes"),
    ]
    said = ["Yes.", "blue", "Two", "no"]
    answers = [{"id": q["id"], "question": q["question"], "answer": a} for q, a in zip(truth, said, strict=True)]
    score = score_tifa(write(tmp_path / "q.json", truth), write(tmp_path / "a.json", answers))
    found = values(score)
    # Caption a has 2 of 3 right, b 0 of 1: (2/3 + 0) / 2; over questions 2/4.
    assert found["tifa", None] == pytest.approx(1 / 3)
    assert found["accuracy", None] == pytest.approx(1 / 2)
    assert found["accuracy", "object"] == pytest.approx(1 / 2)
    assert found["accuracy", "color"] == 0
    assert found["accuracy", "counting"] == 1
    assert next(v.n for v in score.values if v.metric == "tifa") == 2


def test_an_answer_that_is_no_choice_is_wrong_and_shown(tmp_path: Path) -> None:
    truth = write(tmp_path / "q.json", [question(1, "cat?", "yes"), question(1, "dog?", "no")])
    rows = [{"id": "1", "question": "cat?", "answer": "I cannot tell"}, {"id": 1, "question": "dog?", "answer": 0}]
    score = score_tifa(truth, write(tmp_path / "a.json", rows))
    assert values(score)["tifa", None] == 0
    assert [item.problem for item in score.items] == ["none of the choices"] * 2
    assert score.notes == ("2 answers are none of the choices and count as wrong.",)


def test_tifa_files_that_do_not_fit(tmp_path: Path) -> None:
    truth = write(tmp_path / "q.json", [question("a", "cat?", "yes"), question("a", "dog?", "no")])
    one = [{"id": "a", "question": "cat?", "answer": "yes"}]
    with pytest.raises(DataError, match="dog"):
        score_tifa(truth, write(tmp_path / "a.json", one))
    score = score_tifa(truth, tmp_path / "a.json", missing="wrong")
    assert values(score)["tifa", None] == 0.5
    assert "1 questions have no prediction" in score.notes[0]
    with pytest.raises(DataError, match="twice"):
        score_tifa(truth, write(tmp_path / "a.json", one * 2))
    with pytest.raises(DataError, match=r"'question'.*None"):
        score_tifa(truth, write(tmp_path / "a.json", [{"id": "a", "answer": "yes"}]))
    with pytest.raises(DataError, match="'id'"):
        score_tifa(truth, write(tmp_path / "a.json", [{"id": 1.5, "question": "cat?"}]))


def yes_with(probability: float, other: float = 0.0) -> Any:
    """A model that says yes with this probability and something else than yes or no with `other`."""

    def logprob(image: Any, prompt: str, answers: Sequence[str]) -> list[float]:
        assert list(answers) == ["Yes", "No"]
        no = 1 - probability - other
        return [math.log(probability) if probability else -math.inf, math.log(no) if no > 0 else -math.inf]

    return logprob


def test_vqascore_is_the_probability_of_yes() -> None:
    found = vqascore(yes_with(0.3, other=0.6), None, "a cat")
    assert found.yes == pytest.approx(0.3)
    assert found.yes_over_no == pytest.approx(0.75)
    assert vqascore(yes_with(0.0), None, "a cat").yes_over_no == 0


@given(st.floats(-2000, 0), st.floats(-2000, 0))
def test_both_forms_stay_in_range_for_any_logprobs(yes: float, no: float) -> None:
    found = vqascore(lambda *_: (yes, no), None, "a cat")
    assert 0 <= found.yes <= 1
    assert 0 <= found.yes_over_no <= 1


def test_the_prompt_is_the_published_one_and_texts_may_hold_braces() -> None:
    seen = []

    def logprob(image: Any, prompt: str, answers: Sequence[str]) -> list[float]:
        seen.append(prompt)
        return [-1.0, -1.0]

    vqascore(logprob, None, "a {red} “cat”")
    assert seen == ['Does this figure show "a {red} “cat”"? Please answer yes or no.']


@pytest.mark.parametrize("answer", [[0.5, -1], [math.nan, -1], [-1], [-math.inf, -math.inf]])
def test_answers_that_are_no_logprobs_are_refused_with_their_id(answer: list[float]) -> None:
    with pytest.raises(DataError, match=r"'p7'.*log-probabilities"):
        score_vqascore(lambda *_: answer, [("p7", None, "a cat")])


def test_a_question_that_does_not_hold_the_text_asks_nothing() -> None:
    with pytest.raises(ConfigError, match="would ask the same"):
        vqascore(yes_with(0.5), None, "a cat", "Is this it?")


def test_texts_of_one_picture_are_resampled_together() -> None:
    pairs = [(str(i), f"{i // 2}.png", "a cat") for i in range(6)]
    score = score_vqascore(lambda image, prompt, answers: [-1.0, -2.0], pairs, "a {text}?", ("yes", "no"))
    assert [item.image for item in score.items] == ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png"]
    assert score.dialect == "a {text}? (yes or no)"
    assert score.items[0].prompt == "a a cat?"


def test_vqascore_over_pairs() -> None:
    chances = iter([0.2, 0.4, 0.9])
    score = score_vqascore(lambda *a: yes_with(next(chances))(*a), [(str(i), None, "a cat") for i in range(3)])
    assert values(score)["vqascore", None] == pytest.approx(0.5)
    with pytest.raises(DataError, match="second"):
        score_vqascore(yes_with(0.5), [("a", None, "x"), ("a", None, "y")])
    with pytest.raises(DataError, match="empty"):
        score_vqascore(yes_with(0.5), [("a", None, " ")])


def test_vqar_is_visual_times_textual_relevance(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "a cup", "yes": math.log(0.5), "no": math.log(0.5), "textual": 0.4},
        {"id": 2, "text": "a dog", "yes": math.log(0.8), "no": math.log(0.1), "textual": 1},
    ]
    values = {value.metric: value.value for value in score_vqascore_file(write(tmp_path / "t.json", rows)).values}
    assert values["vqar_score"] == pytest.approx((0.2 + 0.8) / 2)
    assert values["vqascore"] == pytest.approx(0.65)
    for bad, message in ((1.2, "'2': the textual relevance is 1.2"), (None, "'2': .* is nan"), ("high", "'textual'")):
        with pytest.raises(DataError, match=message):
            score_vqascore_file(write(tmp_path / "t.json", [rows[0], rows[1] | {"textual": bad}]))


def test_compliance_counts_only_what_the_edit_changed() -> None:
    # Pictures are the probability that they show the text.
    def logprob(image: Any, prompt: str, answers: Sequence[str]) -> list[float]:
        chance = image["car" if "car" in prompt else "sky"]
        return [math.log(chance), math.log(1 - chance)]

    edits = [
        Edit("done", {"car": 0.1}, {"car": 0.9, "sky": 0.8}, "a red car", kept="a sky"),
        Edit("failed", {"car": 0.2}, {"car": 0.3}, "a red car"),
        Edit("was so already", {"car": 0.7}, {"car": 0.9}, "a red car"),
    ]
    score = score_compliance(logprob, edits)
    found = values(score)
    assert found["compliance", None] == pytest.approx(0.7)
    assert found["gain", None] == pytest.approx((0.8 + 0.1 + 0.2) / 3)
    assert found["complied", None] == pytest.approx(1 / 2)
    assert found["kept", None] == pytest.approx(0.8)
    assert "1 edits ask for what the source picture already shows" in score.notes[0]
    with pytest.raises(DataError, match="'e'"):
        score_compliance(logprob, [Edit("e", {}, {}, "")])
