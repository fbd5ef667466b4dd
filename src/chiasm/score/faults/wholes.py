"""Statistics of wholes, which are right only if all their parts are: a circular question, a pair, a caption.

Their repairs do not add up, so they are counted again from the repaired parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chiasm.score.result import Item

_WHOLES: Mapping[str, tuple[str, str]] = {
    "mmbench": ("circular_right", "questions"),
    "nlvr2": ("groups_right", "groups"),
    "pairs": ("groups_right", "groups"),
    "mme": ("pairs_right", "pairs"),
}
"""The statistic that says that a whole is right, and the one that marks the item which carries it."""


def recount_wholes(task: str, items: Sequence[Item], column: Mapping[str, int], values: np.ndarray) -> None:
    """Set the wholes' columns of `values` (items, statistics) by the parts' columns. Items are in the scorer's order,
    in which a whole's parts follow one another."""
    if task == "chair":
        values[:, column["captions_hallucinating"]] = values[:, column["hallucinated"]] > 0
    if task not in _WHOLES:
        return
    whole, carrier = _WHOLES[task]
    if task == "mme":  # the second of two questions carries the pair
        group = np.unique([item.image for item in items], return_inverse=True)[1]
    else:
        group = np.cumsum(values[:, column[carrier]]).astype(np.int64) - 1
    wrong_parts = np.bincount(group, weights=1 - values[:, column["right"]])
    all_right = wrong_parts[group] == 0
    for name in column:
        if name == whole or name.startswith(f"{whole}."):
            values[:, column[name]] = all_right * values[:, column[carrier + name.removeprefix(whole)]]
