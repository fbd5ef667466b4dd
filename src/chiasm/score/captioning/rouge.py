"""ROUGE-L (Lin 2004) as coco-caption computes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BETA = 1.2


def rouge_l(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """F-measure in [0, 1] of every image, (images,), over tokenised lines; the corpus score is the mean.

    The best precision and the best recall may come from different references. As in the official code an empty line
    is one empty word, so two empty lines agree.
    """
    from rapidfuzz.distance import LCSseq

    scores = np.zeros(len(hypotheses))
    for image, (hypothesis, lines) in enumerate(zip(hypotheses, references, strict=True)):
        # A word becomes a character, for the compiled longest common subsequence.
        number: dict[str, int] = {}
        said, *written = [
            "".join([chr(number.setdefault(word, len(number))) for word in line.split(" ")])
            for line in (hypothesis, *lines)
        ]
        common = [LCSseq.similarity(said, line) for line in written]
        precision = max(common) / len(said)
        recall = max(length / len(line) for length, line in zip(common, written, strict=True))
        if precision and recall:
            scores[image] = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
    return scores
