"""COCO's average precision and recall of each category, for many weightings of the images at once.

Weights of one give the numbers of the images as they are; the counts of a bootstrap draw give those of the resampled
images, without matching anything again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

RECALLS = np.linspace(0, 1, 101)
_NUMBERS_AT_ONCE = 1_000_000
"""Of an array, so that the few that are worked on stay in a processor's cache."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of detections (D), by falling score, at each of T thresholds, and the objects (G) to find.

    `image` and `category` (D,); `true` (T, D) says which found an object and `counts` (T, D) which count at all. Of
    objects, `object_image` and `object_category` (G,).
    """

    image: np.ndarray
    category: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray


class Curves:
    """The curves of precision over recall of every category and threshold."""

    def __init__(self, outcome: Outcome, categories: int) -> None:
        # numpy sorts narrow integers ten times faster.
        order = np.argsort(outcome.category.astype(np.min_scalar_type(categories)), kind="stable")
        self._image, self._category = outcome.image[order], outcome.category[order]
        self._true, self._counts = (outcome.true & outcome.counts)[:, order], outcome.counts[:, order]
        by_category = np.argsort(outcome.object_category, kind="stable")
        self._object_image = outcome.object_image[by_category]
        self._object_edges = _edges(outcome.object_category[by_category], categories)
        self._categories = categories

    def averages(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Precision averaged over 101 levels of recall, and the recall itself: twice (T, categories, R), NaN in a
        category without objects.

        `weights` is (R, images): how often each image counts. The precision at a recall is the best at that recall or
        any higher one (Everingham et al. 2010; Lin et al. 2014).
        """
        precision = np.empty((len(self._true), self._categories, len(weights)))
        recall = np.empty_like(precision)
        for rows in self._blocks(weights):
            objects = self._objects(weights[rows])
            drawn = np.take(weights[rows], self._image, axis=1)
            for step, (true, counts) in enumerate(zip(self._true, self._counts, strict=True)):
                if step == 0 or not np.array_equal(counts, self._counts[step - 1]):
                    counting = np.flatnonzero(counts)
                    so_far = _running_sums(np.take(drawn, counting, axis=1))
                    starts = _edges(self._category[counting], self._categories)
                hits = np.flatnonzero(true)
                category = self._category[hits]
                edges = _edges(category, self._categories)
                found = _running_sums(np.take(drawn, hits, axis=1))
                all_so_far = np.take(so_far, np.searchsorted(counting, hits) + 1, axis=1)
                all_so_far -= np.take(so_far, starts[category], axis=1)
                found_so_far = found[:, 1:] - np.take(found, edges[category], axis=1)
                gained = _gained(found_so_far, all_so_far, np.take(objects, category, axis=1), category, edges)
                precision[step, :, rows] = np.where(objects > 0, _parts(gained, edges) / len(RECALLS), np.nan).T
                recall[step, :, rows] = share(_parts(found, edges), objects).T
        return precision, recall

    def recall(self, weights: np.ndarray) -> np.ndarray:
        """The second of `averages` alone."""
        recall = np.empty((len(self._true), self._categories, len(weights)))
        for rows in self._blocks(weights):
            objects = self._objects(weights[rows])
            for step, true in enumerate(self._true):
                found = _running_sums(np.take(weights[rows], self._image[true], axis=1))
                recall[step, :, rows] = share(_parts(found, _edges(self._category[true], self._categories)), objects).T
        return recall

    def _blocks(self, weights: np.ndarray) -> Iterator[slice]:
        rows = max(1, _NUMBERS_AT_ONCE // max(len(self._image), 1))
        return (slice(start, start + rows) for start in range(0, len(weights), rows))

    def _objects(self, weights: np.ndarray) -> np.ndarray:
        """How many there are to find: (R, categories)."""
        return _parts(_running_sums(np.take(weights, self._object_image, axis=1)), self._object_edges)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """NaN where `whole` is 0."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _gained(
    found_so_far: np.ndarray, all_so_far: np.ndarray, objects: np.ndarray, category: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Running sums along hits (R, H) of the precision at each level of recall, for all arguments by hit."""
    precision = found_so_far / np.maximum(all_so_far, 1)
    # From the last hit back in one pass over all categories, each raised above the one after it, so that the best
    # precision begins anew.
    raised = 2.0 * (len(edges) - category)
    precision += raised
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best -= raised
    recall = found_so_far / np.maximum(objects, 1)
    levels = np.minimum((recall * 100 + 1e-9).astype(np.int32), 100)
    levels += RECALLS[levels] <= recall  # as the backend rounds 29 of 100, say
    new_levels = np.diff(levels, axis=1, prepend=0)
    firsts = edges[:-1][np.diff(edges) > 0]
    new_levels[:, firsts] = levels[:, firsts]
    return _running_sums(best * new_levels)


def _edges(category: np.ndarray, categories: int) -> np.ndarray:
    """Where each category begins in a sorted column, and its end: (categories + 1,)."""
    return np.searchsorted(category, np.arange(categories + 1))


def _running_sums(rows: np.ndarray) -> np.ndarray:
    """Along each row, with a zero before them: (R, N + 1)."""
    sums = np.zeros((len(rows), rows.shape[1] + 1), dtype=np.result_type(rows, np.int32))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    return sums


def _parts(running: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The sum of each part of the rows: (R, parts)."""
    return np.diff(np.take(running, edges, axis=1), axis=1)
