"""Cosine similarities for generated and edited pictures, from embeddings somebody else's network gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import Measure, means
from chiasm.score.result import Item, Score


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row cosine of (n, d) and (n, d): (n,) in [-1, 1].

    CLIP-T is that of pictures and their texts, CLIP-I that of generated and reference pictures. Raises DataError for
    different shapes and for rows of length 0 or with values that are not finite, which have no direction.
    """
    a, b = _rows(a, b)
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    for length in lengths:
        bad = np.flatnonzero(~((length > 0) & np.isfinite(length)))
        if len(bad):
            raise DataError(f"{len(bad)} embeddings are all zeros or not finite, the first is row {bad[0]}")
    return (a * b).sum(axis=1) / (lengths[0] * lengths[1])


def direction_similarity(
    source_pictures: np.ndarray, edited_pictures: np.ndarray, source_texts: np.ndarray, target_texts: np.ndarray
) -> np.ndarray:
    """Cosine between how the picture changed and how its text changed, all (n, d): (n,) in [-1, 1].

    Embeddings are first brought to length 1. An edit that left picture or text as it was has no direction and gets 0.
    Gal et al. 2022, "StyleGAN-NADA", equation 2.
    """
    moves = []
    for before, after in ((source_pictures, edited_pictures), (source_texts, target_texts)):
        cosine(before, after)  # refuses rows without a direction
        unit_before, unit_after = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in _rows(before, after))
        moves.append(unit_after - unit_before)
    picture, text = _rows(*moves)
    lengths = np.linalg.norm(picture, axis=1) * np.linalg.norm(text, axis=1)
    return np.divide((picture * text).sum(axis=1), lengths, out=np.zeros(len(lengths)), where=lengths > 1e-12)


def score_similarity(
    ids: Sequence[str],
    pictures: np.ndarray,
    texts: np.ndarray | None = None,
    references: np.ndarray | None = None,
    sources: np.ndarray | None = None,
    source_texts: np.ndarray | None = None,
) -> Score:
    """The similarities that the given embeddings allow, each row of (n, d) belonging to one of `ids`.

    `texts` gives clip_t, `references` clip_i, and `sources` with `source_texts` and `texts` the direction similarity
    of edits, with clip_i_source beside it: how much of the source picture was kept. Raises DataError as `cosine` does,
    for repeated ids and for a number of rows other than theirs.
    """
    if len(set(ids)) != len(ids) or len(ids) != len(pictures):
        raise DataError(f"{len(ids)} ids ({len(set(ids))} different) for {len(pictures)} embeddings")
    columns: dict[str, np.ndarray] = {}
    if texts is not None:
        columns["clip_t"] = cosine(pictures, texts)
    if references is not None:
        columns["clip_i"] = cosine(pictures, references)
    if sources is not None:
        columns["clip_i_source"] = cosine(pictures, sources)
    if sources is not None and source_texts is not None and texts is not None:
        columns["direction"] = direction_similarity(sources, pictures, source_texts, texts)
    if not columns:
        raise DataError("nothing to compare the pictures with: give texts, references or sources")
    items = [
        Item(name, name, None, None, None, {"pictures": 1.0} | {k: float(v[i]) for k, v in columns.items()})
        for i, name in enumerate(ids)
    ]
    notes = ["Cosines of different embedding models are not comparable; name the model beside the number."]
    unmoved = int((columns.get("direction", np.ones(1)) == 0).sum())
    if unmoved:
        notes.append(f"{unmoved} edits changed nothing; their direction similarity counts as 0.")
    values = summarise(items, measures(items))
    return Score("similarity", "cosine of given embeddings", values, tuple(items), tuple(notes))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_similarity`."""
    return means((name for name in items[0].statistics if name != "pictures"), "pictures")


def _rows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise DataError(f"embeddings must be (n, d) of one shape, got {a.shape} and {b.shape}")
    return a, b
