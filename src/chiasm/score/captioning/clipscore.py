"""`chiasm score clipscore`: CLIPScore and RefCLIPScore of embeddings in files or arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chiasm.data.records import read_json
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.captioning.embeddings import CLIPSCORE_WEIGHT, clipscore, ref_clipscore
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score
from chiasm.score.retrieval.array_files import read_ids, read_matrix

GIVEN = "given embeddings"
_COSINE = f"CLIPScore is {CLIPSCORE_WEIGHT} x max(cosine, 0); numbers of different models or prompts don't compare."


def score_clipscore_files(
    images: Path | str,
    captions: Path | str,
    references: Path | str | None = None,
    reference_of: Path | str | None = None,
    ids: Path | str | None = None,
) -> Score:
    """`score_clipscore` of .npy files: `images` and `captions` (captions, width), `references` (references, width).

    `reference_of` is a JSON list with the row number, from 0, of each reference's caption; without it there is one
    reference a caption, in the same order. `ids` is a JSON list of the rows' ids. Raises DataError for anything else.
    """
    image_rows, caption_rows = read_matrix(images), read_matrix(captions)
    names = read_ids(ids, len(caption_rows))
    grouped = None
    if references is not None:
        rows = read_matrix(references)
        owner = np.arange(len(rows)) if reference_of is None else _owners(reference_of, len(rows))
        if set(owner.tolist()) != set(range(len(names))):
            raise DataError(
                f"{reference_of or references}: {len(rows)} references do not cover {len(names)} captions; each needs "
                "at least one, by row numbers from 0 to the last"
            )
        grouped = [rows[owner == row] for row in range(len(names))]
    return score_clipscore(names, image_rows, caption_rows, grouped)


def score_clipscore(
    ids: Sequence[str],
    images: np.ndarray,
    captions: np.ndarray,
    references: Sequence[np.ndarray] | None = None,
    dialect: str = GIVEN,
    texts: Sequence[str] | None = None,
) -> Score:
    """Means of `clipscore`, in [0, 2.5], and with `references` of `ref_clipscore`, in [0, 10 / 7].

    Row i of `images` and `captions`, (captions, width), and ``references[i]``, (references, width), belong to
    ``ids[i]``; `texts` are the captions themselves, where they are known. `dialect` names the model and the prompt.
    Raises DataError as `clipscore` does.
    """
    columns = {"clipscore": clipscore(images, captions)}
    if references is not None:
        columns["ref_clipscore"] = ref_clipscore(images, captions, references)
    items = tuple(
        Item(
            name,
            name,
            None if texts is None else texts[row],
            None,
            None,
            {"captions": 1.0} | {column: float(numbers[row]) for column, numbers in columns.items()},
        )
        for row, name in enumerate(ids)
    )
    return Score("clipscore", dialect, summarise(items, measures(items)), items, (_COSINE,))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_clipscore`."""
    found = {"clipscore": ratio("clipscore", "captions", most=CLIPSCORE_WEIGHT)}
    if "ref_clipscore" in items[0].statistics:
        # The harmonic mean of the largest CLIPScore and a cosine of 1.
        most = 2 * CLIPSCORE_WEIGHT / (CLIPSCORE_WEIGHT + 1)
        found["ref_clipscore"] = ratio("ref_clipscore", "captions", most=most)
    return found


def _owners(path: Path | str, count: int) -> np.ndarray:
    content = read_json(path)
    whole = isinstance(content, list) and all(type(row) is int for row in content)
    if not whole or len(content) != count:
        raise DataError(f"{path}: expected a list of {count} row numbers, one a reference, found {content!r:.60}")
    return np.array(content)
