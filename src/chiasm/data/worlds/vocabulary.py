"""The closed vocabulary of the drawn world: what can be in a picture and how it is called."""

from __future__ import annotations

OBJECT_NAMES: tuple[str, ...] = (
    "airplane", "apple", "ball", "bicycle", "bird", "boat", "book", "bottle", "butterfly", "car", "cat", "chair",
    "clock", "crab", "cup", "dog", "fish", "flower", "guitar", "hat", "house", "key", "lamp", "moon", "mushroom",
    "phone", "rocket", "shoe", "sign", "star", "tree", "umbrella",
)  # fmt: skip

SCENE_NAMES: tuple[str, ...] = (
    "beach", "desk", "farm", "forest", "kitchen", "night sky", "snow", "street", "underwater",
)  # fmt: skip

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 24, 30),
    "orange": (255, 136, 0),
    "yellow": (255, 226, 40),
    "green": (28, 158, 54),
    "blue": (30, 80, 226),
    "purple": (128, 40, 178),
    "pink": (255, 132, 196),
    "white": (250, 250, 250),
}
"""Colour name -> RGB (0 to 255) of an object's main body."""

SIZES: dict[str, tuple[float, float]] = {
    "small": (15 / 96, 17 / 96),
    "medium": (22 / 96, 26 / 96),
    "large": (32 / 96, 38 / 96),
}
"""Size word -> range of an object's longer side, in picture sides. The gaps between them keep the words decidable."""

WORDS: tuple[str, ...] = (
    "go", "in", "no", "up", "bus", "hot", "out", "tea", "yes", "zoo",
    "cafe", "east", "exit", "hotel", "milk", "open", "pizza", "sale", "stop", "taxi",
)  # fmt: skip
"""What signs say. No object or scene is among them, so that a caption quoting a sign names nothing else."""

LONGEST_MEDIUM_WORD = 3
"""Letters that a medium sign can carry legibly at 96 pixels; small signs are blank."""

_IRREGULAR_PLURALS = {"butterfly": "butterflies", "fish": "fish"}
_SIBILANTS = ("s", "x", "z", "ch", "sh")
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six")


def plural(name: str) -> str:
    """The plural of an object name."""
    if name in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[name]
    return name + ("es" if name.endswith(_SIBILANTS) else "s")


def with_article(phrase: str) -> str:
    """`phrase` with its indefinite article."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


# Steps of 3 visit all 8 colours: every class lacks one colour, and every colour is missing from 4 of the 32 classes.
HELD_OUT: dict[str, str] = {
    name: tuple(COLORS)[(3 * position + 1) % len(COLORS)] for position, name in enumerate(OBJECT_NAMES)
}
"""Object name -> the one colour it has only in the compositional split."""
