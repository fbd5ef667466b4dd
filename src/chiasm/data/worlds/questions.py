"""Questions with one clear answer each, of eight kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from chiasm.data.worlds.captions import spoken
from chiasm.data.worlds.facts import CLEARLY, CLEARLY_NOT, DIRECTIONS, OPPOSITE, Facts
from chiasm.data.worlds.places import company, popularity
from chiasm.data.worlds.vocabulary import COLORS, HELD_OUT, SIZES, plural, with_article

_YES_NO = ("yes", "no")
_POPULAR = 6
_ADVERSARIAL = 5

_EXISTENCE = (
    "Is there {a} in the picture?", "Is there {a}?", "Can you see {a}?", "Are there any {many}?",
    "Do you see any {many} here?", "Does the picture show {a}?",
)  # fmt: skip
_COUNT = (
    "How many {many} are there?", "How many {many} can you see?", "How many {many} are in the picture?",
    "Count the {many}.", "What is the number of {many}?",
)  # fmt: skip
_COLOR = (
    "What color is {the}?", "What colour is {the}?", "Which color does {the} have?", "What is the color of {the}?",
)  # fmt: skip
_COLOR_CHECK = ("Is {the} {color}?", "Is the color of {the} {color}?", "Does {the} look {color}?")
_SIZE = ("How big is {the}?", "What size is {the}?", "How large is {the}?")
_SIZE_CHOICE = "Is {the} small, medium or large?"
_SPATIAL_CHECK = (
    "Is {the} {relation} {other}?", "Is {the} {relation} {other} in the picture?",
    "Do you see {the} {relation} {other}?",
)  # fmt: skip
_SPATIAL_OPEN = ("What is {relation} {the}?", "Which object is {relation} {the}?", "What can you see {relation} {the}?")
_HALVES = (
    (0, ("left", "right"), ("Is {the} on the left or on the right?", "On which side is {the}, left or right?",
                            "Is {the} in the left or the right half of the picture?")),
    (1, ("top", "bottom"), ("Is {the} at the top or at the bottom?", "Where is {the}, at the top or at the bottom?",
                            "Is {the} in the top or the bottom half of the picture?")),
)  # fmt: skip
_BIGGER = (
    "Which is {word}, {first} or {second}?", "What is {word}, {first} or {second}?",
    "Which one is {word}: {first} or {second}?",
)  # fmt: skip
_MORE = ("Are there more {first} than {second}?", "Do you see more {first} than {second}?",
         "Does the picture show more {first} than {second}?")  # fmt: skip
_SCENE = (
    "What kind of place is this?", "What place is this?", "Where is this?", "What is the scene?",
    "Which kind of scene does the picture show?", "Where was this picture taken?",
)  # fmt: skip
_READING = (
    "What does {the} say?", "What is written on {the}?", "Which word is on {the}?", "What is the text on {the}?",
)  # fmt: skip


class Draft(NamedTuple):
    """A question without its id; `about` as in `chiasm.types.Question`."""

    kind: str
    text: str
    answer: str
    variant: str = ""
    choices: tuple[str, ...] = ()
    about: tuple[int, ...] = ()


def questions(facts: Facts, rng: Random) -> list[Draft]:
    """About a dozen questions, every kind that the picture allows. Where there is a choice, things of a novel
    (class, colour) pair are asked about first."""
    asked: list[Draft] = []
    for ask in _KINDS:
        asked.extend(ask(facts, rng))
    return asked


def absent_of_kind(facts: Facts, variant: str) -> tuple[str, ...]:
    """The absent classes that a negative of POPE's `variant` (random, popular, adversarial) is drawn from."""
    if variant == "popular":
        shares = popularity()
        return tuple(sorted(facts.absent, key=lambda name: -shares[name])[:_POPULAR])
    if variant == "adversarial":
        tables = [company(name) for name in facts.counts]
        return tuple(sorted(facts.absent, key=lambda name: -sum(table[name] for table in tables))[:_ADVERSARIAL])
    return facts.absent


