"""A second opinion on the drawn world's words: reads its sentences and judges them by the annotated boxes alone.

Written against `chiasm.types`, not against the generator, so that a mistake there has to be made twice to go unseen.
"""

import re

from chiasm.data.worlds.vocabulary import COLORS, OBJECT_NAMES, SIZES, plural
from chiasm.types import Example, Object, Question

CLEAR = 0.15
SINGULAR = {name: name for name in OBJECT_NAMES} | {plural(name): name for name in OBJECT_NAMES}
NUMBERS = {"a": 1, "an": 1, "another": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_NOUN = "|".join(sorted(SINGULAR, key=len, reverse=True))
_THING = rf"(?:(?:{'|'.join(SIZES)}) )?(?:(?:{'|'.join(COLORS)}) )?(?:{_NOUN})"
_RELATION = r"(?:to the )?(?P<relation>left of|right of)|(?P<other_relation>above|below|in front of|behind)"
PHRASE = re.compile(rf"\b(?P<number>{'|'.join(NUMBERS)}) (?P<thing>{_THING})\b")
RELATED = re.compile(
    rf"(?P<first>(?:a|an|another|the) {_THING}) (?:is )?(?:{_RELATION}) (?P<second>(?:a|an|another|the) {_THING})\b"
)


def nouns(text: str) -> list[str]:
    """The object classes that a text names, in order."""
    return [SINGULAR[word] for word in re.findall(rf"\b({_NOUN})\b", re.sub('"[^"]*"', "", text.lower()))]


def fitting(example: Example, phrase: str) -> list[Object]:
    """The objects that ``[the] [size] [color] name(s)`` fits."""
    words = phrase.lower().split()
    name = SINGULAR[words[-1]]
    found = [thing for thing in example.objects if thing.name == name]
    for word in words[:-1]:
        if word in COLORS:
            found = [thing for thing in found if thing.attributes["color"] == word]
        elif word in SIZES:
            found = [thing for thing in found if thing.attributes["size"] == word]
        else:
            assert word in {"the", "all", *NUMBERS}, f"unexpected word {word!r} in {phrase!r}"
    return found


def the_only(example: Example, phrase: str) -> Object:
    found = fitting(example, phrase)
    assert len(found) == 1, f"{phrase!r} fits {len(found)} objects in {example.id}"
    return found[0]


def lies(subject: Object, relation: str, other: Object, side: int) -> str:
    """ "yes" or "no" where the boxes leave no doubt, otherwise "unclear"."""
    if relation in ("in front of", "behind"):
        overlap_x = min(subject.box.x2, other.box.x2) - max(subject.box.x1, other.box.x1)
        overlap_y = min(subject.box.y2, other.box.y2) - max(subject.box.y1, other.box.y1)
        # What hides a part of another ends where the visible part begins, so touching is enough.
        if overlap_x < -1 or overlap_y < -1:
            return "unclear"
        return "yes" if (subject.depth < other.depth) == (relation == "in front of") else "no"
    axis = 0 if relation in ("left of", "right of") else 1
    difference = (other.box.center[axis] - subject.box.center[axis]) / side
    if relation in ("right of", "below"):
        difference = -difference
    return "yes" if difference >= CLEAR else "no" if difference <= -CLEAR else "unclear"


def relation_in(match: re.Match) -> str:
    return match["relation"] or match["other_relation"]


def answer(example: Example, question: Question) -> str:
    """The answer that follows from the annotated objects. Fails on a sentence it can't read."""
    text = question.text.rstrip("?.").lower()
    text = text.removesuffix(" in the picture") if question.kind == "spatial" else text
    return {
        "existence": _existence, "count": _count, "color": _color, "size": _size, "spatial": _spatial,
        "comparison": _comparison, "scene": lambda example, text: example.scene, "reading": _reading,
    }[question.kind](example, text)  # fmt: skip


def _existence(example: Example, text: str) -> str:
    (name,) = nouns(text)
    return "yes" if any(thing.name == name for thing in example.objects) else "no"


def _count(example: Example, text: str) -> str:
    phrase = re.search(rf"(?:many|the|of) ({_THING})\b", text)[1]
    return str(len(fitting(example, phrase)))


def _color(example: Example, text: str) -> str:
    check = re.fullmatch(rf"(?:is|does) (?:the color of )?(the {_THING}) (?:look )?({'|'.join(COLORS)})", text)
    if check:
        return "yes" if the_only(example, check[1]).attributes["color"] == check[2] else "no"
    return the_only(example, re.search(rf"the {_THING}\b", text)[0]).attributes["color"]


def _size(example: Example, text: str) -> str:
    return the_only(example, re.search(rf"the {_THING}\b", text)[0]).attributes["size"]


def _spatial(example: Example, text: str) -> str:
    side = example.image.shape[0]
    related = RELATED.search(text)
    if related:
        subject, other = the_only(example, related["first"]), the_only(example, related["second"])
        return lies(subject, relation_in(related), other, side)
    thing = the_only(example, re.search(rf"the {_THING}\b", text)[0])
    if re.search(r"\bor\b", text):
        axis, sides = (0, ("left", "right")) if "left" in text else (1, ("top", "bottom"))
        place = thing.box.center[axis] / side
        return sides[place > 0.5] if abs(place - 0.5) >= CLEAR else "unclear"
    relation = re.search(_RELATION, text)
    others = [other for other in example.objects if other is not thing]
    there = [other.name for other in others if lies(other, relation_in(relation), thing, side) == "yes"]
    return there[0] if len(there) == 1 else "unclear"


def _comparison(example: Example, text: str) -> str:
    more = re.search(rf"more ({_NOUN}) than ({_NOUN})", text)
    if more:
        first, second = (len(fitting(example, phrase)) for phrase in more.groups())
        return "unclear" if first == second else "yes" if first > second else "no"
    first, second = (the_only(example, phrase) for phrase in re.findall(rf"the {_THING}\b", text))
    order = list(SIZES)
    ranks = {thing.name: order.index(thing.attributes["size"]) for thing in (first, second)}
    assert len(set(ranks.values())) == 2, f"{text!r} in {example.id} compares things of one size"
    return (max if "bigger" in text else min)(ranks, key=ranks.get)


def _reading(example: Example, text: str) -> str:
    return the_only(example, re.search(rf"the {_THING}\b", text)[0]).attributes["text"]


def meant(example: Example, text: str) -> list[Object]:
    """The objects that a referring expression means."""
    side = example.image.shape[0]
    says = re.fullmatch(r"the sign that says (\w+)", text)
    if says:
        return [thing for thing in example.objects if thing.attributes.get("text") == says[1]]
    extreme = re.fullmatch(rf"the (leftmost|rightmost|topmost|lowest) ({_NOUN})", text)
    if extreme:
        relation = {"leftmost": "left of", "rightmost": "right of", "topmost": "above", "lowest": "below"}[extreme[1]]
        same = fitting(example, extreme[2])
        return [a for a in same if all(lies(a, relation, b, side) == "yes" for b in same if b is not a)]
    related = RELATED.fullmatch(text)
    if related:
        landmark = the_only(example, related["second"])
        candidates = fitting(example, related["first"])
        return [a for a in candidates if lies(a, relation_in(related), landmark, side) == "yes"]
    return fitting(example, text)
