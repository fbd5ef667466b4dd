"""Short answers against accepted answers: a stated light normalisation, three named dialects.

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
