"""A model as judge of which of two answers is better, each pair in both orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chiasm.data.chat.endpoint import Ask, Reply, in_parallel
from chiasm.errors import DataError, ParseError
from chiasm.score.bootstrap import summarise
from chiasm.score.judgement.judge import Judging, filled
from chiasm.score.judgement.ratings import Preference
from chiasm.score.judgement.verdicts import parse_winner
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score

PAIR_PROMPT = """You compare two answers about a picture.
{picture}
Question: {question}
Answer A: {a}
Answer B: {b}

Which answer is more correct, complete and helpful? Claims about things that are not in the picture are errors; length \
and order do not matter. Reply with "Winner: A", "Winner: B" or "Winner: tie" on the first line and your reason on the \
next."""


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two systems' answers to one question. `picture` and `description` as in `Judged`."""

    id: str
    question: str
    first: str
    second: str
    picture: bytes | None = None
    description: str | None = None
    image: str = ""


@dataclass(frozen=True, slots=True)
class PairVerdicts:
    """`score` holds win_rate (of the first system, ties half), position_changed and unparsed; `preferences` are the
    verdicts that hold in both orders, for `score_preferences`."""

    score: Score
    preferences: tuple[Preference, ...]


def judge_pairs(ask: Ask, pairs: Iterable[JudgedPair], how: Judging, systems: tuple[str, str]) -> PairVerdicts:
    """Which of two systems a judge prefers. `how.prompt` must hold {picture}, {question}, {a}, {b}, as `PAIR_PROMPT`.

    Every pair is judged twice, with the answers swapped. A winner that follows the position instead of the answer is
    no winner: the pair counts as a tie and in `position_changed`. A pair with an unparsed reply is left out of the
    others and counted in `unparsed`. Raises DataError for repeated ids and for pairs without picture and description.
    """
    rows = list(pairs)
    if len({row.id for row in rows}) < len(rows):
        raise DataError(f"{len(rows) - len({row.id for row in rows})} ids of pairs come more than once")
    requests = [how.request(_text(row, how, swapped), row.picture) for row in rows for swapped in (False, True)]
    replies = in_parallel(ask, requests, how.concurrency)
    items = tuple(_item(row, *replies[2 * i : 2 * i + 2]) for i, row in enumerate(rows))
    values = summarise(
        items,
        {
            "win_rate": ratio("won", "parsed"),
            "position_changed": ratio("changed", "parsed", better=None),
            "unparsed": Measure(lambda sums: 1 - sums["parsed"] / sums["pairs"], "pairs", "lower"),
        },
    )
    names = {"first": systems[0], "second": systems[1], "tie": None}
    preferences = tuple(
        Preference(item.image, how.model, *systems, names[item.parsed]) for item in items if item.parsed is not None
    )
    return PairVerdicts(Score("judged pairs", f"{how.model}, both orders", values, items), preferences)


def _text(row: JudgedPair, how: Judging, swapped: bool) -> str:
    if row.picture is None and not row.description:
        raise DataError(f"{row.id!r} has neither picture nor description: the judge would compare blindly")
    picture = f"What people wrote of the picture: {row.description}" if row.description else ""
    a, b = (row.second, row.first) if swapped else (row.first, row.second)
    return filled(how.prompt, {"picture": picture, "question": row.question, "a": a, "b": b})


def _item(row: JudgedPair, plain: Reply, swapped: Reply) -> Item:
    said = (plain.text, swapped.text)
    image = row.image or row.id
    try:
        one = {"A": "first", "B": "second", "tie": "tie"}[parse_winner(plain.text)]
        other = {"A": "second", "B": "first", "tie": "tie"}[parse_winner(swapped.text)]
    except ParseError as error:
        statistics = {"pairs": 1.0, "parsed": 0.0, "won": 0.0, "changed": 0.0}
        return Item(row.id, image, said, None, None, statistics, "none", str(error))
    winner = one if one == other else "tie"
    won = {"first": 1.0, "tie": 0.5, "second": 0.0}[winner]
    statistics = {"pairs": 1.0, "parsed": 1.0, "won": won, "changed": float(one != other)}
    return Item(row.id, image, said, winner, None, statistics, "both orders" if one == other else "orders disagree")
