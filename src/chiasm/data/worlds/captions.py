"""Sentences about a picture."""

from __future__ import annotations

from collections import Counter
from random import Random

from chiasm.data.worlds.facts import Facts
from chiasm.data.worlds.vocabulary import NUMBER_WORDS, plural, with_article

_WHERE = {
    "beach": "on a beach", "desk": "on a desk", "farm": "on a farm", "forest": "in a forest",
    "kitchen": "in a kitchen", "night sky": "in the night sky", "snow": "in the snow", "street": "on a street",
    "underwater": "under water",
}  # fmt: skip
_PLACE = {
    "beach": "a beach", "desk": "a desk", "farm": "a farm", "forest": "a forest", "kitchen": "a kitchen",
    "night sky": "the night sky", "snow": "a snowy landscape", "street": "a street",
    "underwater": "an underwater scene",
}  # fmt: skip

_COMPLETE = (
    "{things} {where}.",
    "{place} with {things}.",
    "there {verb} {things} {where}.",
    "a picture of {things} {where}.",
    "{where} there {verb} {things}.",
    "this is {place} with {things}.",
)
_RELATED = (
    "{subject} {relation} {other}.",
    "{subject} {relation} {other} {where}.",
    "{subject} is {relation} {other}.",
    "{place} where {subject} is {relation} {other}.",
    "{where}, {subject} is {relation} {other}.",
)
_BRIEF = (
    "{place} with {things}.",
    "{things} {where}.",
    "we see {things} {where}.",
    "a drawing of {place} showing {things}.",
)
_DETAIL = (
    "{thing} {where}.",
    "a picture of {place} with {thing}.",
    "there is {thing} {where}.",
    "{place} with {thing} in it.",
)
_QUOTED = (
    '{sign} that says "{word}" {where}.',
    '{place} with {sign} saying "{word}".',
    'there is {sign} with the word "{word}" {where}.',
)


def listed(parts: list[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(name: str, number: int, color: str = "") -> str:
    """``two red cups``, ``an apple``."""
    adjective = f"{color} " if color else ""
    return with_article(adjective + name) if number == 1 else f"{NUMBER_WORDS[number]} {adjective}{plural(name)}"


def spoken(relation: str, rng: Random) -> str:
    """A relation in one of its wordings."""
    return f"to the {relation}" if relation in ("left of", "right of") and rng.random() < 0.5 else relation


def captions(facts: Facts, rng: Random) -> tuple[str, ...]:
    """Three true sentences: everything there is, a relation or a detail, and a brief one."""
    where, place = _WHERE[facts.scene], _PLACE[facts.scene]
    groups = list(Counter((thing.name, thing.color) for thing in facts.things).items())
    rng.shuffle(groups)
    things = listed([counted(name, number, color) for (name, color), number in groups])
    verb = "is" if groups[0][1] == 1 else "are"
    written = [rng.choice(_COMPLETE).format(things=things, where=where, place=place, verb=verb)]

    if facts.relations and rng.random() < 0.75:
        relation = rng.choice(facts.relations)
        first, second = facts.things[relation.subject], facts.things[relation.object]
        subject, other = counted(first.name, 1, first.color), counted(second.name, 1, second.color)
        if subject == other:
            other = other.replace("an " if other.startswith("an ") else "a ", "another ", 1)
        phrase, text = spoken(relation.predicate, rng), rng.choice(_RELATED)
        written.append(text.format(subject=subject, relation=phrase, other=other, where=where, place=place))
    else:
        thing = rng.choice(facts.things)
        detail = with_article(f"{thing.size} {thing.color} {thing.name}")
        written.append(rng.choice(_DETAIL).format(thing=detail, where=where, place=place))

    signs = [thing for thing in facts.things if thing.word]
    if signs and rng.random() < 0.5:
        sign = rng.choice(signs)
        text = rng.choice(_QUOTED)
        written.append(text.format(sign=counted("sign", 1, sign.color), word=sign.word, where=where, place=place))
    else:
        kinds = list(facts.counts.items())
        rng.shuffle(kinds)
        things = listed([counted(name, number) for name, number in kinds])
        written.append(rng.choice(_BRIEF).format(things=things, where=where, place=place))
    return tuple(sentence[0].upper() + sentence[1:] for sentence in written)
