"""BLEU-1 to BLEU-4 (Papineni et al. 2002) as coco-caption computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.score.captioning.ngrams import ORDERS, Corpus, Counts, find

# coco-caption's smoothing, which keeps 0 / 0 defined and moves no reported digit of a corpus.
_TINY, _SMALL = 1e-15, 1e-9


@dataclass(frozen=True, slots=True)
class BleuCounts:
    """What BLEU is made of; sums over images give the corpus score.

    `correct` and `guessed` are (images, 4): clipped matches and n-grams of the hypothesis. `length` and
    `reference_length` are (images,): words of the hypothesis and of the reference closest in length, the shorter of two
    equally close.
    """

    correct: np.ndarray
    guessed: np.ndarray
    length: np.ndarray
    reference_length: np.ndarray

    def statistics(self, image: int) -> dict[str, float]:
        """The counts of one image, by name, as `bleu` wants them."""
        named = {f"correct_{n + 1}": float(self.correct[image, n]) for n in range(ORDERS)}
        named |= {f"guessed_{n + 1}": float(self.guessed[image, n]) for n in range(ORDERS)}
        return named | {
            "length": float(self.length[image]),
            "reference_length": float(self.reference_length[image]),
        }


def bleu_counts(corpus: Corpus, matches: Sequence[np.ndarray]) -> BleuCounts:
    """The counts from `clipped_matches` for n = 1 to 4."""
    length = corpus.lengths[: corpus.images]
    guessed = np.maximum(0, length[:, None] - np.arange(ORDERS))
    return BleuCounts(np.stack(matches, axis=1), guessed, length, _closest_lengths(corpus))


def bleu(sums: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """BLEU-n in [0, 1] of summed `BleuCounts.statistics`, each an array of one shape; the same shape comes back."""
    product = np.ones_like(np.asarray(sums["length"], dtype=np.float64))
    for k in range(1, n + 1):
        product = product * (sums[f"correct_{k}"] + _TINY) / (sums[f"guessed_{k}"] + _SMALL)
    ratio = (sums["length"] + _TINY) / (sums["reference_length"] + _SMALL)
    return product ** (1 / n) * np.exp(np.minimum(0.0, 1 - 1 / ratio))


def clipped_matches(hypotheses: Counts, references: Counts, corpus: Corpus) -> np.ndarray:
    """How many n-grams of one n each hypothesis shares with its references, none oftener than in one: (images,)."""
    different = 1 + max(int(hypotheses.ngram.max(initial=0)), int(references.ngram.max(initial=0)))
    key = corpus.image_of_reference[references.caption] * different + references.ngram
    order = np.argsort(key, kind="stable")
    distinct, start = np.unique(key[order], return_index=True)
    most = np.maximum.reduceat(references.count[order], start) if len(start) else references.count
    index, there = find(distinct, hypotheses.caption * different + hypotheses.ngram)
    matched = np.minimum(hypotheses.count[there], most[index[there]])
    return np.bincount(hypotheses.caption[there], weights=matched, minlength=corpus.images)


def _closest_lengths(corpus: Corpus) -> np.ndarray:
    if not corpus.images:
        return np.zeros(0, dtype=np.int64)
    reference = corpus.lengths[corpus.images :]
    far = np.abs(reference - corpus.lengths[corpus.image_of_reference])
    longest = int(reference.max()) + 1
    first = np.searchsorted(corpus.image_of_reference, np.arange(corpus.images))
    return np.minimum.reduceat(far * longest + reference, first) % longest
