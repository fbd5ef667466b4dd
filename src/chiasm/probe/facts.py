"""What annotations say of pictures, as numbers that a readout can be held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError
from chiasm.types import Example, Object

COUNT = "count"
OBJECT = "object"


@dataclass(frozen=True)
class Fact:
    """One fact of n pictures: `values` (n,) are 0 or 1, or a number where `group` is "count"; NaN where it isn't known.

    group  "object" (a thing of this name is there), "count", or an attribute ("color": something there is `name`)
    """

    group: str
    name: str
    values: np.ndarray

    @property
    def is_number(self) -> bool:
        return self.group == COUNT


def facts_of(examples: Sequence[Example]) -> tuple[Fact, ...]:
    """Which objects are there, which values of each attribute something has, and how many objects and kinds there are.

    A picture without annotated objects has no known facts. A region marked as a crowd says that its kind is there, but
    not how many. Raises DataError where no picture has annotated objects.
    """
    known = [example.objects for example in examples]
    annotated = [objects for objects in known if objects is not None]
    if not annotated:
        raise DataError("no picture has annotated objects, so there is no fact to read out")
    things = [thing for objects in annotated for thing in objects]
    found = [Fact(OBJECT, name, _there(known, "", name)) for name in sorted({thing.name for thing in things})]
    for attribute in sorted({key for thing in things for key in thing.attributes}):
        values = sorted({thing.attributes[attribute] for thing in things if attribute in thing.attributes})
        found += [Fact(attribute, value, _there(known, attribute, value)) for value in values]
    numbers = [np.nan if o is None or any(thing.crowd for thing in o) else float(len(o)) for o in known]
    kinds = [np.nan if o is None else float(len({thing.name for thing in o})) for o in known]
    return (*found, Fact(COUNT, "objects", np.array(numbers)), Fact(COUNT, "kinds", np.array(kinds)))


def _there(known: Sequence[Sequence[Object] | None], attribute: str, value: str) -> np.ndarray:
    """(n,): 1 where something has this value of the attribute (of its name, if that is ""), 0 where nothing has."""

    def has(thing: Object) -> bool:
        return (thing.attributes.get(attribute) if attribute else thing.name) == value

    return np.array([np.nan if objects is None else float(any(map(has, objects))) for objects in known])
