"""GQA's distribution measure: do predicted answers spread over a group of questions as the true ones do?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.score.jackknife import jackknife_interval
from chiasm.score.result import Value


def distribution(
    groups: Sequence[str | None], true: Sequence[str], predicted: Sequence[str | None], images: Sequence[str]
) -> Value:
    """Chi-square distance between the counts of predicted and true answers, for questions in parallel sequences,
    divided by 100 as GQA's script does.

    Within each group it is the sum over the true answers of (predicted - true count)^2 / true count; groups are
    averaged by their number of questions. 0 is best, and it grows with the number of questions, so that only numbers on
    the same questions compare. Questions without a group are left out. The interval is a jackknife over images.
    """
    chosen = [index for index, group in enumerate(groups) if group is not None]
    if not chosen:
        return Value("distribution", None, 0, method="none: no question has a group")
    cell_of: dict[tuple[str | None, str], int] = {}
    gold = np.array([cell_of.setdefault((groups[index], true[index]), len(cell_of)) for index in chosen])
    # An answer that is never true in its group has no cell; it shows in the counts that it is missing from.
    said = np.array([cell_of.get((groups[index], predicted[index] or ""), -1) for index in chosen])
    number_of: dict[str | None, int] = {}
    group_of_cell = np.array([number_of.setdefault(group, len(number_of)) for group, _ in cell_of])
    place: dict[str, int] = {}
    image = np.array([place.setdefault(images[index], len(place)) for index in chosen])

    def distance(kept: np.ndarray) -> float:
        expected = np.bincount(gold[kept], minlength=len(cell_of)).astype(float)
        observed = np.bincount(said[kept & (said >= 0)], minlength=len(cell_of))
        terms = np.divide((observed - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0)
        weighted = np.bincount(group_of_cell, terms) @ np.bincount(group_of_cell, expected)
        return float(weighted / expected.sum() / 100)

    def without(part: np.ndarray) -> float:
        kept = ~np.isin(image, part)
        # Scaled to the full number of questions, with which the distance grows.
        return distance(kept) * len(chosen) / kept.sum() if kept.any() else np.nan

    value = distance(np.ones(len(chosen), dtype=bool))
    low, high = jackknife_interval(value, without, len(place)) or (None, None)
    method = "jackknife by image" if low is not None else "none: too few images"
    return Value("distribution", value, len(chosen), None if low is None else max(low, 0.0), high, method)