def _novel_first(facts: Facts, indices: Iterable[int], rng: Random) -> list[int]:
    shuffled = list(indices)
    rng.shuffle(shuffled)
    novel = facts.novel
    return sorted(shuffled, key=lambda index: index not in novel)


def _describable(facts: Facts, rng: Random, skipping_color: bool = False) -> list[tuple[int, str]]:
    """Things that a phrase singles out, with the phrase, novel ones first."""
    found = []
    for index in _novel_first(facts, range(len(facts.things)), rng):
        thing, phrase = facts.things[index], facts.definite(index)
        if phrase and not (skipping_color and thing.color in phrase.split()):
            found.append((index, phrase))
    return found


def _ask_existence(facts: Facts, rng: Random) -> Iterator[Draft]:
    variants = rng.sample(("random", "popular", "adversarial"), 2)
    present = list(facts.counts)
    for variant, there in zip(variants, rng.sample(present, min(2, len(present))), strict=False):
        missing = rng.choice(absent_of_kind(facts, variant))
        for name, answer in ((there, "yes"), (missing, "no")):
            text = rng.choice(_EXISTENCE).format(a=with_article(name), many=plural(name))
            yield Draft("existence", text, answer, variant, _YES_NO, tuple(facts.matching(name)))


def _ask_count(facts: Facts, rng: Random) -> Iterator[Draft]:
    most = max(facts.counts.values())
    first = rng.choice([name for name, number in facts.counts.items() if number == most])
    others = [name for name in facts.counts if name != first]
    second = rng.choice(others) if others and rng.random() < 0.55 else rng.choice(absent_of_kind(facts, "adversarial"))
    for name in (first, second):
        color = rng.choice([thing.color for thing in facts.things if thing.name == name] or [""])
        if rng.random() < 0.7:
            color = ""
        many = f"{color} {plural(name)}" if color else plural(name)
        number = len(facts.matching(name, color))
        yield Draft("count", rng.choice(_COUNT).format(many=many), str(number))


def _ask_color(facts: Facts, rng: Random) -> Iterator[Draft]:
    found = _describable(facts, rng, skipping_color=True)
    for index, phrase in found[:2]:
        yield Draft("color", rng.choice(_COLOR).format(the=phrase), facts.things[index].color, about=(index,))
    if found:
        # Where a picture shows a novel pair, the check is about that one too: the habit would say no.
        index, phrase = found[0] if facts.novel else rng.choice(found)
        thing = facts.things[index]
        color, answer = thing.color, "yes"
        if rng.random() < 0.5:
            wrong = [c for c in COLORS if c != thing.color and (facts.novel or c != HELD_OUT[thing.name])]
            elsewhere = [other.color for other in facts.things if other.color in wrong]
            color, answer = rng.choice(elsewhere if elsewhere and rng.random() < 0.5 else wrong), "no"
        text = rng.choice(_COLOR_CHECK).format(the=phrase, color=color)
        yield Draft("color", text, answer, "check", _YES_NO, (index,))


def _ask_size(facts: Facts, rng: Random) -> Iterator[Draft]:
    for index, phrase in _describable(facts, rng):
        thing = facts.things[index]
        if thing.size in phrase.split() or index not in facts.unhidden:
            continue
        if rng.random() < 0.25:
            yield Draft("size", _SIZE_CHOICE.format(the=phrase), thing.size, "", tuple(SIZES), (index,))
        else:
            yield Draft("size", rng.choice(_SIZE).format(the=phrase), thing.size, about=(index,))
        return


