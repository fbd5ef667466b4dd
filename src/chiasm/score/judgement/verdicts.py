"""What a judge's words mean: a score on a scale, or which of two answers is better. Never a guess."""

from __future__ import annotations

import math
import re
from typing import Literal

from chiasm.data.chat.endpoint import Reply
from chiasm.errors import ParseError

Winner = Literal["A", "B", "tie"]

_NUMBER = r"(?P<number>[-+]?\d+(?:\.\d+)?)(?![.,]?\d|\s*(?:[-–]|to)\s*\d)(?:\s*(?:/|out of)\s*(?P<best>\d+(?:\.\d+)?))?"
_SCORE = re.compile(rf"\b(?:score|rating)\b\W*?(?:is\s+|of\s+)?\W*?{_NUMBER}", re.IGNORECASE)
_BARE = re.compile(rf"\W*?{_NUMBER}[^\w\n]*(?:\n|$)")
_WINNER = re.compile(r"\bwinner\b\W*?(?:is\s+)?\W*?(a|b|tie)\b", re.IGNORECASE)
_BARE_WINNER = re.compile(r"\W*(A|B|tie)\W*", re.IGNORECASE)


def parse_score(text: str, low: float, high: float) -> tuple[float, slice]:
    """The score in a reply and where in the text its number is.

    Accepted are "Score: 4", "rating is 4/5", and a reply whose first line is the number alone. Raises ParseError for no
    score, for different ones, for one outside [low, high] and for one out of another best than `high`.
    """
    found = list(_SCORE.finditer(text)) or [match for match in [_BARE.match(text)] if match]
    if not found:
        raise ParseError("no score")
    if len({(match["number"], match["best"]) for match in found}) > 1:
        raise ParseError("several different scores")
    value = float(found[0]["number"])
    if found[0]["best"] is not None and float(found[0]["best"]) != high:
        raise ParseError(f"a score out of {found[0]['best']}, where the best is {high:g}")
    if not low <= value <= high:
        raise ParseError(f"the score {value:g} is outside {low:g} to {high:g}")
    return value, slice(*found[0].span("number"))


def smoothed_score(reply: Reply, low: float, high: float) -> tuple[float, str]:
    """The score as its expectation under the token probabilities, and the rule that gave it.

    Where the number is one token, it is the mean of the numbers on the scale among that token's alternatives, weighed
    by their probabilities; where its digits are tokens of their own, each digit is replaced by such a mean (FLEUR, Lee
    et al. 2024, section 3.3). Without token probabilities the written score stays, rule "as written". Raises
    ParseError as `parse_score` does.
    """
    written, where = parse_score(reply.text, low, high)
    parts = _tokens_at(reply, where)
    if not parts:
        return written, "as written"
    if len(parts) == 1:
        mean = _expected(_by_number(parts[0][1]), low, high)
        return (written, "as written") if mean is None else (mean, "smoothed by token")
    number = reply.text[where]
    whole_digits = len(number.split(".")[0].lstrip("+-"))
    value, seen = 0.0, 0
    for token, top in parts:
        digits = token.strip()
        if digits == ".":
            continue
        if not re.fullmatch(r"\d", digits):
            return written, "as written"
        mean = _expected(_by_number(top), 0, 9)
        value += (float(digits) if mean is None else mean) * 10.0 ** (whole_digits - 1 - seen)
        seen += 1
    return min(max(value, low), high), "smoothed by digit"


def parse_winner(text: str) -> Winner:
    """The winner in "Winner: A", "the winner is B", or a reply that is nothing but A, B or tie.

    Raises ParseError for anything else.
    """
    found = {match[1].lower() for match in _WINNER.finditer(text)}
    if not found and (alone := _BARE_WINNER.fullmatch(text)):
        found = {alone[1].lower()}
    if len(found) != 1:
        raise ParseError("several different winners" if found else "no winner")
    return {"a": "A", "b": "B", "tie": "tie"}[found.pop()]  # type: ignore[return-value]


def _tokens_at(reply: Reply, where: slice) -> list[tuple[str, dict[str, float]]]:
    """The tokens that make up a part of the text; none where tokens and text or their borders don't fit."""
    if "".join(token for token, _ in reply.tokens) != reply.text:
        return []
    parts, start = [], 0
    for token, top in reply.tokens:
        end = start + len(token)
        if start < where.stop and end > where.start:
            parts.append((token, dict(top)))
        start = end
    joined = "".join(token for token, _ in parts).strip()
    return parts if joined == reply.text[where] else []


def _by_number(top: dict[str, float]) -> dict[float, float]:
    """Probabilities of the alternatives that are numbers, with and without a space before them taken together."""
    found: dict[float, float] = {}
    for token, logprob in top.items():
        if re.fullmatch(r"\d+(\.\d+)?", token.strip()):
            value = float(token)
            found[value] = found.get(value, 0.0) + math.exp(logprob)
    return found


def _expected(chances: dict[float, float], low: float, high: float) -> float | None:
    on_scale = {value: chance for value, chance in chances.items() if low <= value <= high}
    mass = sum(on_scale.values())
    return sum(value * chance for value, chance in on_scale.items()) / mass if mass > 0 else None
