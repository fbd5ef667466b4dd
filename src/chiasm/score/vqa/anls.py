"""ANLS, average normalised Levenshtein similarity: DocVQA, InfographicVQA, ST-VQA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chiasm.errors import DataError
from chiasm.score.answer_files import Missing, answers_to
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, means, share
from chiasm.score.result import Item, Score
from chiasm.score.vqa.entries import each_question
from chiasm.score.vqa.questions import problem_of, unanswered

THRESHOLD = 0.5


def similarity(prediction: str, answer: str) -> float:
    """1 - edit distance / length of the longer text, as the official scorer computes it; 1 if both are empty.

    The distance is between lowercase texts with their white space collapsed, but the length is of the texts as they
    came (in uppercase, where "ß" is two characters), so that extra white space raises the score.
    """
    from rapidfuzz.distance import Levenshtein

    length = max(len(prediction.upper()), len(answer.upper()))
    distance = Levenshtein.distance(_collapsed(prediction), _collapsed(answer))
    return 1 - distance / length if length else 1.0


def anls(prediction: str, answers: Sequence[str]) -> float:
    """The best similarity to any of `answers`, at least one; 0 where it is below .5 (exactly .5 stays).

    The paper (Biten et al. 2019, arXiv:1905.13648) sets exactly .5 to 0 as well; the official scorer does not.
    """
    best = max(similarity(prediction, answer) for answer in answers)
    return best if best >= THRESHOLD else 0.0


def score_anls(
    questions: Path | str,
    predictions: Path | str,
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> Score:
    """ANLS in [0, 1] by the official rule (``anls``) and by the paper's (``anls_paper``), and the share of answers that
    are an accepted one to the letter, case and white space aside (``exact``).

    `questions` is ``{"data": [{questionId, question, answers}]}``, `predictions` what `answers_to` takes. Sliced by
    the question and answer types that the file has. `blind` are the predictions of the same model without the pictures,
    for what `beside_blind` says of both ANLS. Raises DataError for files that do not fit each other.
    """
    rows = dict(each_question(questions))
    answers = answers_to(predictions, rows, questions, missing)
    items = tuple([_item(name, row, answers[name], questions) for name, row in rows.items()])
    keys = [key for key in ("question_type", "answer_type") if any(key in item.slices for item in items)]
    values = summarise(items, measures(items), keys, replicates)
    values += majority_values(
        items, [item.truth for item in items], tuple, _RULES, keys, same=_collapsed, only_given=False
    )
    at_threshold = sum(item.statistics["anls"] != item.statistics["anls_paper"] for item in items)
    note = (
        "A similarity below .5 counts as 0. Exactly .5 stays in the official rule and is 0 in the paper's: "
        f"{at_threshold} of {len(items)} answers."
    )
    score = Score("anls", "official", values, items, (note, *unanswered(items)))
    if blind is None:
        return score
    return beside_blind(score, score_anls(questions, blind, missing, replicates), _ANLS, keys, replicates)


_ANLS = means(("anls", "anls_paper"), "questions")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_anls`."""
    return {**_ANLS, "exact": share("exact", "questions")}


def _item(name: str, row: dict, said: str | None, path: Path | str) -> Item:
    accepted = row.get("answers")
    if not isinstance(accepted, list) or not accepted or not all(isinstance(answer, str) for answer in accepted):
        raise DataError(f"{path}: question {name!r} needs a list of texts as 'answers', found {accepted!r:.60}")
    score = 0.0 if said is None else anls(said, accepted)
    exact = said is not None and _is_exact(said, accepted)
    problem = None if score else problem_of(said)
    statistics = {
        "questions": 1.0,
        "anls": score,
        "anls_paper": _above_threshold(score),
        "exact": float(exact),
    }
    slices = {"outcome": problem or _outcome(score, exact)} | _types(row)
    parsed, asked = said and _collapsed(said), str(row.get("question") or "")
    return Item(name, _image(row, name), said, parsed, tuple(accepted), statistics, "as is", problem, slices, asked)


def _is_exact(prediction: str, answers: Sequence[str]) -> bool:
    return _collapsed(prediction) in map(_collapsed, answers)


def _above_threshold(score: float) -> float:
    """The paper's rule, from the official score."""
    return score if score > THRESHOLD else 0.0


_RULES: dict[str, Callable[[str, tuple[str, ...]], float]] = {
    "anls": anls,
    "anls_paper": lambda said, answers: _above_threshold(anls(said, answers)),
    "exact": lambda said, answers: float(_is_exact(said, answers)),
}


def _outcome(score: float, exact: bool) -> str:
    if exact:
        return "right"
    return "misspelt" if score else "below the threshold"


def _types(row: dict) -> dict[str, str]:
    """DocVQA has a list of ``question_types``, InfographicVQA one of ``answer_type``; several become one label."""
    found = {}
    for key, label in (("question_types", "question_type"), ("answer_type", "answer_type")):
        value = row.get(key)
        if value:
            found[label] = " + ".join(sorted(map(str, value))) if isinstance(value, list) else str(value)
    return found


def _image(row: dict, name: str) -> str:
    keys = ("image", "image_local_name", "file_path", "image_id")
    return next((str(row[key]) for key in keys if row.get(key)), name)


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())
