"""Points for an answer by how many people gave it, in the dialects of the community.

The VQA accuracy (Antol et al. 2015, arXiv:1505.00468) leaves out one person at a time and takes the mean of
min(1, matches among the others / 3). What differs is how answers are normalised and who counts as the one left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Literal, NamedTuple, get_args

from chiasm.score.vqa import normalise
from chiasm.score.vqa.normalise import Cached

Dialect = Literal["official", "lmms", "evalai", "vlmevalkit", "vizwiz", "simple", "exact", "substring"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

BY_EQUALITY: frozenset[Dialect] = frozenset({"official", "lmms"})
"""Dialects that leave out every answer whose record equals the held-out one: more than one without answer ids."""

_NORMALISERS: dict[Dialect, Callable[[str], str]] = {
    "official": normalise.official,
    "lmms": normalise.lmms,
    "evalai": normalise.evalai,
    "vlmevalkit": normalise.vlmevalkit,
    "vizwiz": normalise.official,
    "simple": normalise.lower_and_strip,
    "exact": normalise.lower_and_strip,
    "substring": normalise.lower_and_strip,
}


class Verdict(NamedTuple):
    """`parsed` is the prediction as it was compared, `matches` how many people gave it, `score` in [0, 1].
    `score_with_ids` is what `score` would be if every answer had an id of its own. `raw` says that nothing was
    normalised."""

    parsed: str
    matches: int
    score: float
    score_with_ids: float
    raw: bool = False


@cache
def leave_one_out(matches: int, people: int = 10) -> float:
    """Mean over the people of min(1, matches among the others / 3): 0, .3, .6, .9, then 1 for ten people."""
    held_out_matches = matches * min(1.0, (matches - 1) / 3)
    held_out_differs = (people - matches) * min(1.0, matches / 3)
    return (held_out_matches + held_out_differs) / people


def leave_equals_out(groups: Sequence[int], people: int) -> float:
    """As `leave_one_out`, where holding out one match drops its whole group of equal records.

    `groups` are the sizes of the groups of equal records among the matches.
    """
    matches = sum(groups)
    held_out_matches = sum(size * min(1.0, (matches - size) / 3) for size in groups)
    held_out_differs = (people - matches) * min(1.0, matches / 3)
    return (held_out_matches + held_out_differs) / people


class Judge:
    """Scores predictions in one dialect; each distinct text is normalised once.

    * ``official``, ``lmms``, ``evalai``, ``vlmevalkit``: leave-one-out accuracy as those scorers compute it.
    * ``vizwiz``: as ``evalai`` leaves people out, but people's answers stay as written and the prediction is normalised
      as in ``official``. VizWiz ships answers that are prepared already. Its script's curly apostrophes are not copied.
    * ``simple``: min(matches / 3, 1). Never below the leave-one-out accuracy of the same matches.
    * ``exact``: 1 if any person gave the answer.
    * ``substring``: 1 if the answer contains a person's or is contained in one: credits "1" for "10". Only on request.

    The last three compare text in lowercase, with its ends stripped.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._normal = Cached(_NORMALISERS[dialect])
        self._clean = Cached(normalise.clean)

    def __call__(self, prediction: str, answers: Sequence[str], records: Sequence[Hashable] | None = None) -> Verdict:
        """`answers` are what the people said, at least one. `records` is what each person's record holds beside the
        answer, equal for people who can't be told apart; None if all can."""
        parsed, truths, raw = self._compared(prediction, answers)
        people = len(truths)
        if self.dialect == "substring":
            matches = sum(bool(parsed and truth and (truth in parsed or parsed in truth)) for truth in truths)
        else:
            matches = truths.count(parsed)
        if self.dialect in ("exact", "substring"):
            score = float(matches > 0)
        elif self.dialect == "simple":
            score = min(1.0, matches / 3)
        else:
            score = leave_one_out(matches, people)
            if matches and records is not None and self.dialect in BY_EQUALITY:
                equal = Counter(record for truth, record in zip(truths, records, strict=True) if truth == parsed)
                return Verdict(parsed, matches, leave_equals_out(list(equal.values()), people), score, raw)
        return Verdict(parsed, matches, score, score, raw)

    def attainable(self, answers: Sequence[str], records: Sequence[Hashable] | None = None) -> float:
        """The most points that one of `answers` would itself get: below 1 where people disagree."""
        return max(self(answer, answers, records).score for answer in set(answers))

    def normalised(self, text: str) -> str:
        """An answer as it is compared, but for those that this dialect compares as they were written."""
        return self._normal[text]

    def _compared(self, prediction: str, answers: Sequence[str]) -> tuple[str, list[str], bool]:
        normal = self._normal
        if self.dialect == "vizwiz":
            return normal[prediction], list(answers), False
        truths = list(map(normal.__getitem__, answers))
        if self.dialect == "official" and truths.count(truths[0]) == len(truths):
            # The official scorer skips all normalisation where the people agree to the letter.
            cleaned = [self._clean[answer] for answer in answers]
            if cleaned.count(cleaned[0]) == len(cleaned):
                return self._clean[prediction], cleaned, True
        return normal[prediction], truths, False