def _ask_spatial(facts: Facts, rng: Random) -> Iterator[Draft]:
    phrases = dict(_describable(facts, rng))
    clear = [r for r in facts.relations if r.subject in phrases and r.object in phrases]
    if clear:
        involved = [r for r in clear if facts.novel & {r.subject, r.object}]
        relation = rng.choice(involved or clear)
        truth = rng.random() < 0.5
        predicate = relation.predicate if truth else OPPOSITE[relation.predicate]
        text = rng.choice(_SPATIAL_CHECK).format(
            the=phrases[relation.subject], relation=spoken(predicate, rng), other=phrases[relation.object]
        )
        yield Draft("spatial", text, "yes" if truth else "no", "check", _YES_NO)

    open_ones = list(_only_neighbours(facts, phrases))
    if open_ones:
        involved_ones = [o for o in open_ones if facts.novel & {o[0], o[2]}]
        index, direction, neighbour = rng.choice(involved_ones or open_ones)
        text = rng.choice(_SPATIAL_OPEN).format(the=phrases[index], relation=spoken(direction, rng))
        yield Draft("spatial", text, facts.things[neighbour].name, "object")

    for index, phrase in phrases.items():
        sides = [half for half in _HALVES if abs(facts.middles[index][half[0]] - 0.5) >= CLEARLY]
        if sides:
            axis, words, templates = rng.choice(sides)
            answer = words[facts.middles[index][axis] > 0.5]
            yield Draft("spatial", rng.choice(templates).format(the=phrase), answer, "half", words, (index,))
            return


def _only_neighbours(facts: Facts, phrases: dict[int, str]) -> Iterator[tuple[int, str, int]]:
    """(thing, direction, the one thing that lies there): all the others lie clearly elsewhere."""
    everything = range(len(facts.things))
    for index in phrases:
        for direction in DIRECTIONS:
            shifts = {other: facts.shift(other, direction, index) for other in everything if other != index}
            there = [other for other, shift in shifts.items() if shift > -CLEARLY_NOT]
            if len(there) != 1 or shifts[there[0]] < CLEARLY:
                continue
            if facts.things[there[0]].name != facts.things[index].name:
                yield index, direction, there[0]


def _ask_comparison(facts: Facts, rng: Random) -> Iterator[Draft]:
    order = list(SIZES)
    found = [(index, phrase) for index, phrase in _describable(facts, rng) if index in facts.unhidden]
    pairs = [
        ((a, first), (b, second))
        for a, first in found
        for b, second in found
        if facts.things[a].name != facts.things[b].name
        and order.index(facts.things[a].size) > order.index(facts.things[b].size)
        and not {facts.things[a].size, facts.things[b].size} & {*first.split(), *second.split()}
    ]
    if pairs:
        bigger, smaller = rng.choice(pairs)
        word, answer = rng.choice((("bigger", bigger), ("smaller", smaller)))
        (_, first), (_, second) = rng.sample((bigger, smaller), 2)
        text = rng.choice(_BIGGER).format(word=word, first=first, second=second)
        choices = tuple(phrase.split()[-1] for phrase in (first, second))
        yield Draft("comparison", text, facts.things[answer[0]].name, "size", choices)

    present = list(facts.counts)
    unequal = [(a, b) for a in present for b in present if facts.counts[a] > facts.counts[b]]
    if unequal:
        more, fewer = rng.choice(unequal)
    elif rng.random() < 0.4:
        more, fewer = rng.choice(present), rng.choice(absent_of_kind(facts, "adversarial"))
    else:
        return
    truth = rng.random() < 0.5
    one, two = (more, fewer) if truth else (fewer, more)
    text = rng.choice(_MORE).format(first=plural(one), second=plural(two))
    yield Draft("comparison", text, "yes" if truth else "no", "count", _YES_NO)


def _ask_scene(facts: Facts, rng: Random) -> Iterator[Draft]:
    yield Draft("scene", rng.choice(_SCENE), facts.scene)


def _ask_reading(facts: Facts, rng: Random) -> Iterator[Draft]:
    for index, phrase in _describable(facts, rng):
        if facts.things[index].word:
            yield Draft("reading", rng.choice(_READING).format(the=phrase), facts.things[index].word, about=(index,))


_KINDS: Sequence[Callable[[Facts, Random], Iterator[Draft]]] = (
    _ask_existence, _ask_count, _ask_color, _ask_size, _ask_spatial, _ask_comparison, _ask_scene, _ask_reading,
)  # fmt: skip
