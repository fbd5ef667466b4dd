"""One typed, ragged sequence for every model: built once, everything else is derived from it.

A document is a *trunk* (pictures and shared text) followed by any number of *branches* (questions about it). A branch
sees the trunk and itself, never another branch, so ten questions on one picture share its tokens in training and in
the cache. Several documents pack into one flat row of tokens without padding and without seeing each other.

    <bos> [img img img]   what colour ? red <eos>   how many ? 2 <eos>
    segment     0 0 0 0        1    1   1  1    1     2    2   2 2   2
    supervise   . . . .        .    .   .  x    x     .    .   . x   x
    positions   0 1 2 3        4    5   6  7    8     4    5   6 7   8
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from chiasm.errors import DataError

TEXT, IMAGE = 0, 1
NO_TOKEN = -1


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids, all of them targets of training or none."""

    ids: Seq[int]
    supervise: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """The place of picture number `index` (in the document), taking `tokens` places.

    `bidirectional` lets its tokens see each other in both directions; otherwise each sees those before it.
    """

    index: int
    tokens: int
    bidirectional: bool = False


Part = Text | Picture


@dataclass(frozen=True, slots=True)
class Sequence:
    """n tokens, each with what the model has to know of it. All arrays have shape (n,).

    tokens     text token id, NO_TOKEN where a picture's feature goes
    kind       TEXT or IMAGE
    segment    0 for the trunk, k >= 1 for branch k
    causal     True where a token starts a new step; False where it belongs to the same step as the one before it,
               so that the two see each other
    supervise  True where the token is a target, to be predicted from the one before it in its view
    positions  place for rotary embeddings; every branch goes on from the end of the trunk
    media      number of the picture that fills an IMAGE token, -1 elsewhere
    """

    tokens: np.ndarray
    kind: np.ndarray
    segment: np.ndarray
    causal: np.ndarray
    supervise: np.ndarray
    positions: np.ndarray
    media: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


def compose(trunk: Seq[Part], branches: Seq[Seq[Part]] = ()) -> Sequence:
    """Build a document. Raises DataError where it or a branch is empty, or there is nothing before the first target."""
    columns: list[tuple[np.ndarray, ...]] = []
    trunk_length = sum(len(part.ids) if isinstance(part, Text) else part.tokens for part in trunk)
    for segment, parts in enumerate([trunk, *branches]):
        position = trunk_length if segment else 0
        start = position
        for part in parts:
            n = len(part.ids) if isinstance(part, Text) else part.tokens
            if isinstance(part, Text):
                if part.supervise and n and position == 0:
                    raise DataError("the first token of a document has nothing before it to be predicted from")
                tokens, kind, media = np.asarray(part.ids, np.int64), TEXT, -1
                causal, supervise = np.ones(n, bool), part.supervise
            else:
                tokens, kind, media = np.full(n, NO_TOKEN), IMAGE, part.index
                causal, supervise = np.full(n, not part.bidirectional), False
                causal[:1] = True
            columns.append(
                (
                    tokens.reshape(n),
                    np.full(n, kind),
                    np.full(n, segment),
                    causal,
                    np.full(n, supervise),
                    np.arange(position, position + n),
                    np.full(n, media),
                )
            )
            position += n
        if segment and position == start:
            raise DataError(f"branch {segment} is empty")
    if not trunk_length and not branches:
        raise DataError("the document is empty")
    return Sequence(*(np.concatenate(column) for column in zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Packed:
    """Documents laid end to end: one flat Sequence, and where each document starts (`offsets`, one more than there
    are documents). Pictures are numbered through the whole pack."""

    sequence: Sequence
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


def pack(documents: Seq[Sequence]) -> Packed:
    """Lay documents end to end, numbering their pictures in order of appearance."""
    if not documents:
        raise DataError("nothing to pack: no documents were given")
    pictures = np.cumsum([0] + [int(d.media.max(initial=-1)) + 1 for d in documents])
    media = [np.where(d.media >= 0, d.media + pictures[i], -1) for i, d in enumerate(documents)]
    fields = ("tokens", "kind", "segment", "causal", "supervise", "positions")
    joined = {name: np.concatenate([getattr(d, name) for d in documents]) for name in fields}
    offsets = np.cumsum([0] + [len(d) for d in documents])
    return Packed(Sequence(**joined, media=np.concatenate(media)), offsets)


@dataclass(frozen=True, slots=True)
class View:
    """What one trunk or branch is: its own tokens, and the tokens before them that it sees (indices into the pack)."""

    document: int
    segment: int
    before: np.ndarray
    own: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """The tokens before it and its own."""
        return np.concatenate([self.before, self.own])


def views(packed: Packed) -> list[View]:
    """Every trunk and branch of a pack, in order."""
    found = []
    for document in range(len(packed)):
        start, stop = int(packed.offsets[document]), int(packed.offsets[document + 1])
        segment = packed.sequence.segment[start:stop]
        # Segments are contiguous by construction, so their borders are where the number changes.
        borders = np.concatenate([[0], np.flatnonzero(np.diff(segment)) + 1, [stop - start]])
        trunk = np.empty(0, np.int64)
        for a, b in itertools.pairwise(borders):
            own = np.arange(start + a, start + b)
            number = int(segment[a])
            found.append(View(document, number, trunk, own))
            if number == 0:
                trunk = own
    return found


def steps(sequence: Sequence, view: View) -> np.ndarray:
    """Step number of each token that a view sees; a token sees those whose number is not above its own."""
    return np.cumsum(sequence.causal[view.seen])


def allowed(packed: Packed) -> np.ndarray:
    """The full attention pattern as a bool matrix (n, n): row i may look at column j. For tests and pictures; models
    use a lowered form of the same rule."""
    n = len(packed.sequence)
    matrix = np.zeros((n, n), bool)
    for view in views(packed):
        step = steps(packed.sequence, view)
        own = step[len(view.before) :]
        matrix[np.ix_(view.own, view.seen)] = step[None, :] <= own[:, None]
    return matrix


def targets(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """(sources, ids): the token at flat index `sources[k]` has to predict token id `ids[k]`. The one place where
    labels are shifted."""
    sources, ids = [], []
    for view in views(packed):
        wanted = packed.sequence.supervise[view.own]
        if wanted.any():
            before = np.concatenate([view.before[-1:], view.own])[-len(view.own) - 1 : -1]
            if len(before) < len(view.own):  # a trunk: its first token has no predecessor, and is never supervised
                before = np.concatenate([[0], before])
            sources.append(before[wanted])
            ids.append(packed.sequence.tokens[view.own][wanted])
    if not sources:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(sources), np.concatenate(ids)
