"""N-grams of many captions as numbers: every order counted for all captions at once, in arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

ORDERS = 4


@dataclass(frozen=True, slots=True)
class Counts:
    """N-grams of one order, sorted by caption, then n-gram: three arrays of shape (entries,).

    `caption` indexes the captions counted, `ngram` numbers distinct n-grams from 0, `count` is how often that caption
    has it.
    """

    caption: np.ndarray
    ngram: np.ndarray
    count: np.ndarray

    def of(self, start: int, stop: int) -> Counts:
        """The entries of captions `start` to `stop`, renumbered from 0."""
        first, last = np.searchsorted(self.caption, [start, stop])
        return Counts(self.caption[first:last] - start, self.ngram[first:last], self.count[first:last])


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokenised captions: one hypothesis an image and, image after image, its references.

    `lengths` is (images + references,), words a caption, hypotheses first. `words` holds all their words as numbers, in
    one array. `image_of_reference` is (references,), ascending.
    """

    images: int
    image_of_reference: np.ndarray
    words: np.ndarray
    lengths: np.ndarray

    @staticmethod
    def of(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Corpus:
        """From tokenised lines. Raises ValueError for lists of different length or an image without reference."""
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses but references for {len(references)} images")
        per_image = np.array([len(lines) for lines in references], dtype=np.int64)
        if not per_image.all():
            raise ValueError(f"image {int(np.argmin(per_image))} has no reference")
        number: dict[str, int] = {}
        words, lengths = array("q"), []
        for line in (*hypotheses, *(line for lines in references for line in lines)):
            before = len(words)
            words.extend([number.setdefault(word, len(number)) for word in line.split()])
            lengths.append(len(words) - before)
        return Corpus(
            images=len(hypotheses),
            image_of_reference=np.repeat(np.arange(len(per_image)), per_image),
            words=np.frombuffer(words, dtype=np.int64),
            lengths=np.array(lengths, dtype=np.int64),
        )

    def orders(self) -> Iterator[tuple[int, Counts, Counts]]:
        """For n = 1 to 4: n, the counts of the hypotheses and those of the references, numbered alike."""
        caption = np.repeat(np.arange(len(self.lengths)), self.lengths)
        different_words = int(self.words.max(initial=0)) + 1
        start = np.arange(len(self.words))
        ngram = self.words
        for n in range(1, ORDERS + 1):
            if n > 1:
                # An n-gram is the (n-1)-gram that starts with it plus one word, if that word is of the same caption.
                whole = np.flatnonzero(start + n - 1 < len(caption))
                whole = whole[caption[start[whole]] == caption[start[whole] + n - 1]]
                start = start[whole]
                ngram = np.unique(ngram[whole] * different_words + self.words[start + n - 1], return_inverse=True)[1]
            counts = _count(caption[start], ngram)
            yield n, counts.of(0, self.images), counts.of(self.images, len(self.lengths))


def _count(caption: np.ndarray, ngram: np.ndarray) -> Counts:
    different = int(ngram.max(initial=0)) + 1
    key, count = np.unique(caption * different + ngram, return_counts=True)
    return Counts(key // different, key % different, count)


def find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `wanted` is in the ascending `keys`: (index, whether it is there), both shaped as `wanted`."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return index, keys[index] == wanted
