"""Why a short answer is wrong: the first cause that applies, from "right but for its form" to "another answer"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from chiasm.score.answers import normalise, yes_or_no
from chiasm.score.names import Names
from chiasm.score.vqa import normalise as scorers
from chiasm.score.vqa.chartqa import lenient
from chiasm.score.vqa.wordnet import WordNet, find_wordnet

EMPTY = "empty"
FORMAT_ONLY = "format only"
LONGER = "longer than the answer"
REFUSAL = "refusal"
ANOTHER = "another answer"

_NORMALISERS = tuple(
    lru_cache(100_000)(rule)
    for rule in (
        normalise, scorers.official, scorers.lmms, scorers.evalai, scorers.vlmevalkit, scorers.lower_and_strip,
    )
)  # fmt: skip
_OPPOSITES = [{"left", "right"}, {"above", "below"}, {"under", "over"}, {"front", "behind"}, {"top", "bottom"}]
_REFUSALS = re.compile(
    r"\b(cannot|cant|can not|unable|unknown|not sure|dont know|do not know|not visible|unclear|not clear|sorry"
    r"|unanswerable|unsuitable)\b"
)
_WRAPPINGS = (
    re.compile(r'\{\s*"?answer"?\s*:\s*"?(.*?)"?\s*\}'),
    re.compile(r"\\boxed\s*\{(.*?)\}"),
    re.compile(r"\b(?:answer|a)\s*(?:is|:)\s*(.*)"),
    re.compile(r"(?:it|this|that|he|she|they|there)(?:\s+(?:is|are|was)|'s|’s)\s+(.*)"),
    re.compile(r"(yes|no)\s*[,.;:!].*"),
)
_CUT_OFF = re.compile(r"(?:…|\.\.\.|[,-]|\s(?:an?|the|of|and|or|in|on|with|is|are|to))$")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"[$€£]?([+-]?\d+(?:\.\d+)?)%?")


def is_refusal(text: str) -> bool:
    """Says that it can't say: "I cannot tell", "unanswerable"."""
    return _REFUSALS.search(normalise(text)) is not None


def wrong_answer_cause(prediction: str, accepted: Sequence[str]) -> tuple[str, str]:
    """The cause of an answer that is none of `accepted`, and what is particular to it ("" for most causes).

    Tested in this order: empty; format only (right for another scorer, or once "the answer is", quotes or brackets are
    taken off); longer than the answer (holds it among other words); refusal; answers the unanswerable (VizWiz); yes/no
    flip; number off; opposite side; near synonym (in WordNet one sense, or one right above the other; without WordNet
    a short list); part of the answer; truncated (stops within a word of the answer, or in the middle of a sentence);
    spelling within 2 edits (and half of the length), as a misread letter is; another answer.
    """
    said = normalise(prediction)
    counts = Counter(accepted)
    truths = [normal for answer in counts if (normal := normalise(answer))]
    if not said:
        return EMPTY, ""
    if _is_format_only(set(_unwrapped(prediction)), set(counts)):
        return FORMAT_ONLY, ""
    if any(f" {truth} " in f" {said} " for truth in truths):
        return LONGER, ""
    usual = normalise(max(counts, key=counts.__getitem__, default=""))
    if is_refusal(said):
        return ("near synonym", "refuses in other words") if is_refusal(usual) else (REFUSAL, "")
    if is_refusal(usual):
        return "answers the unanswerable", ""
    if yes_or_no(said) is not None and any(yes_or_no(truth) is not None for truth in truths):
        return "yes/no flip", ""
    if off := _number_off(said, truths):
        return "number off", off
    return _cause_by_words(prediction, said, truths)


def _cause_by_words(prediction: str, said: str, truths: Sequence[str]) -> tuple[str, str]:
    words = set(said.split())
    if any(words ^ set(truth.split()) in _OPPOSITES for truth in truths):
        return "opposite side", ""
    if near := next((truth for truth in truths if _near_synonyms(said, truth)), None):
        return "near synonym", f"of {near}"
    if any(Counter(said.split()) < Counter(truth.split()) for truth in truths):
        return "part of the answer", ""
    long_enough = len(said) >= 3 and not _NUMBER.fullmatch(said)
    within_a_word = long_enough and any(truth.startswith(said) for truth in truths)
    if within_a_word or (len(words) > 3 and _CUT_OFF.search(prediction.strip().casefold())):
        return "truncated", ""
    edits = min((_edits(said, truth) for truth in truths if min(len(said), len(truth)) >= 3), default=3)
    return ("spelling within 2 edits", f"{edits} edits" if edits > 1 else "1 edit") if edits <= 2 else (ANOTHER, "")


def _unwrapped(text: str) -> Iterator[str]:
    """The text, and what is left once its wrapping is taken off; both in lower case."""
    text = text.strip().casefold()
    yield text
    for wrapping in _WRAPPINGS:
        if found := wrapping.search(text):
            yield found.group(1).strip(" \t\n.\"'`*“”")
    yield text.splitlines()[-1].strip(" .\"'`*“”()[]<>")


def _is_format_only(forms: set[str], accepted: set[str]) -> bool:
    for rule in _NORMALISERS:
        said = {rule(form) for form in forms} - {""}
        if not said.isdisjoint(map(rule, accepted)):
            return True
    return any(lenient(form, answer) for form in forms for answer in accepted if _DIGIT.search(answer))


def _number_off(said: str, truths: Sequence[str]) -> str:
    """ "4 instead of 3: +1 (+33 %)", for the accepted number that is nearest; "" if either is no number."""
    number = _NUMBER.fullmatch(said)
    numbers = [float(found.group(1)) for truth in truths if (found := _NUMBER.fullmatch(truth))]
    if number is None or not numbers:
        return ""
    value = float(number.group(1))
    true = min(numbers, key=lambda other: abs(other - value))
    share = f" ({(value - true) / abs(true):+.0%})".replace("%", " %") if true else ""
    return f"{value:g} instead of {true:g}: {value - true:+g}{share}"


def _near_synonyms(one: str, other: str) -> bool:
    names, wordnet = _names(), _wordnet()
    if names.canonical(one) == names.canonical(other):
        return True
    return wordnet is not None and wordnet.is_near(one, other)


@cache
def _names() -> Names:
    return Names()


@cache
def _wordnet() -> WordNet | None:
    return find_wordnet()


def _edits(said: str, truth: str) -> int:
    """Edit distance; more than 2 where it is over half of the accepted answer, as for "cap" and "hat"."""
    from rapidfuzz.distance import Levenshtein

    distance = Levenshtein.distance(said, truth)
    return distance if distance <= len(truth) / 2 else 3
