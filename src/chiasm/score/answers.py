"""Short answers against accepted answers: a stated light normalisation, three named dialects, and why one is wrong.

The dialects, all after `normalise`:

* ``exact``: equals any accepted answer. The default.
* ``soft``: min(n / 3, 1) where n accepted answers of ten people are equal to it.
* ``substring``: contains an accepted answer or is contained in one. Credits "1" for "10"; only on request.

None of them is the official VQA accuracy, which leaves one person out and has its own normalisation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Dialect = Literal["exact", "soft", "substring"]
DIALECTS: tuple[Dialect, ...] = ("exact", "soft", "substring")

_NUMBER_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_NUMBERS = {word: str(value) for value, word in enumerate(_NUMBER_WORDS)}
_ARTICLES = {"a", "an", "the"}
_OPPOSITES = [{"left", "right"}, {"above", "below"}, {"under", "over"}, {"front", "behind"}, {"top", "bottom"}]
_REFUSALS = re.compile(
    r"\b(cannot|cant|can not|unable|unknown|not sure|dont know|do not know|not visible|unclear|sorry)\b"
)


def normalise(text: str) -> str:
    """Case, width, apostrophes, punctuation, articles and number words (zero to twenty) no longer matter.

    "The T-Shirt." -> "t shirt", "Two" -> "2", "1,000" -> "1000", "U.S.A." -> "usa", "3.5" stays. An answer that is
    nothing but an article stays too, since "A" may be the letter of a choice.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"['’`´]", "", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\b[^\W\d_])\.", "", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", " ", text)
    text = re.sub(r"[^\w\s.%$€£+-]|_", " ", text)
    text = re.sub(r"(?<=\w)-|-(?!\d)", " ", text)
    words = [_NUMBERS.get(word, word) for word in text.split()]
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def match(prediction: str, accepted: Sequence[str], dialect: Dialect = "exact") -> float:
    """Score in [0, 1] of `prediction` against every accepted answer. An empty prediction never matches."""
    said = normalise(prediction)
    if not said:
        return 0.0
    truths = [normalise(answer) for answer in accepted]
    if dialect == "exact":
        return float(said in truths)
    if dialect == "soft":
        return min(truths.count(said) / 3, 1.0)
    return float(any(truth and (truth in said or said in truth) for truth in truths))


def yes_or_no(text: str) -> bool | None:
    """True for yes, False for no, None where the answer is neither or both ("yes and no", "I cannot tell")."""
    words = normalise(text).split()
    if not words or words[0] not in ("yes", "no") or {"yes", "no"} <= set(words):
        return None
    return words[0] == "yes"


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of characters."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def wrong_answer_cause(prediction: str, accepted: Sequence[str]) -> str:
    """Why an answer that does not match is wrong; the first cause that applies, tested in the order below."""
    said = normalise(prediction)
    truths = [truth for truth in map(normalise, accepted) if truth]
    if not said:
        return "empty"
    if any(f" {truth} " in f" {said} " for truth in truths):
        return "format only"
    if _REFUSALS.search(said):
        return "refusal"
    if any(yes_or_no(truth) is not None for truth in truths) and yes_or_no(said) is not None:
        return "yes/no flip"
    if _is_number(said) and any(_is_number(truth) for truth in truths):
        return "number off"
    words = set(said.split())
    for truth in truths:
        changed = words ^ set(truth.split())
        if changed in _OPPOSITES:
            return "opposite side"
    if any(min(len(said), len(truth)) >= 3 and edit_distance(said, truth) <= 2 for truth in truths):
        return "spelling within 2 edits"
    return "another answer"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None
