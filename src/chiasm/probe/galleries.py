"""Pictures whose neighbours change most, and least, between two sites: what a number about neighbours looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.probe.geometry import Comparer
from chiasm.probe.overlap import matches
from chiasm.probe.space import Space

NEIGHBOURS = 6
EACH = 2
"""Pictures from each end, and from the middle, of the order by how many neighbours are kept."""


@dataclass(frozen=True)
class NeighbourGallery:
    """For each chosen picture its place, its nearest at the first site and at the second, nearest first, and the share
    of its `k` nearest that it keeps."""

    sites: tuple[str, str]
    k: int
    queries: np.ndarray
    before: np.ndarray
    after: np.ndarray
    kept: np.ndarray

    @property
    def places(self) -> set[int]:
        """All pictures that are shown."""
        return {int(i) for part in (self.queries, self.before, self.after) for i in part.ravel()}

    def shown(self, ids: list[str], files: dict[int, str]) -> dict[str, Any]:
        """As JSON, pictures by id and file."""

        def picture(place: int) -> dict[str, str]:
            return {"id": ids[place], "file": files[place]}

        rows = [
            {
                "picture": picture(query),
                "kept": kept,
                "before": [picture(i) | {"shared": i in after} for i in before],
                "after": [picture(i) | {"shared": i in before} for i in after],
            }
            for query, kept, before, after in zip(
                self.queries.tolist(), self.kept.tolist(), self.before.tolist(), self.after.tolist(), strict=True
            )
        ]
        return {"sites": list(self.sites), "k": self.k, "rows": rows}


def neighbour_gallery(comparer: Comparer, first: Space, second: Space) -> NeighbourGallery:
    """The pictures that keep least of their nearest, as many as the comparer's smallest k, the median ones, and those
    that keep most: a choice from the ends alone would show no typical one."""
    k = min(comparer.how.ks)
    lists = [comparer.view(space).neighbours.index[:, :k] for space in (first, second)]
    found = matches(*lists)
    kept = np.bincount(found.item, minlength=found.n) / k
    order = np.argsort(kept, kind="stable")
    middle = len(order) // 2 - EACH // 2
    chosen = list(dict.fromkeys([*order[:EACH], *order[middle : middle + EACH], *order[-EACH:]]))
    shown = min(NEIGHBOURS, k)
    before, after = (index[chosen, :shown] for index in lists)
    return NeighbourGallery((first.site, second.site), k, np.array(chosen), before, after, kept[chosen])
