"""CHAIR (Rohrbach et al. 2018, arXiv:1809.02156): objects that captions mention and the picture does not have.

The original's rules (singular words, double words, "baby bear" is no person, truth is what is annotated or mentioned in
a reference) over a vocabulary that is the user's or our own for COCO. Rates depend on the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chiasm.data.records import id_text, paired, read_json
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.captioning.coco_words import ANIMALS, COCO_WORDS, NOT_OBJECTS, VEHICLES
from chiasm.score.captioning.formats import read_candidates, read_references
from chiasm.score.measure import Measure, share
from chiasm.score.names import singular
from chiasm.score.result import Item, Score

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


class Vocabulary:
    """Finds mentions of classes in captions. `words` maps a class to its other names; a name may be several words."""

    def __init__(self, words: Mapping[str, Sequence[str]] = COCO_WORDS) -> None:
        self.classes = frozenset(words)
        self._phrases: dict[tuple[str, ...], str | None] = {_singular(phrase): None for phrase in NOT_OBJECTS}
        for name, others in words.items():
            self._phrases |= {_singular(phrase): name for phrase in (name, *others)}
        for kind, prefixes in ((ANIMALS, ("baby", "adult")), (VEHICLES, ("passenger",))):
            for word in kind:
                meant = self._phrases.get((word,))
                self._phrases |= {(prefix, word): meant for prefix in prefixes}
        self._longest = max(map(len, self._phrases))

    def mentions(self, caption: str) -> list[str]:
        """The class of every mention, in order, longest phrase first: "a hot dog and two dogs" -> hot dog, dog."""
        return [name for name, _, _ in self.spans(caption)]

    def spans(self, caption: str) -> list[tuple[str, int, int]]:
        """Every mention with the characters from which and to which it goes."""
        found = [*_WORD.finditer(caption.lower())]
        words, position = tuple(_singular_word(word[0]) for word in found), 0
        phrases = self._phrases
        if "toilet" in words:  # its seat is no chair, wherever the caption mentions it
            phrases = phrases | {("seat",): None}
        spans = []
        while position < len(words):
            for length in range(min(self._longest, len(words) - position), 0, -1):
                phrase = words[position : position + length]
                if phrase in phrases:
                    name = phrases[phrase]
                    start, end = found[position].start(), found[position + length - 1].end()
                    spans += [] if name is None else [(name, start, end)]
                    position += length
                    break
            else:
                position += 1
        return spans


def score_chair(
    instances_path: Path | str,
    predictions_path: Path | str,
    references_path: Path | str | None = None,
    *,
    words: Mapping[str, Sequence[str]] = COCO_WORDS,
    missing: Literal["error", "wrong"] = "error",
) -> Score:
    """`chair_i` (hallucinated of all mentions), `chair_s` (captions with any), `recall` (true objects mentioned), and
    `hallucinated_per_100_words`, by which long captions can be held beside short ones.

    `instances_path` is a COCO instances file, `references_path` captions of the same images, whose mentions count as
    true too. Raises DataError for unreadable files, ids that do not fit and classes that `words` lacks. With
    ``missing="wrong"`` a missing caption mentions nothing.
    """
    vocabulary = Vocabulary(words)
    truth = _annotated(instances_path, vocabulary)
    candidates = read_candidates(predictions_path)
    paired(truth, candidates, instances_path, predictions_path, missing)
    references = {} if references_path is None else read_references(references_path)
    items = tuple(
        chair_item(name, candidates.get(name), objects, references.get(name, ()), vocabulary)
        for name, objects in truth.items()
    )
    notes = ["An object is true if it is annotated" + (" or a reference mentions it." if references else ".")]
    absent = sum(item.problem is not None for item in items)
    if absent:
        notes.append(f"{absent} of {len(items)} images have no caption.")
    return Score("chair", "own COCO words" if words is COCO_WORDS else "user's words",
                 summarise(items, measures(items)), items, tuple(notes))  # fmt: skip


def chair_item(
    image: str, caption: str | None, objects: Iterable[str], references: Sequence[str], vocabulary: Vocabulary
) -> Item:
    """One caption against the class names in its picture; None for a caption that is missing."""
    truth = set(objects) | {name for reference in references for name in vocabulary.mentions(reference)}
    mentioned = vocabulary.mentions(caption or "")
    hallucinated = [name for name in mentioned if name not in truth]
    return Item(
        id=image,
        image=image,
        prediction=caption,
        parsed=mentioned,
        truth=sorted(truth),
        statistics={
            "mentions": len(mentioned),
            "hallucinated": len(hallucinated),
            "captions": 1.0,
            "captions_hallucinating": float(bool(hallucinated)),
            "objects": len(truth),
            "recalled": len(truth & set(mentioned)),
            "words": len(_WORD.findall(caption or "")),
        },
        rule="CHAIR mentions",
        problem="no caption" if caption is None else None,
    )


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_chair`."""
    return {
        "chair_i": share("hallucinated", "mentions", "lower"),
        "chair_s": share("captions_hallucinating", "captions", "lower"),
        "recall": share("recalled", "objects"),
        "hallucinated_per_100_words": Measure(
            lambda sums: 100 * sums["hallucinated"] / sums["words"], "words", "lower", 100
        ),
    }


def read_words(path: Path | str) -> dict[str, list[str]]:
    """A vocabulary for `score_chair` from JSON ``{class: [other names]}``. Raises DataError for anything else."""
    words = read_json(path, unique_keys=True)
    if not isinstance(words, dict) or not words:
        raise DataError(f"{path}: expected {{class: [other names]}}, found {words!r:.60}")
    for name, others in words.items():
        if not isinstance(others, list) or not all(isinstance(other, str) and other.strip() for other in others):
            raise DataError(f"{path}: class {name!r} needs a list of its other names, found {others!r:.60}")
    return words


def _singular(text: str) -> tuple[str, ...]:
    return tuple(_singular_word(word) for word in _WORD.findall(text.lower()))


def _singular_word(word: str) -> str:
    return singular(word.removesuffix("'s").removesuffix("’s"))


def _annotated(path: Path | str, vocabulary: Vocabulary) -> dict[str, set[str]]:
    content: Any = read_json(path)
    absent = {"images", "categories", "annotations"} - (content.keys() if isinstance(content, dict) else set())
    if absent:
        what = "a list" if isinstance(content, list) else f"an object without {', '.join(sorted(absent))}"
        raise DataError(f"{path}: expected a COCO instances file (images, categories, annotations), found {what}")
    try:
        names = {row["id"]: row["name"] for row in content["categories"]}
        unknown = sorted(set(names.values()) - vocabulary.classes)
        if unknown:
            raise DataError(f"{path}: no words for {len(unknown)} classes, first {unknown[0]!r}; give `words`")
        found: dict[str, set[str]] = {id_text(row["id"]): set() for row in content["images"]}
        for row in content["annotations"]:
            found[id_text(row["image_id"])].add(names[row["category_id"]])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: an entry of this COCO instances file can't be read: {error!r}") from None
    return found
