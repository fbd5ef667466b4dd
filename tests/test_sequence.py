"""The sequence contract: one hand-worked document, and the rule of who sees whom said a second way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Document, documents

from chiasm.data.sequence import (
    IMAGE,
    NO_TOKEN,
    TEXT,
    Picture,
    Text,
    allowed,
    compose,
    pack,
    targets,
    views,
)
from chiasm.errors import DataError

BEGIN, COLOUR, RED, HOW, MANY, TWO, END = range(10, 17)


def two_questions(bidirectional: bool = False):
    return compose(
        [Text([BEGIN]), Picture(0, 3, bidirectional)],
        [[Text([COLOUR]), Text([RED, END], supervise=True)], [Text([HOW, MANY]), Text([TWO, END], supervise=True)]],
    )


def test_a_document_by_hand() -> None:
    document = two_questions()
    no = NO_TOKEN
    assert document.tokens.tolist() == [BEGIN, no, no, no, COLOUR, RED, END, HOW, MANY, TWO, END]
    assert document.kind.tolist() == [TEXT] + [IMAGE] * 3 + [TEXT] * 7
    assert document.segment.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert document.supervise.nonzero()[0].tolist() == [5, 6, 9, 10]
    assert document.positions.tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7]
    assert document.media.tolist() == [-1, 0, 0, 0] + [-1] * 7
    assert document.causal.all()
    assert len(document) == 11


def test_who_sees_whom_by_hand() -> None:
    drawn = ["".join(".x"[int(look)] for look in row) for row in allowed(pack([two_questions(bidirectional=True)]))]
    assert drawn == [
        "x..........",
        "xxxx.......",  # the picture's tokens see each other, and not what follows
        "xxxx.......",
        "xxxx.......",
        "xxxxx......",
        "xxxxxx.....",
        "xxxxxxx....",
        "xxxx...x...",  # the second question sees the picture, and not the first question
        "xxxx...xx..",
        "xxxx...xxx.",
        "xxxx...xxxx",
    ]


def test_each_target_is_predicted_from_the_token_before_it() -> None:
    sources, ids = targets(pack([two_questions()]))
    assert ids.tolist() == [RED, END, TWO, END]
    assert sources.tolist() == [4, 5, 8, 9]


def test_a_branch_that_is_all_answer_is_predicted_from_the_end_of_the_trunk() -> None:
    captions = compose([Text([BEGIN]), Picture(0, 2)], [[Text([RED], True)], [Text([TWO, END], True)]])
    sources, ids = targets(pack([captions, captions]))
    assert sources.tolist() == [2, 2, 4, 8, 8, 10]
    assert ids.tolist() == [RED, TWO, END] * 2


def test_a_trunk_may_hold_targets() -> None:
    sources, ids = targets(pack([compose([Text([BEGIN]), Text([RED, TWO], supervise=True)])]))
    assert sources.tolist() == [0, 1]
    assert ids.tolist() == [RED, TWO]


def test_nothing_supervised_gives_no_targets() -> None:
    sources, ids = targets(pack([compose([Text([BEGIN])])]))
    assert sources.shape == ids.shape == (0,)


def test_packing_numbers_pictures_through() -> None:
    one = compose([Picture(0, 1), Picture(1, 2)])
    packed = pack([one, compose([Text([BEGIN])]), one])
    assert packed.sequence.media.tolist() == [0, 1, 1, -1, 2, 3, 3]
    assert packed.offsets.tolist() == [0, 3, 4, 7]
    assert len(packed) == 3


def test_what_can_not_be_composed() -> None:
    with pytest.raises(DataError, match="branch 2 is empty"):
        compose([Text([BEGIN])], [[Text([HOW])], [Text([])]])
    with pytest.raises(DataError, match="first token"):
        compose([Text([BEGIN], supervise=True)])
    with pytest.raises(DataError, match="first token"):
        compose([], [[Text([BEGIN], supervise=True)]])
    with pytest.raises(DataError, match="empty"):
        compose([])
    with pytest.raises(DataError, match="empty"):
        compose([Text([]), Picture(0, 0)])
    with pytest.raises(DataError, match="nothing to pack"):
        pack([])


def test_branches_without_a_trunk_are_separate_texts() -> None:
    packed = pack([compose([], [[Text([HOW])], [Text([MANY, TWO])]])])
    assert allowed(packed).tolist() == [[True, False, False], [False, True, False], [False, True, True]]


def said_again(built: list[Document]) -> np.ndarray:
    """Who sees whom, from the parts: token i sees j where j is in its own branch or trunk, or in the trunk its branch
    hangs on, and comes before it or shares its two-way picture."""
    tokens = []  # (document, segment, position, two-way picture or None)
    for document, (trunk, branches) in enumerate(built):
        for segment, parts in enumerate([trunk, *branches]):
            for number, part in enumerate(parts):
                two_way = (document, segment, number) if isinstance(part, Picture) and part.bidirectional else None
                length = part.tokens if isinstance(part, Picture) else len(part.ids)
                tokens += [(document, segment, two_way)] * length
    n = len(tokens)
    looks = np.zeros((n, n), bool)
    for i, (document, segment, picture) in enumerate(tokens):
        for j, (other_document, other_segment, other_picture) in enumerate(tokens):
            related = document == other_document and other_segment in (0, segment)
            looks[i, j] = related and (j <= i or (picture is not None and picture == other_picture))
    return looks


@settings(deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_who_sees_whom(built: list[Document]) -> None:
    assert (allowed(pack([compose(*d) for d in built])) == said_again(built)).all()


@settings(deadline=None)
@given(st.lists(documents(supervised=True), min_size=1, max_size=3))
def test_targets_are_the_supervised_tokens_each_after_its_source(built: list[Document]) -> None:
    packed = pack([compose(*d) for d in built])
    sources, ids = targets(packed)
    wanted = [
        i for trunk, branches in built for parts in [trunk, *branches] for p in parts
        if isinstance(p, Text) and p.supervise for i in p.ids
    ]  # fmt: skip
    assert ids.tolist() == wanted
    # The source is the last token that the target sees besides itself, and it does not see the target.
    looks = allowed(packed)
    for source, target in zip(sources, packed.sequence.supervise.nonzero()[0], strict=True):
        assert looks[target].nonzero()[0].tolist()[-2:] == [source, target]
        assert not looks[source, target]


@settings(deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_views_cover_every_token_once(built: list[Document]) -> None:
    packed = pack([compose(*d) for d in built])
    found = views(packed)
    assert np.concatenate([v.own for v in found]).tolist() == list(range(len(packed.sequence)))
    assert [(v.document, v.segment) for v in found] == [
        (d, s) for d, (_, branches) in enumerate(built) for s in range(len(branches) + 1)
    ]
    for view in found:
        positions = packed.sequence.positions[view.seen]
        assert positions.tolist() == list(range(len(positions)))
