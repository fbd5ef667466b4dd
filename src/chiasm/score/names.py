"""Object names made comparable: one canonical name for "TV", "a television" and "television sets of the user's own".

With a closed vocabulary a name is only ever changed into a word of that vocabulary, so "glasses" stays "glasses" where
the dataset has such a class and becomes "glass" where it has that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("tv", "television", "tv monitor", "telly"),
    ("couch", "sofa", "settee"),
    ("cell phone", "mobile phone", "cellphone", "phone", "smartphone"),
    ("bicycle", "bike", "pushbike"),
    ("motorcycle", "motorbike"),
    ("airplane", "aeroplane", "plane", "aircraft"),
    ("refrigerator", "fridge"),
    ("dining table", "table"),
    ("potted plant", "houseplant", "plant"),
    ("donut", "doughnut"),
    ("hair drier", "hair dryer"),
    ("cup", "mug"),
    ("boat", "ship"),
)
"""Groups of names that mean the same; the first is the canonical one unless the vocabulary holds another."""

NARROWER: Mapping[str, tuple[str, ...]] = {
    "person": ("man", "woman", "boy", "girl", "child", "kid", "lady", "guy", "people"),
    "dog": ("puppy",),
    "cat": ("kitten",),
    "bird": ("pigeon", "seagull", "parrot"),
}
"""Names of a kind of something; used only where a closed vocabulary knows the wider name and not the narrower."""

_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "mice": "mouse", "geese": "goose",
    "feet": "foot", "teeth": "tooth", "oxen": "ox", "knives": "knife", "leaves": "leaf", "shelves": "shelf",
    "wolves": "wolf", "loaves": "loaf", "scarves": "scarf", "halves": "half", "lives": "life", "wives": "wife",
    "calves": "calf", "buses": "bus", "lenses": "lens", "gases": "gas",
}  # fmt: skip
_NO_SINGULAR = {"scissors", "pants", "jeans", "shorts", "series", "species", "gas", "lens", "tennis", "chess", "news"}
_IE_WORDS = {"movies", "cookies", "ties", "pies", "brownies", "selfies", "zombies", "birdies", "hoodies"}
_ARTICLES = {"a", "an", "the"}
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def singular(word: str) -> str:
    """The singular of an English noun in lower case; a word that looks singular is returned as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 2 or word in _NO_SINGULAR or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word in _IE_WORDS:
        return word[:-1]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "toes")):
        return word[:-2]
    return word[:-1]


class Names:
    """Canonical names over an optional closed vocabulary.

    `vocabulary` lists the dataset's object names; None accepts any name. `synonyms` are the user's own groups, each a
    sequence of names that mean the same; they go before the built-in ones.
    """

    def __init__(self, vocabulary: Iterable[str] | None = None, synonyms: Sequence[Sequence[str]] = ()) -> None:
        self.vocabulary: frozenset[str] | None = (
            None if vocabulary is None else frozenset(" ".join(_words(name)) for name in vocabulary)
        )
        self._canonical: dict[str, str] = {}
        known = self.vocabulary or frozenset()
        for group in [*SYNONYMS, *synonyms]:
            members = [" ".join(_words(name)) for name in group]
            target = next((name for name in members if name in known), members[0])
            self._canonical.update({name: target for name in members if name not in known})
        for wider, narrower in NARROWER.items():
            if wider in known:
                self._canonical.update({name: wider for name in narrower if name not in known})
        self._mentionable = {tuple(name.split()): name for name in known}
        self._mentionable |= {tuple(k.split()): v for k, v in self._canonical.items() if v in known}
        self._longest = max((len(words) for words in self._mentionable), default=0)

    def canonical(self, name: str) -> str:
        """Lower case, no article, singular head word, synonym replaced. "The TVs" -> "tv"."""
        words = _words(name)
        if len(words) > 1 and words[0] in _ARTICLES:
            words = words[1:]
        plain = " ".join(words)
        if self.vocabulary is not None and plain in self.vocabulary:
            return plain
        if plain in self._canonical:
            return self._canonical[plain]
        one = " ".join([*words[:-1], singular(words[-1])]) if words else ""
        return self._canonical.get(one, one)

    def mentions(self, text: str) -> list[str]:
        """Every mention of a name of the closed vocabulary in `text`, in order, canonical, longest name first.

        A caption "two dogs eat a hot dog" mentions ["dog", "hot dog"] when both are classes.
        """
        words = _words(text)
        found, position = [], 0
        while position < len(words):
            for length in range(min(self._longest, len(words) - position), 0, -1):
                piece = words[position : position + length]
                name = self._mentionable.get(tuple(piece)) or self._mentionable.get((*piece[:-1], singular(piece[-1])))
                if name is not None:
                    found.append(name)
                    position += length
                    break
            else:
                position += 1
        return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
