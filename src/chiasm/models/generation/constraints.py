"""What may come next: grammars over token ids, so that an answer is well-formed by construction.

A constraint is a little automaton. `start` is its first state, `allowed(state)` the ids that may follow, and
`advance(state, token)` the next state. States are plain values, so rows of a batch share one constraint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from chiasm.errors import ConfigError
from chiasm.models.tokenizer import Tokenizer

State = Any


class Constraint(Protocol):
    """An automaton over token ids. States are hashable values and are never changed."""

    start: State

    def allowed(self, state: State) -> Sequence[int]:
        """The ids that may come next; never empty."""
        ...

    def advance(self, state: State, token: int) -> State:
        """The state after `token`, which must be allowed."""
        ...


class Choices:
    """The answer is exactly one of `choices`: `Choices(tokenizer, ["yes", "no"])`. States are the ids so far."""

    start: State = ()

    def __init__(self, tokenizer: Tokenizer, choices: Sequence[str]):
        if not choices or not all(choices):
            raise ConfigError(f"choices must be non-empty texts, got {list(choices)}")
        self._next: dict[State, set[int]] = {}
        for ids in tokenizer.encode_batch(choices):
            for i, token in enumerate([*ids, tokenizer.end]):
                self._next.setdefault(tuple(ids[:i]), set()).add(token)

    def allowed(self, state: State) -> Sequence[int]:
        return sorted(self._next[state])

    def advance(self, state: State, token: int) -> State:
        return (*state, token)


class Boxes:
    """Any number of `name<loc_x1><loc_y1><loc_x2><loc_y2>` items, or the word "none"; x1 < x2 and y1 < y2.

    `names` is the closed list of object names; with none given, items are bare boxes, as in an answer to "where is the
    red cup". States are (ids of the name so far, location bins of the box so far, items so far).
    """

    def __init__(self, tokenizer: Tokenizer, names: Sequence[str] = (), most: int = 50):
        self._locations = tokenizer.locations()
        if len(self._locations) < 2:
            raise ConfigError("this tokenizer has no <loc_k> tokens, so it can't write boxes")
        for name in names:
            if not name or name != name.strip() or set(name) & set("<>;"):
                raise ConfigError(f"the object name {name!r} can't be written: no blanks around it, none of <>;")
        self._bin = {token: k for k, token in enumerate(self._locations)}
        self._end, self._most = tokenizer.end, most
        self._names: dict[tuple[int, ...], set[int]] = {}
        self._complete = {tuple(ids) for ids in tokenizer.encode_batch(names)} or {()}
        for ids in self._complete:
            for i, token in enumerate(ids):
                self._names.setdefault(ids[:i], set()).add(token)
        self._nothing = tuple(tokenizer.encode("none"))
        self.start: State = ((), (), 0)

    def allowed(self, state: State) -> Sequence[int]:
        name, box, items = state
        if box:
            # The first edge leaves room for the second one.
            return self._locations[box[len(box) - 2] + 1 :] if len(box) >= 2 else self._locations[:-1]
        ids: set[int] = set()
        if items < self._most:
            ids.update(self._names.get(name, ()))
            if name in self._complete:
                ids.update(self._locations[:-1])
        if items:
            if not name:
                ids.add(self._end)
        elif name == self._nothing:
            ids.add(self._end)
        elif name == self._nothing[: len(name)]:
            ids.add(self._nothing[len(name)])
        return sorted(ids)

    def advance(self, state: State, token: int) -> State:
        name, box, items = state
        if token not in self._bin:
            return ((*name, token), (), items)
        box = (*box, self._bin[token])
        return (name, box, items) if len(box) < 4 else ((), (), items + 1)
