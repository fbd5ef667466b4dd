"""Ids that are missing, repeated, unknown, or of several types."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chiasm.data.records import id_text
from chiasm.score.doctor.findings import Tally
from chiasm.score.doctor.truth import Truth


class Ids:
    """Looks at one id after the other. `many` says that an id may come often or not at all, as a picture of boxes."""

    def __init__(self, tally: Tally, truth: Truth | None, many: bool) -> None:
        self._tally, self._truth, self._many = tally, truth, many
        self._first: dict[str, int] = {}
        self._types: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._records = self._without = 0

    def add(self, number: int, raw: Any, given: bool) -> str | None:
        """The id as text, None where there is none that can be used; `given` says whether the record has one at all."""
        self._records += 1
        if not given:
            self._without += 1
            self._tally.add("no id", number)
            return None
        try:
            name = id_text(raw)
        except ValueError as error:
            self._tally.add("bad id", number, found=str(error))
            return None
        places = self._types["text" if isinstance(raw, str) else "numbers"]
        if len(places) < 5:
            places.append((number, name))
        first = self._first.setdefault(name, number)
        if first != number and not self._many:
            self._tally.add("duplicate id", number, name, f"first given at {first}")
        if self._truth is not None and name not in self._truth.forms:
            self._tally.add("extra id", number, name)
        return name

    def finish(self) -> None:
        if len(self._types) > 1:
            for what, places in self._types.items():
                self._tally.add("mixed id types", *places[0], f"the first id that is {what}")
        without_any = self._records > 0 and self._without == self._records
        if without_any:
            self._tally.forget("no id")
            self._tally.add("no ids")
        if self._truth is None or self._many:
            return
        if without_any:
            if self._records != len(self._truth.forms):
                found = f"{self._records} answers, {len(self._truth.forms)} in the truth"
                self._tally.add("wrong number", found=found)
            return
        for name in self._truth.forms:
            if name not in self._first:
                self._tally.add("missing id", id=name)
