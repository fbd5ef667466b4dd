"""Similarities, embeddings, ids and pairs as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.data.json_text import reason
from chiasm.data.records import id_text, read_json
from chiasm.errors import DataError
from chiasm.score.retrieval.cross_modal import pairs_of_captions


def read_matrix(path: Path | str) -> np.ndarray:
    """A float matrix from ``.npy``, memory-mapped, so that a file larger than memory can be read.

    Raises DataError for any other file, and for an array that is not two-dimensional float.
    """
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: not a .npy file of numbers ({error})") from None
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        found = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else "an archive of several arrays"
        raise DataError(f"{path}: expected a float array with two dimensions, found {found}")
    return matrix


def read_pairs(path: Path | str) -> np.ndarray:
    """Which image and text numbers belong together, int (pairs, 2), from JSON.

    ``[0, 0, 1, ...]`` has the image of each text, ``[[image, text], ...]`` any pairs. Raises DataError for anything
    else.
    """
    try:
        pairs = np.array(read_json(path))
    except ValueError:
        pairs = np.empty(0)
    if not np.issubdtype(pairs.dtype, np.integer) or not (pairs.ndim == 1 or (pairs.ndim == 2 and pairs.shape[1] == 2)):
        raise DataError(f"{path}: expected a list with the image number of each text, or a list of [image, text] pairs")
    return pairs_of_captions(pairs) if pairs.ndim == 1 else pairs


def read_ids(path: Path | str | None, count: int) -> list[str]:
    """The ids of `count` rows from a JSON list; without a file their numbers from 0.

    Raises DataError for another number of ids, a second one of the same name, and what can't be an id.
    """
    if path is None:
        return [str(number) for number in range(count)]
    content = read_json(path)
    if not isinstance(content, list) or len(content) != count:
        found = f"{len(content)}" if isinstance(content, list) else f"{content!r:.60}"
        raise DataError(f"{path}: expected a list of {count} ids, one a row, found {found}")
    ids: list[str] = []
    for number, value in enumerate(content, start=1):
        try:
            ids.append(id_text(value))
        except ValueError as error:
            raise DataError(f"{path}, entry {number}: {error}") from None
    if len(set(ids)) < count:
        raise DataError(f"{path}: the id {max(ids, key=ids.count)!r} comes twice")
    return ids
