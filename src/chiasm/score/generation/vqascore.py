"""VQAScore: how probably a model answers yes when asked whether a picture shows a text (Lin et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chiasm.errors import ConfigError, DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score

QUESTION = 'Does this figure show "{text}"? Please answer yes or no.'
ANSWERS = ("Yes", "No")

Logprob = Callable[[Any, str, Sequence[str]], Sequence[float]]
"""From a picture, a prompt and answers to the natural log-probability of each answer."""


@dataclass(frozen=True, slots=True)
class VQAScore:
    """`yes` is the probability of "Yes" among everything the model could say, the published score; `yes_over_no` that
    among the two answers, which does not fall with a model's habit of wording its yes otherwise. Both in [0, 1]."""

    yes: float
    yes_over_no: float


def vqascore(
    logprob: Logprob, image: Any, text: str, question: str = QUESTION, answers: tuple[str, str] = ANSWERS
) -> VQAScore:
    """The score of one picture and text. `question` holds ``{text}``; `answers` are how the model says yes and no.

    Raises ConfigError for a question without ``{text}``, DataError for an empty text and for answers of the model that
    are no log-probabilities.
    """
    if "{text}" not in question:
        raise ConfigError(f"the question {question!r} has no {{text}}, so it would ask the same of every picture")
    if not text.strip():
        raise DataError("an empty text: there is nothing to ask the picture for")
    found = [float(value) for value in logprob(image, question.replace("{text}", text), answers)]
    # A probability may come out as 1 + rounding.
    if len(found) != 2 or not all(value <= 1e-4 for value in found) or max(found) == -math.inf:
        raise DataError(f"expected the log-probabilities of {answers}, at most 0 and one above -inf, got {found}")
    yes, no = (min(1.0, math.exp(value - max(found))) for value in found)
    return VQAScore(min(1.0, math.exp(found[0])), yes / (yes + no))


def score_vqascore(
    logprob: Logprob,
    pairs: Iterable[tuple[str, Any, str]],
    question: str = QUESTION,
    answers: tuple[str, str] = ANSWERS,
) -> Score:
    """Mean VQAScore of (id, picture, text) triples. The prompt is the score's dialect: another one, other numbers.

    Values in [0, 1]: vqascore and vqascore_yes_over_no, the means of `VQAScore`. Intervals are by picture where
    pictures are paths. Raises errors as `vqascore` does, naming the id, and DataError for a repeated id.
    """
    items: dict[str, Item] = {}
    for name, image, text in pairs:
        if name in items:
            raise DataError(f"a second picture and text with the id {name!r}")
        try:
            found = vqascore(logprob, image, text, question, answers)
        except DataError as error:
            raise DataError(f"{name!r}: {error}") from None
        statistics = {"pairs": 1.0, "yes": found.yes, "yes_over_no": found.yes_over_no}
        picture = str(image) if isinstance(image, str | Path) else name
        items[name] = Item(name, picture, None, found.yes, text, statistics, prompt=question.replace("{text}", text))
    rows = tuple(items.values())
    dialect = f"{question} ({' or '.join(answers)})"
    return Score("vqascore", dialect, summarise(rows, measures(rows)), rows)


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_vqascore`."""
    found = {"vqascore": ratio("yes", "pairs"), "vqascore_yes_over_no": ratio("yes_over_no", "pairs")}
    if any("vqar" in item.statistics for item in items):
        found["vqar_score"] = ratio("vqar", "pairs")
    return found


def with_textual_relevance(score: Score, textual: Mapping[str, float]) -> Score:
    """`score` of `score_vqascore` with the VQAR-Score, our own definition: the mean over pairs of visual relevance (the
    VQAScore) times textual relevance, in [0, 1], which is high only where a text fits the picture and the question.

    `textual` is the textual relevance by id. Raises DataError for a value outside [0, 1] and an id without one.
    """
    items = []
    for item in score.items:
        relevance = textual.get(item.id, math.nan)
        if not 0 <= relevance <= 1:
            raise DataError(f"{item.id!r}: the textual relevance is {relevance}, expected a number from 0 to 1")
        items.append(replace(item, statistics={**item.statistics, "vqar": item.statistics["yes"] * relevance}))
    return replace(score, items=tuple(items), values=summarise(items, measures(items)))
