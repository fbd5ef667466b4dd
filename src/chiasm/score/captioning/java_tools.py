"""METEOR and SPICE beside the other numbers of scored captions, by the user's own Java programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from chiasm.errors import DataError
from chiasm.score.captioning.bridges import meteor, spice
from chiasm.score.captioning.meteor import COUNTS, METEOR, meteor_statistics
from chiasm.score.captioning.ptb import tokenise
from chiasm.score.result import Item

SPICE_JAR = "spice-1.0.jar"


def with_meteor(items: Sequence[Item], jar: Path | str) -> tuple[Item, ...]:
    """`items` of `caption_items` with the statistics of METEOR, whose sums give it by `meteor.METEOR`.

    Raises as `bridges.meteor` does, and DataError for a program whose total is another than its counts give by the
    parameters of METEOR 1.5.
    """
    references = [[tokenise(caption) for caption in item.truth] for item in items]
    found = meteor(jar, [item.parsed for item in items], references)
    if any(len(counts) != COUNTS for counts in found.counts):
        raise DataError(f"{jar} does not answer with the {COUNTS} numbers of METEOR 1.5; is it another version?")
    scored = tuple(
        replace(item, statistics={**item.statistics, **meteor_statistics(counts)})
        for item, counts in zip(items, found.counts, strict=True)
    )
    names = [name for name in scored[0].statistics if name.startswith("meteor.")]
    sums = {name: np.array(sum(item.statistics[name] for item in scored)) for name in names}
    total = float(METEOR.of(sums))
    if not math.isclose(total, found.corpus, abs_tol=1e-6):
        raise DataError(f"{jar} gives {found.corpus:.6f}, but its counts {total:.6f} by METEOR 1.5; another version?")
    return scored


def with_spice(items: Sequence[Item], folder: Path | str) -> tuple[Item, ...]:
    """`items` of `caption_items` with the statistic "spice" of each. `folder` holds spice-1.0.jar and its lib.

    Raises as `bridges.spice` does.
    """
    candidates = {item.id: item.prediction or "" for item in items}
    found = spice(Path(folder) / SPICE_JAR, candidates, {item.id: item.truth for item in items})
    return tuple(
        replace(item, statistics={**item.statistics, "spice": score})
        for item, score in zip(items, found.per_image, strict=True)
    )
