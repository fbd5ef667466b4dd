"""GQA: accuracy and the measures around it (Hudson and Manning 2019, arXiv:1902.09506, section 4.4)."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from chiasm.data.json_text import shortened
from chiasm.data.records import paired, read_json
from chiasm.errors import ConfigError, DataError
from chiasm.score.answer_files import Missing, answer_rows, answers_of
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.result import Item, Score
from chiasm.score.vqa.gqa_distribution import distribution
from chiasm.score.vqa.questions import problem_of, unanswered

Dialect = Literal["official", "llava", "lmms"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_PUNCTUATION = str.maketrans("", "", string.punctuation)
# A question of a "Common" detailed type is answered by one of these, whatever the choices file says.
_COMMON = ("color", "material", "shape")
# Steps of the functional program that only wrap up an answer.
_NOT_A_STEP = ("exist", "query: name", "choose name")


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a scorer does to both sides before it compares them."""

    prediction: Callable[[str], str]
    answer: Callable[[str], str]


def _as_is(text: str) -> str:
    return text


def _without_case_and_punctuation(text: str) -> str:
    return text.lower().translate(_PUNCTUATION)


REWRITING: dict[Dialect, Rewriting] = {
    "official": Rewriting(_as_is, _as_is),
    "llava": Rewriting(lambda text: text.rstrip(".").lower(), _as_is),
    "lmms": Rewriting(_without_case_and_punctuation, _without_case_and_punctuation),
}
"""``official`` compares to the letter; ``llava`` first converts predictions; ``lmms`` ignores case and punctuation."""


