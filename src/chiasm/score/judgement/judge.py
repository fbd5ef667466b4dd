"""A model as judge of answers: a score with a reason, in the manner of TouchStone and FLEUR."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chiasm.data.chat.endpoint import Ask, Reply, in_parallel, jpeg, user_message
from chiasm.data.images import open_image
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.score.bootstrap import summarise
from chiasm.score.judgement.verdicts import smoothed_score
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score
from chiasm.types import ImageSource

PROMPT = """You grade an answer about a picture.
{picture}
Question: {question}
{reference}Answer to grade: {answer}

Grade how correct, complete and helpful the answer is, from {low} (useless) to {high} (perfect). Claims about things \
that are not in the picture are errors. Reply with "Score: <number>" on the first line and your reason on the next."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to judge. The judge sees `picture`, anything that `open_image` takes, or reads `description`, what
    people wrote of it (TouchStone's way, for judges without eyes); at least one is needed. `ability` groups the
    results, `image` is what intervals are clustered by, the id where it is empty."""

    id: str
    question: str
    answer: str
    picture: ImageSource | None = None
    description: str | None = None
    reference: str | None = None
    ability: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Judging:
    """How to ask: the judge's `model` name, its scale, the prompt, and how many requests are under way at once.

    `decoding` goes into every request; the default asks for the likeliest words and for token probabilities, by which
    scores are smoothed. Model, prompt and decoding belong beside every number: they are the judge.
    """

    model: str
    low: int = 1
    high: int = 10
    prompt: str = PROMPT
    concurrency: int = 4
    decoding: Mapping[str, Any] = field(
        default_factory=lambda: {"temperature": 0, "seed": 0, "max_tokens": 300, "logprobs": True, "top_logprobs": 10}
    )

    def __post_init__(self) -> None:
        if self.low >= self.high or self.concurrency < 1:
            raise ConfigError(f"impossible scale {self.low} to {self.high} or concurrency {self.concurrency}")

    def request(self, text: str, picture: ImageSource | None) -> dict[str, Any]:
        """The body of a chat request; pictures travel upright, as JPEG. Raises ImageError for one that can't be
        opened."""
        pictures = [] if picture is None else [jpeg(open_image(picture))]
        return {"model": self.model, "messages": [user_message(text, pictures)], **self.decoding}

    def ask_all(self, ask: Ask, questions: Sequence[tuple[str, ImageSource | None]]) -> list[Reply]:
        """Replies to texts about pictures, in their order. A picture is opened when its turn comes, so that few are in
        memory at once; an error is raised when its turn comes, and stops those not yet begun."""
        return in_parallel(lambda question: ask(self.request(*question)), questions, self.concurrency)


def score_with_judge(ask: Ask, answers: Iterable[Judged], how: Judging) -> Score:
    """Mean judge score, for all and by ability. `ask` is an `Endpoint`, better a `CachedEndpoint` around one.

    A reply without a score on the scale is no score: it is left out of the mean, counted in `unparsed`, and a note
    gives the mean if all such answers had got the lowest or the highest score. An item's rule says how its score was
    read. Raises DataError for repeated ids and answers without picture and description, EndpointError as `ask` does.
    """
    rows = list(answers)
    names = [row.id for row in rows]
    if len(set(names)) < len(names):
        raise DataError(f"{len(names) - len(set(names))} ids of answers come more than once")
    texts = [_text(row, how) for row in rows]
    replies = how.ask_all(ask, [(text, row.picture) for text, row in zip(texts, rows, strict=True)])
    items = tuple(_item(*asked, how) for asked in zip(rows, texts, replies, strict=True))
    values = summarise(items, measures(items), slices=["ability"])
    return Score("judge", f"{how.model}, {how.low} to {how.high}", values, items, _notes(items, how))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_with_judge`; the judge's score is on its own scale."""
    return {
        "judge_score": ratio("score", "parsed", most=math.inf),
        "unparsed": Measure(lambda sums: 1 - sums["parsed"] / sums["answers"], "answers", "lower", is_share=True),
    }


def filled(prompt: str, fields: Mapping[str, str]) -> str:
    """`prompt` with each ``{name}`` replaced, whatever braces the replacements hold. Raises ConfigError for a name that
    the prompt lacks, since the judge would then not see that part."""
    for name in fields:
        if f"{{{name}}}" not in prompt:
            raise ConfigError(f"the judge's prompt has no {{{name}}}")
    # One pass, so that a name in braces inside an answer is not replaced in its turn.
    names = "|".join(map(re.escape, fields))
    return re.sub(rf"\{{({names})\}}", lambda found: fields[found[1]], prompt)


def _text(row: Judged, how: Judging) -> str:
    if row.picture is None and not row.description:
        raise DataError(f"{row.id!r} has neither picture nor description: the judge would grade blindly")
    fields = {
        "picture": f"What people wrote of the picture: {row.description}" if row.description else "",
        "question": row.question,
        "reference": f"Reference answer: {row.reference}\n" if row.reference else "",
        "answer": row.answer,
        "low": str(how.low),
        "high": str(how.high),
    }
    return filled(how.prompt, fields)


def _item(row: Judged, text: str, reply: Reply, how: Judging) -> Item:
    slices = {"ability": row.ability} if row.ability else {}
    image = row.image or row.id
    try:
        value, rule = smoothed_score(reply, how.low, how.high)
    except ParseError as error:
        statistics = {"answers": 1.0, "parsed": 0.0, "score": 0.0}
        return Item(row.id, image, reply.text, None, row.reference, statistics, "none", str(error), slices, text)
    statistics = {"answers": 1.0, "parsed": 1.0, "score": value}
    return Item(row.id, image, reply.text, value, row.reference, statistics, rule, None, slices, text)


def _notes(items: Sequence[Item], how: Judging) -> tuple[str, ...]:
    unparsed = sum(item.problem is not None for item in items)
    if not unparsed:
        return ()
    total = sum(item.statistics["score"] for item in items)
    low, high = ((total + unparsed * edge) / len(items) for edge in (how.low, how.high))
    return (
        f"{unparsed} of {len(items)} replies hold no score; with the lowest or highest score for all of them the mean "
        f"would be {low:.2f} or {high:.2f}.",
    )
