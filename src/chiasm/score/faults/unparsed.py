"""What the metrics would be if everything that could not be parsed were right: the other end of their range."""

from __future__ import annotations

from dataclasses import replace

from chiasm.errors import DataError
from chiasm.score.faults.costs import repaired_values
from chiasm.score.faults.find import find_faults
from chiasm.score.measures import measures_of
from chiasm.score.result import Score


def if_unparsed_were_right(score: Score) -> dict[str, float]:
    """Every metric of all items that ranks and that would change, in the score's order; empty where nothing is unparsed
    or nothing can be put right (n-grams, numbers that are no sums)."""
    unparsed = tuple(item for item in score.items if item.problem is not None) if score.counts.unparsed else ()
    faults = find_faults(replace(score, items=unparsed)) if unparsed else ()
    if not faults:
        return {}
    try:
        measures = measures_of(score)
    except DataError:
        return {}
    after = repaired_values(score, faults, {name: one for name, one in measures.items() if one.better is not None})
    before = {value.metric: value.value for value in score.values if value.slice is None}
    return {
        metric: after[metric]
        for metric, value in before.items()
        if metric in after and value is not None and abs(after[metric] - value) > 1e-12
    }
