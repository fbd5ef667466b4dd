"""A model as judge of which of two answers is better, each pair in both orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chiasm.data.chat.endpoint import Ask, Reply
from chiasm.errors import DataError, ParseError
from chiasm.score.bootstrap import summarise
from chiasm.score.judgement.judge import Judging, filled
from chiasm.score.judgement.verdicts import parse_winner
from chiasm.score.measure import Measure, share
from chiasm.score.result import Item, Score
from chiasm.types import ImageSource

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
    picture: ImageSource | None = None
    description: str | None = None
    image: str = ""


def judge_pairs(ask: Ask, pairs: Iterable[JudgedPair], how: Judging, systems: tuple[str, str]) -> Score:
    """Which of two systems a judge prefers. `how.prompt` must hold {picture}, {question}, {a}, {b}, as `PAIR_PROMPT`.

    Every pair is judged twice, with the answers swapped. A winner that follows the position instead of the answer is
    no winner: the pair counts as a tie and in `position_changed`. A pair with an unparsed reply is left out of the
    others and counted in `unparsed`. Values, all in [0, 1]: win_rate (of the first system, ties half), position_changed
    and unparsed. Raises DataError for repeated ids and for pairs without picture and description.
    """
    rows = list(pairs)
    if len({row.id for row in rows}) < len(rows):
        raise DataError(f"{len(rows) - len({row.id for row in rows})} ids of pairs come more than once")
    asked = [(_text(row, how, swapped), row.picture) for row in rows for swapped in (False, True)]
    replies = how.ask_all(ask, asked)
    items = tuple(
        _item(row, text, plain, swapped, systems)
        for row, (text, _), plain, swapped in zip(rows, asked[::2], replies[::2], replies[1::2], strict=True)
    )
    notes = [f"win_rate is of {systems[0]} against {systems[1]}; a tie, or orders that disagree, is half a win."]
    if unparsed := sum(item.problem is not None for item in items):
        notes.append(f"{unparsed} of {len(items)} pairs have a reply without a winner and are left out of win_rate.")
    return Score("judged pairs", f"{how.model}, both orders", summarise(items, measures(items)), items, tuple(notes))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `judge_pairs`."""
    return {
        "win_rate": share("won", "parsed"),
        "position_changed": share("changed", "parsed", better=None),
        "unparsed": Measure(lambda sums: 1 - sums["parsed"] / sums["pairs"], "pairs", "lower", is_share=True),
    }


def _text(row: JudgedPair, how: Judging, swapped: bool) -> str:
    if row.picture is None and not row.description:
        raise DataError(f"{row.id!r} has neither picture nor description: the judge would compare blindly")
    picture = f"What people wrote of the picture: {row.description}" if row.description else ""
    a, b = (row.second, row.first) if swapped else (row.first, row.second)
    return filled(how.prompt, {"picture": picture, "question": row.question, "a": a, "b": b})


def _item(row: JudgedPair, text: str, plain: Reply, swapped: Reply, systems: tuple[str, str]) -> Item:
    said = (plain.text, swapped.text)
    image = row.image or row.id
    try:
        one = {"A": systems[0], "B": systems[1], "tie": "tie"}[parse_winner(plain.text)]
        other = {"A": systems[1], "B": systems[0], "tie": "tie"}[parse_winner(swapped.text)]
    except ParseError as error:
        statistics = {"pairs": 1.0, "parsed": 0.0, "won": 0.0, "changed": 0.0}
        return Item(row.id, image, said, None, None, statistics, "none", str(error), prompt=text)
    winner = one if one == other else "tie"
    won = 0.5 if winner == "tie" else float(winner == systems[0])
    statistics = {"pairs": 1.0, "parsed": 1.0, "won": won, "changed": float(one != other)}
    rule = "both orders" if one == other else "orders disagree"
    return Item(row.id, image, said, winner, None, statistics, rule, prompt=text)
