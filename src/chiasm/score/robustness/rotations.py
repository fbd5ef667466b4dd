"""MMBench's circular evaluation as a shuffle of options: every later pass of a question against its first."""

from __future__ import annotations

from dataclasses import replace

from chiasm.errors import DataError
from chiasm.score.choice.mmbench import COPY
from chiasm.score.measure import share
from chiasm.score.result import Item, Score
from chiasm.score.robustness.paired import score_robustness


def score_rotations(score: Score, permutations: int = 10_000, replicates: int = 2000, seed: int = 0) -> Score:
    """`score_robustness` of one run of MMBench: the accuracy of "pass 2", with the options rotated by one, and so on,
    against that of the first pass.

    A question is in as many passes as it has options, so each of its options has had every letter once. Raises
    DataError for a run of one pass.
    """
    passes: dict[int, list[Item]] = {}
    for item in score.items:
        number, question = divmod(int(item.id), COPY)
        passes.setdefault(number, []).append(replace(item, id=str(question)))
    if len(passes) < 2:
        raise DataError("this run has one pass a question: score MMBench's circular file, or name a perturbed run")
    first, *later = (replace(score, items=tuple(passes[number])) for number in sorted(passes))
    rotated = {f"pass {number}": run for number, run in enumerate(later, start=2)}
    return score_robustness(first, rotated, "accuracy", share("right", "passes"), permutations, replicates, seed)
