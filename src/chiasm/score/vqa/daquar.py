"""DAQUAR: accuracy and WUPS, which forgives a near miss (Malinowski and Fritz 2014, arXiv:1410.0210)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

from chiasm.errors import DataError
from chiasm.score.answer_files import Missing, answers_in_order, numbered, read_text
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, means, share
from chiasm.score.result import Item, Score, Value
from chiasm.score.vqa.questions import problem_of, unanswered
from chiasm.score.vqa.wordnet import WordNet, find_wordnet

THRESHOLDS = (0.9, 0.0)
Likeness = Callable[[str, str], float]
_NAMED_IMAGE = re.compile(r"\b(image\d+) *\?$")


@dataclass(frozen=True, slots=True)
class Triple:
    """A question as it stands in the file. `answer` is one word or several with commas between them."""

    question: str
    answer: str
    image: str


def read_triples(path: Path | str) -> list[Triple]:
    """The questions of a ``format_triple`` file (question, answer and image name, a line each), or of DAQUAR's original
    files, whose questions name the image ("... in the image3 ?") and are followed by the answer.

    Raises DataError if the file can't be read or ends within a question.
    """
    lines = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    named = [_NAMED_IMAGE.search(question) for question in lines[::2]]
    if named and all(named) and len(lines) % 2 == 0:
        pairs = zip(named, lines[::2], lines[1::2], strict=True)
        return [Triple(question, answer, image[1]) for image, question, answer in pairs if image]
    if not lines or len(lines) % 3:
        raise DataError(
            f"{path} has {len(lines)} lines; expected three for each question (question, answer, image) "
            f"or two (a question that ends in 'imageN ?', and its answer)"
        )
    return [Triple(*lines[at : at + 3]) for at in range(0, len(lines), 3)]


def set_score(predicted: Sequence[str], true: Sequence[str], likeness: Likeness) -> float:
    """How alike two sets of words are, in [0, 1]: each word meets its most like one on the other side, these are
    multiplied, and the worse of the two directions counts. Equation 3 of the paper for one question."""
    if not predicted or not true:
        return float(not predicted and not true)
    of_predicted = prod(max(likeness(word, other) for other in true) for word in predicted)
    of_true = prod(max(likeness(word, other) for other in predicted) for word in true)
    return min(of_predicted, of_true)


def wups_likeness(wordnet: WordNet, threshold: float) -> Likeness:
    """Wu-Palmer similarity of two words, one tenth of it below `threshold`; 1 for equal words."""

    def likeness(a: str, b: str) -> float:
        if a == b:
            return 1.0
        similarity = wordnet.similarity(a, b)
        return similarity if similarity >= threshold else 0.1 * similarity

    return likeness


def score_daquar(
    questions: Path | str,
    predictions: Path | str,
    wordnet: WordNet | None = None,
    missing: Missing = "error",
    replicates: int = 2000,
    blind: Path | str | None = None,
) -> Score:
    """Accuracy (the sets of words are equal) and WUPS at 0.9 and 0.0, all in [0, 1].

    `predictions` has one answer a line in the order of the questions, the format of the official script, or is a table
    or JSON as `answers_in_order` takes it. Words are compared as written, without their outer white space. `wordnet`
    defaults to `find_wordnet`; without one, the WUPS values are None and a note says so. `blind` are the predictions of
    the same model without the pictures, for what `beside_blind` says.
    """
    triples = read_triples(questions)
    asked = [(triple.image, triple.question) for triple in triples]
    answers = answers_in_order(predictions, asked, missing)
    wordnet = wordnet or find_wordnet()
    likenesses: dict[str, Likeness] = {"accuracy": lambda a, b: float(a == b)}
    if wordnet is not None:
        likenesses |= {f"wups@{threshold}": wups_likeness(wordnet, threshold) for threshold in THRESHOLDS}
    items = tuple(
        [
            _item(name, triple, answer, likenesses)
            for name, triple, answer in zip(numbered(asked), triples, answers, strict=True)
        ]
    )
    values = summarise(items, measures(items), ["question_type"], replicates)
    values += majority_values(
        items,
        [triple.answer for triple in triples],
        lambda answer: (answer,),
        {metric: partial(_constant_score, likeness) for metric, likeness in likenesses.items()},
        ["question_type"],
        only_given=False,
    )
    notes = []
    if wordnet is None:
        absent = [Value(f"wups@{threshold}", None, 0, method="absent: no WordNet") for threshold in THRESHOLDS]
        values += tuple(absent)
        notes.append(
            "WUPS is absent, since no WordNet was found: install Debian's wordnet-base or nltk's wordnet data, or name "
            "its folder in WNSEARCHDIR."
        )
    score = Score("daquar", "official", values, items, (*notes, *unanswered(items)))
    if blind is None:
        return score
    without = score_daquar(questions, blind, wordnet, missing, replicates)
    return beside_blind(score, without, measures(items), ["question_type"], replicates)


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_daquar`: WUPS only where there was a WordNet."""
    wups = (name for name in items[0].statistics if name.startswith("wups"))
    return {"accuracy": share("accuracy", "questions"), **means(wups, "questions")}


def _item(name: str, triple: Triple, answer: str | None, likenesses: dict[str, Likeness]) -> Item:
    true = _words(triple.answer)
    predicted = _words(answer or "")
    statistics = {metric: set_score(predicted, true, likeness) for metric, likeness in likenesses.items()}
    statistics["questions"] = 1.0
    slices = {"question_type": _question_type(triple.question), "outcome": problem_of(answer) or _outcome(statistics)}
    rule, problem = "words between commas", problem_of(answer)
    return Item(name, triple.image, answer, predicted, true, statistics, rule, problem, slices, triple.question)


def _constant_score(likeness: Likeness, said: str, answer: str) -> float:
    return set_score(_words(said), _words(answer), likeness)


def _outcome(statistics: dict[str, float]) -> str:
    if statistics["accuracy"]:
        return "right"
    # Where WUPS at .9 is above any tenth, every word has a near synonym on the other side.
    return "near synonym" if statistics.get("wups@0.9", 0.0) > 0.1 else "another answer"


def _words(answer: str) -> list[str]:
    return [word.strip() for word in answer.split(",")] if answer.strip() else []


def _question_type(question: str) -> str:
    """Told by the words of the question; DAQUAR itself has no types."""
    if re.search(r"\bhow many\b", question):
        return "number"
    if re.search(r"\bcolou?rs?\b", question.split(" of ")[0]):
        return "color"
    return "object"
