"""CIDEr-D and CIDEr (Vedantam et al. 2015, arXiv:1411.5726), which papers mix up: coco-caption's "CIDEr" is CIDEr-D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.score.captioning.ngrams import ORDERS, Corpus, Counts, find

SIGMA = 6.0


@dataclass(frozen=True, slots=True)
class Cider:
    """Scores of every image, (images,), in [0, 10]; the corpus score is their mean.

    `cider_d` is what coco-caption prints as CIDEr: weights clipped to the reference's, and a Gaussian penalty on the
    difference in length. `cider` has neither.
    """

    cider_d: np.ndarray
    cider: np.ndarray


def cider(corpus: Corpus) -> Cider:
    """Both scores. Rarity of an n-gram is counted in the references of `corpus`, images as documents, so that a score
    depends on the images evaluated together: one image alone always scores 0. There is no stemming."""
    totals = np.zeros((2, len(corpus.image_of_reference)))
    for _, hypotheses, references in corpus.orders():
        totals += similarities(hypotheses, references, corpus)
    return cider_scores(corpus, totals)


def similarities(hypotheses: Counts, references: Counts, corpus: Corpus) -> np.ndarray:
    """For n-grams of one n, the cosine of every reference with its image's hypothesis: (2, references), the first with
    the hypothesis' weights clipped to the reference's."""
    image = corpus.image_of_reference
    idf = _rarity(hypotheses, references, corpus)
    said, written = hypotheses.count * idf[hypotheses.ngram], references.count * idf[references.ngram]
    norm = _norms(hypotheses, said, corpus.images)[image] * _norms(references, written, len(image))
    index, there = find(
        hypotheses.caption * len(idf) + hypotheses.ngram, image[references.caption] * len(idf) + references.ngram
    )
    ours, theirs, caption = said[index[there]], written[there], references.caption[there]
    products = [
        np.bincount(caption, weights=weight * theirs, minlength=len(image))
        for weight in (np.minimum(ours, theirs), ours)
    ]
    return np.divide(products, norm, out=np.zeros((2, len(image))), where=norm > 0)


def cider_scores(corpus: Corpus, totals: np.ndarray) -> Cider:
    """The scores from `similarities` summed over n = 1 to 4."""
    image = corpus.image_of_reference
    clipped, plain = totals
    # The official code counts bigrams for length.
    bigrams = np.maximum(0, corpus.lengths - 1)
    difference = bigrams[image] - bigrams[corpus.images :]
    clipped = clipped * np.exp(-(difference**2) / (2 * SIGMA**2))
    references_per_image = np.bincount(image, minlength=corpus.images)
    means = [
        10 * np.bincount(image, weights=total, minlength=corpus.images) / references_per_image / ORDERS
        for total in (clipped, plain)
    ]
    return Cider(*means)


def _rarity(hypotheses: Counts, references: Counts, corpus: Corpus) -> np.ndarray:
    """log(images) - log(images with the n-gram in a reference) of every n-gram."""
    different = 1 + max(int(hypotheses.ngram.max(initial=0)), int(references.ngram.max(initial=0)))
    # Sorted and compared with the next: numpy's own `unique` hashes, ten times as long for millions.
    pairs = np.sort(corpus.image_of_reference[references.caption] * different + references.ngram)
    pairs = pairs[np.flatnonzero(np.diff(pairs, append=-1))]
    images = np.bincount(pairs % different, minlength=different)
    return np.log(max(corpus.images, 1)) - np.log(np.maximum(images, 1))


def _norms(counts: Counts, weights: np.ndarray, captions: int) -> np.ndarray:
    return np.sqrt(np.bincount(counts.caption, weights=weights**2, minlength=captions))
