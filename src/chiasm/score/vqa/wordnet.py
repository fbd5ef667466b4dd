"""The nouns of WordNet, read from the user's own copy: what Wu-Palmer similarity needs, and no more."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from chiasm.errors import DataError

_FILES = ("index.noun", "data.noun", "noun.exc")
# Princeton's detachment rules for nouns, morphy(7WN).
_ENDINGS = (
    ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
    ("ies", "y"),
)  # fmt: skip


def find_wordnet() -> WordNet | None:
    """WordNet from where it is usually installed: the folders of ``WNSEARCHDIR``, ``WNHOME`` and ``NLTK_DATA``, nltk's
    own folders, and Debian's package wordnet-base. None if it is nowhere."""
    return next((WordNet(path) for path in _usual_places() if path.is_file() or (path / "data.noun").is_file()), None)


class WordNet:
    """Noun senses, known by their place in ``data.noun``.

    `path` is a folder with ``index.noun``, ``data.noun`` and ``noun.exc``, or nltk's ``wordnet.zip`` of it. Raises
    DataError if they can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        index, self._data, exceptions = (_content(path, name) for name in _FILES)
        # The licence, at the start of the file, is indented.
        lines = (line.split(b" ", 1) for line in index.splitlines() if not line.startswith(b" "))
        self._index = {lemma.decode(): rest for lemma, rest in lines}
        self._irregular: dict[str, list[str]] = {}
        for line in exceptions.decode().splitlines():
            form, *lemmas = line.split()
            self._irregular.setdefault(form, []).extend(lemmas)
        self._similarity = cache(self._best_similarity)
        self._entry = cache(self._read_entry)
        self._distances = cache(self._walk_up)
        self._depths = cache(self._measure_depths)

    def similarity(self, a: str, b: str) -> float:
        """The highest Wu-Palmer similarity of a noun sense of `a` and one of `b`, in [0, 1]; 0 if either is no noun."""
        return self._similarity(*sorted((a, b)))

    def senses(self, word: str) -> list[int]:
        """The noun senses of a word or its base forms, the most frequent first."""
        return [sense for form in self._base_forms(word.lower()) for sense in self._senses_of(form)]

    def is_near(self, a: str, b: str) -> bool:
        """Whether two words or phrases share a noun sense, or a sense of one is right above a sense of the other."""
        ours, theirs = (set(self.senses(word.replace(" ", "_"))) for word in (a, b))
        above = [{parent for sense in senses for parent in self._entry(sense)[1]} for senses in (ours, theirs)]
        return bool(ours & theirs or ours & above[1] or theirs & above[0])

    def wu_palmer(self, a: int, b: int) -> float:
        """2 d / (distance a + distance b + 2 d) for the lowest common hypernym at depth d, the root's being 1.

        Wu and Palmer 1994. Where there are several lowest hypernyms or paths, as nltk chooses: lowest is by the
        shortest way to the root, depth by the longest, and the first by name wins.
        """
        above_a, above_b = self._distances(a), self._distances(b)
        common = above_a.keys() & above_b.keys()
        if not common:
            return 0.0
        lowest = max(self._depths(sense)[0] for sense in common)
        candidates = [sense for sense in common if self._depths(sense)[0] == lowest]
        subsumer = a if a in candidates else min(candidates, key=self._name)
        depth = self._depths(subsumer)[1] + 1
        return 2 * depth / (self._distance(a, subsumer) + self._distance(b, subsumer) + 2 * depth)

    def _best_similarity(self, a: str, b: str) -> float:
        return max((self.wu_palmer(x, y) for x in self.senses(a) for y in self.senses(b)), default=0.0)

    def _base_forms(self, word: str) -> list[str]:
        if word in self._irregular:
            forms = [word, *self._irregular[word]]
        else:
            forms = [word] + [word[: -len(old)] + new for old, new in _ENDINGS if word.endswith(old)]
        return [form for form in dict.fromkeys(forms) if form in self._index]

    def _senses_of(self, lemma: str) -> list[int]:
        fields = self._index[lemma].split()
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def _read_entry(self, sense: int) -> tuple[str, tuple[int, ...]]:
        """The first lemma of a sense and the senses right above it."""
        line = self._data[sense : self._data.index(b"\n", sense)]
        fields = line.split(b" | ")[0].split()
        pointers = fields[5 + 2 * int(fields[3], 16) :]
        above = [int(pointers[at + 1]) for at in range(0, len(pointers), 4) if pointers[at] in (b"@", b"@i")]
        return fields[4].decode().lower(), tuple(above)

    def _name(self, sense: int) -> str:
        lemma = self._entry(sense)[0]
        return f"{lemma}.n.{self._senses_of(lemma).index(sense) + 1:02d}"

    def _walk_up(self, sense: int) -> dict[int, int]:
        """Every sense above, itself among them, with the fewest steps to it."""
        found = {sense: 0}
        row = [sense]
        while row:
            row = [above for below in row for above in self._entry(below)[1] if above not in found]
            found |= dict.fromkeys(row, max(found.values()) + 1)
        return found

    def _distance(self, a: int, b: int) -> int:
        above_a, above_b = self._distances(a), self._distances(b)
        return min(above_a[sense] + above_b[sense] for sense in above_a.keys() & above_b.keys())

    def _measure_depths(self, sense: int) -> tuple[int, int]:
        """The number of steps to the root by the shortest way and by the longest."""
        above = [self._depths(parent) for parent in self._entry(sense)[1]]
        return (
            min((shortest + 1 for shortest, _ in above), default=0),
            max((longest + 1 for _, longest in above), default=0),
        )


def _usual_places() -> Iterator[Path]:
    if folder := os.environ.get("WNSEARCHDIR"):
        yield Path(folder)
    if folder := os.environ.get("WNHOME"):
        yield Path(folder, "dict")
    nltk = [folder for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder]
    nltk += [str(Path.home() / "nltk_data"), f"{sys.prefix}/nltk_data"]
    nltk += ["/usr/share/nltk_data", "/usr/local/share/nltk_data", "/usr/lib/nltk_data"]
    for folder in nltk:
        yield Path(folder, "corpora", "wordnet")
        yield Path(folder, "corpora", "wordnet.zip")
    yield Path("/usr/share/wordnet")


def _content(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"wordnet/{name}")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: WordNet's {name} can't be read: {error}") from None
