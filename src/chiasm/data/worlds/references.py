"""Phrases that mean certain things in a picture, or nothing in it."""

from __future__ import annotations

from random import Random

from chiasm.data.worlds.facts import CLEARLY, CLEARLY_NOT, DIRECTIONS, Facts
from chiasm.data.worlds.questions import absent_of_kind
from chiasm.data.worlds.vocabulary import COLORS, HELD_OUT, plural

_EXTREMES = (("left of", "leftmost"), ("right of", "rightmost"), ("above", "topmost"), ("below", "lowest"))


def references(facts: Facts, rng: Random) -> list[tuple[str, tuple[int, ...]]]:
    """Phrases with the indices of the things they mean: one for every thing that can be singled out, one for every
    class, and two that nothing fits."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for index in range(len(facts.things)):
        phrases = _singling_out(facts, index)
        if phrases:
            found.append((rng.choice(phrases), (index,)))
    for name, number in facts.counts.items():
        many = plural(name)
        wordings = (name, f"the {name}") if number == 1 else (name, many, f"the {many}", f"all {many}")
        found.append((rng.choice(wordings), tuple(facts.matching(name))))

    variant = rng.choice(("random", "popular", "adversarial"))
    missing = rng.choice(absent_of_kind(facts, variant))
    found.append((rng.choice((missing, f"the {missing}", plural(missing))), ()))
    name = rng.choice(list(facts.counts))
    wrong = [c for c in COLORS if not facts.matching(name, c) and (facts.novel or c != HELD_OUT[name])]
    found.append((f"the {rng.choice(wrong)} {name}", ()))
    return found


def _singling_out(facts: Facts, index: int) -> list[str]:
    thing = facts.things[index]
    phrases = []
    if len(facts.matching(thing.name, thing.color)) == 1:
        phrases.append(f"the {thing.color} {thing.name}")
    if len(facts.matching(thing.name, "", thing.size)) == 1:
        phrases.append(f"the {thing.size} {thing.name}")
    if not phrases and len(facts.matching(thing.name, thing.color, thing.size)) == 1:
        phrases.append(f"the {thing.size} {thing.color} {thing.name}")
    twins = [other for other in facts.matching(thing.name) if other != index]
    if twins:
        phrases += [
            f"the {word} {thing.name}"
            for direction, word in _EXTREMES
            if all(facts.shift(index, direction, twin) >= CLEARLY for twin in twins)
        ]
    if thing.word:
        phrases.append(f"the sign that says {thing.word}")
        phrases = [p for p in phrases if not _same_word_elsewhere(facts, index) or thing.word not in p.split()]
    phrases += _beside_a_landmark(facts, index, twins)
    return phrases


def _same_word_elsewhere(facts: Facts, index: int) -> bool:
    return any(i != index and thing.word == facts.things[index].word for i, thing in enumerate(facts.things))


def _beside_a_landmark(facts: Facts, index: int, twins: list[int]) -> list[str]:
    """``the cup left of the book``, where the book is the only one and no other cup could be meant."""
    phrases = []
    for landmark, other in enumerate(facts.things):
        if facts.counts[other.name] > 1 or landmark == index:
            continue
        for direction in DIRECTIONS:
            if facts.shift(index, direction, landmark) >= CLEARLY and all(
                facts.shift(twin, direction, landmark) <= -CLEARLY_NOT for twin in twins
            ):
                phrases.append(f"the {facts.things[index].name} {direction} the {other.name}")
    # One such phrase among the others is enough; they would crowd out the simple ones.
    return phrases[:1]