def score_gqa(
    questions: Path | str,
    predictions: Path | str,
    choices: Path | str | None = None,
    dialect: Dialect = "official",
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> Score:
    """GQA's measures over the balanced questions, all in [0, 1] but ``distribution``.

    * ``accuracy``, also of ``binary`` and ``open`` questions, and by structural and semantic type, words and steps;
    * ``consistency``: mean accuracy over the questions that a rightly answered one entails, where all of them are in
      `questions` (the unbalanced file) and predicted;
    * ``validity`` and ``plausibility``: the answer is in the question's scope, and makes sense; with a `choices` file;
    * ``distribution``: chi-square distance between predicted and true answers within groups, lower is better.

    `questions` is GQA's dict by id, `predictions` a list of ``{questionId, prediction}``. Grounding needs attention
    maps and is left out. `blind` are the predictions of the same model without the pictures, for what `beside_blind`
    says. Raises DataError for files that do not fit, and ConfigError for an unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"unknown GQA dialect {dialect!r}; there are {', '.join(DIALECTS)}")
    asked = _read_questions(questions)
    balanced = [name for name, question in asked.items() if question.get("isBalanced", True)]
    said = answers_of(predictions, answer_rows(predictions))
    others = asked.keys() - set(balanced)
    paired(balanced, [name for name in said if name not in others], questions, predictions, missing)
    scope = None if choices is None else _read_choices(choices, balanced)
    rewriting = REWRITING[dialect]
    parsed = {name: rewriting.prediction(text) for name, text in said.items()}
    true = {name: rewriting.answer(question["answer"]) for name, question in asked.items()}
    entailed = {name: [other for other in asked[name].get("entailed", ()) if other != name] for name in balanced}
    unknown = {other for names in entailed.values() for other in names if other not in true or other not in parsed}
    items = []
    for name in balanced:
        statistics = _correctness(asked[name], parsed.get(name) == true[name])
        if not unknown and statistics["right"] and entailed[name]:
            right = sum(parsed[other] == true[other] for other in entailed[name])
            statistics |= {"entailing": 1.0, "consistency": right / len(entailed[name])}
        if scope is not None:
            statistics |= _in_scope(asked[name], scope[name], parsed.get(name), rewriting)
        items.append(_item(name, asked[name], said.get(name), parsed.get(name), statistics))
    notes = ["Grounding is left out: it needs attention maps."]
    if unknown:
        notes.append(
            f"Consistency is left out: {len(unknown)} entailed questions are not in {questions} or not predicted; it "
            "needs the file of all questions and predictions for them."
        )
    values = summarise(items, measures(items), replicates=replicates)
    sliced = summarise(items, {"accuracy": _ACCURACY}, _SLICES, replicates)
    values += tuple(value for value in sliced if value.slice is not None)
    values += majority_values(
        items,
        [true[name] for name in balanced],
        lambda answer: (answer,),
        {"accuracy": lambda text, answer: float(rewriting.prediction(text) == answer)},
        ("structural_type", "semantic_type"),
    )
    groups = [(asked[name].get("groups") or {}).get("global") for name in balanced]
    distance = distribution(
        groups,
        [true[name] for name in balanced],
        [parsed.get(name) for name in balanced],
        [item.image for item in items],
    )
    score = Score("gqa", dialect, (*values, distance), tuple(items), (*notes, *unanswered(items)))
    if blind is None:
        return score
    without = score_gqa(questions, blind, None, dialect, missing, replicates)
    return beside_blind(score, without, {"accuracy": _ACCURACY}, _SLICES, replicates)


_ACCURACY = share("right", "questions")
_SLICES = ("structural_type", "semantic_type", "words", "steps")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_gqa` that are functions of sums, which the distribution is not."""
    known = {name for item in items for name in item.statistics}
    found = {
        "accuracy": _ACCURACY,
        "binary": share("binary_right", "binary"),
        "open": share("open_right", "open"),
        "validity": share("valid", "questions"),
        "plausibility": share("plausible", "questions"),
        "consistency": ratio("consistency", "entailing"),
    }
    needs = {"validity": "valid", "plausibility": "plausible", "consistency": "entailing"}
    return {name: measure for name, measure in found.items() if needs.get(name, "right") in known}


def _correctness(question: Mapping[str, Any], right: bool) -> dict[str, float]:
    kind = "open" if question["types"]["structural"] == "query" else "binary"
    return {"questions": 1.0, "right": float(right), kind: 1.0, f"{kind}_right": float(right)}


def _in_scope(
    question: Mapping[str, Any], scope: Mapping[str, Any], parsed: str | None, rewriting: Rewriting
) -> dict[str, float]:
    common = "Common" in (question["types"].get("detailed") or "")
    return {
        key: float(parsed in [rewriting.answer(choice) for choice in (_COMMON if common else scope[key])])
        for key in ("valid", "plausible")
    }


def _item(
    name: str, question: Mapping[str, Any], said: str | None, parsed: str | None, statistics: Mapping[str, float]
) -> Item:
    problem = problem_of(said)
    if statistics["right"]:
        outcome = "right"
    elif problem:
        outcome = problem
    elif _without_case_and_punctuation(said or "") == _without_case_and_punctuation(question["answer"]):
        outcome = "format only"
    else:
        outcome = "another answer"
    program = [f"{step['operation']}: {step['argument']}" for step in question.get("semantic") or ()]
    steps = sum(not any(part in step for part in _NOT_A_STEP) for step in program)
    slices = {
        "outcome": outcome,
        "structural_type": question["types"]["structural"],
        "semantic_type": question["types"]["semantic"],
        # Two digits, so that labels sort as numbers do.
        "words": f"{len(question['question'].split()):02d}",
        "steps": f"{steps:02d}",
    }
    image, true, asked = str(question.get("imageId", name)), question["answer"], question["question"]
    return Item(name, image, said, parsed, true, statistics, "as is", problem, slices, asked)


def _read_questions(path: Path | str) -> dict[str, dict[str, Any]]:
    content = read_json(path, unique_keys=True)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected GQA's questions, an object by question id, found {shortened(content)}")
    for name, question in content.items():
        if not isinstance(question, dict) or not isinstance(question.get("answer"), str):
            raise DataError(f"{path}: question {name!r} has no 'answer' text; scoring needs a split with answers")
        types = question.get("types")
        if not isinstance(types, dict) or not {"structural", "semantic"} <= types.keys():
            raise DataError(f"{path}: question {name!r} has no 'types' with 'structural' and 'semantic'")
        if not isinstance(question.get("question"), str):
            raise DataError(f"{path}: question {name!r} has no text as its 'question'")
    return content


def _read_choices(path: Path | str, balanced: Sequence[str]) -> dict[str, dict[str, Any]]:
    content = read_json(path, unique_keys=True)
    for name in balanced:
        scope = content.get(name) if isinstance(content, dict) else None
        if not isinstance(scope, dict) or not {"valid", "plausible"} <= scope.keys():
            raise DataError(f"{path}: no 'valid' and 'plausible' answers for question {name!r}")
    return content
