"""`chiasm score edits`: edit localisation of pictures and masks in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.data.images import list_images, open_image
from chiasm.data.records import paired
from chiasm.score.generation.edits import score_edits
from chiasm.score.generation.pictures import by_stem
from chiasm.score.result import Score

WHITE = 128
"""A mask asks for the edit where it is at least this bright, of 255: JPEG leaves no mask purely black and white."""


def score_edit_folders(before: Path | str, after: Path | str, masks: Path | str) -> Score:
    """`score_edits` of three folders, paired by file name without suffix.

    Raises DataError for names that don't pair up, ImageError for pictures that can't be read or differ in size.
    """
    folders = [by_stem(list_images([folder])) for folder in (before, after, masks)]
    true, made, asked = folders
    paired(true, made, before, after)
    paired(true, asked, before, masks)
    return score_edits(
        (name, _pixels(true[name]), _pixels(made[name]), _pixels(asked[name]).max(axis=2) >= WHITE)
        for name in sorted(true)
    )


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(open_image(path))
