"""How often objects appear together: what a model would expect to see without looking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations

from chiasm.score.names import Names
from chiasm.types import Dataset

_MIN_PICTURES = 5
_MIN_SHARE = 0.3
_MIN_LIFT = 1.5


class ObjectPriors:
    """Co-occurrence of object names over pictures. `pictures` are the canonical names present in each."""

    def __init__(self, pictures: Sequence[Iterable[str]]) -> None:
        self._pictures = len(pictures)
        self._alone: Counter[str] = Counter()
        self._together: Counter[tuple[str, str]] = Counter()
        for present in map(set, pictures):
            self._alone.update(present)
            self._together.update(permutations(present, 2))

    @classmethod
    def of_dataset(cls, dataset: Dataset, names: Names, count: int, sample: int = 256) -> ObjectPriors:
        """From at most `sample` of the first `count` examples, evenly spaced, so that it is cheap and repeatable."""
        chosen = [dataset[i * count // min(sample, count)] for i in range(min(sample, count))]
        return cls([{names.canonical(o.name) for o in e.objects} for e in chosen if e.objects is not None])

    def expected(self, name: str, present: Iterable[str]) -> bool:
        """Is `name` frequent beside any of `present`: in 30 % of its pictures and 1.5 times as often as overall?"""
        base = self._alone[name] / max(self._pictures, 1)
        for other in present:
            if self._alone[other] >= _MIN_PICTURES:
                share = self._together[other, name] / self._alone[other]
                if share >= _MIN_SHARE and share >= _MIN_LIFT * base:
                    return True
        return False
