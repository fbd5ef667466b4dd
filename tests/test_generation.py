"""The engine against a loop that runs the whole document again for every token."""

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import VOCABULARY, Document, decoder, documents, features, hidden
from torch import Tensor

from chiasm.data.sequence import Part, Picture, Sequence, Text, compose, pack, targets
from chiasm.errors import ConfigError
from chiasm.models.decoders import Llama
from chiasm.models.features import Features
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.engine import Engine, Generated
from chiasm.models.generation.sampling import Sampling

one_thread = tiny.one_thread
NEVER = -1
LIMIT = 6

PICTURE_TRUNK: list[Part] = [Text([1]), Picture(0, 4, True)]
BUILT: list[Document] = [
    (PICTURE_TRUNK, [[Text([2, 3])], [Text([4])], [Text([5, 6, 7, 8])]]),
    ([Text([9, 10])], []),  # text alone, and no branch
    ([Text([1]), Picture(0, 2), Text([11]), Picture(1, 3, True)], [[Text([12])], [Text([13, 14])]]),
    ([Text([15])], [[Text([16])]]),
]


def naive(model: Llama, document: Sequence, given: Features | None, limit: int = LIMIT, end: int = NEVER) -> Generated:
    """Greedy decoding of one row without a cache, by textbook attention."""
    row = Generated()
    while len(row.logprobs) < limit:
        grown = compose([*restored(document), Text(row.ids)])
        logprobs = model.head(hidden(model, [grown], given)[-1]).log_softmax(-1)
        token = int(logprobs.argmax())
        row.logprobs.append(logprobs[token].item())
        if token == end:
            row.complete = True
            break
        row.ids.append(token)
    return row


def restored(document: Sequence) -> list[Part]:
    """The parts of a document without branches, a token or a picture each."""
    parts: list[Part] = []
    for token, media, causal in zip(document.tokens, document.media, document.causal, strict=True):
        if media < 0:
            parts.append(Text([int(token)]))
        elif isinstance(parts[-1], Picture) and parts[-1].index == media:
            parts[-1] = Picture(int(media), parts[-1].tokens + 1, parts[-1].bidirectional or not causal)
        else:
            parts.append(Picture(int(media), 1))
    return parts


def one_by_one(model: Llama, built: list[Document], given: Features | None, **settings) -> list[Generated]:
    """Each branch as a document of its own, decoded naively."""
    rows, first = [], 0
    for trunk, branches in built:
        for branch in branches or [[]]:
            document = compose([*trunk, *branch])
            pictures = [int(k) for k in dict.fromkeys(document.media) if k >= 0]
            # A separate row numbers its own pictures from 0.
            renumbered = [
                Picture(pictures.index(p.index), p.tokens, p.bidirectional) if isinstance(p, Picture) else p
                for p in [*trunk, *branch]
            ]
            own = given.select([first + k for k in pictures]) if given is not None and pictures else None
            rows.append(naive(model, compose(renumbered), own, **settings))
        first += int(compose(trunk, branches).media.max()) + 1
    return rows


def engine(model: Llama, end: int = NEVER) -> Engine:
    return Engine(model, PrefixFusion(), end)


def same(rows: list[Generated], expected: list[Generated]) -> None:
    assert [r.ids for r in rows] == [r.ids for r in expected]
    assert [r.complete for r in rows] == [r.complete for r in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def composed(built: list[Document]) -> list[Sequence]:
    return [compose(*d) for d in built]


def test_batch_with_cache_and_shared_prefixes_equals_the_naive_loop() -> None:
    """Ragged rows, several questions on a picture, several pictures in a document, and text alone, in one batch."""
    model, rows = decoder(), composed(BUILT)
    given = features(rows)
    generated = engine(model).generate(rows, given, limit=LIMIT)
    same(generated, one_by_one(model, BUILT, given))
    assert len({tuple(r.ids) for r in generated}) > 4


@settings(deadline=None, max_examples=15)
@given(st.lists(documents(most_branches=2, longest=4), min_size=1, max_size=3))
def test_any_batch_equals_the_naive_loop(built: list[Document]) -> None:
    model, rows = decoder(), composed(built)
    given = features(rows)
    same(engine(model).generate(rows, given, limit=3), one_by_one(model, built, given, limit=3))


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_any_number_of_key_value_heads(kv_heads: int) -> None:
    model, rows = decoder(kv_heads=kv_heads), composed(BUILT)
    given = features(rows)
    same(engine(model).generate(rows, given, limit=LIMIT), one_by_one(model, BUILT, given))


def test_a_batch_equals_one_call_a_document() -> None:
    model, rows = decoder(), composed(BUILT)
    given = features(rows)
    together = engine(model).generate(rows, given, limit=LIMIT)
    alone, first = [], 0
    for row in rows:
        count = int(row.media.max()) + 1
        own = given.select(range(first, first + count)) if given is not None and count else None
        alone += engine(model).generate([row], own, limit=LIMIT)
        first += count
    same(together, alone)


def test_a_shared_prefix_equals_separate_calls() -> None:
    model = decoder()
    trunk, questions = BUILT[0]
    given = features([compose(trunk)])
    together = engine(model).generate([compose(trunk, questions)], given, limit=LIMIT)
    separate = [engine(model).generate([compose([*trunk, *q])], given, limit=LIMIT)[0] for q in questions]
    same(together, separate)


def test_rows_that_close_at_different_times() -> None:
    """Whatever token is the closing one, rows stop where they would alone, and the others go on undisturbed."""
    model, rows = decoder(), composed(BUILT)
    given = features(rows)
    free = engine(model).generate(rows, given, limit=12)
    moments = {}
    for end in range(VOCABULARY):
        moments[end] = {r.ids.index(end) for r in free if end in r.ids}
    ends = [end for end, at in moments.items() if len(at) >= 2]
    assert ends, "no token closes rows at different times: the test model is too dull"
    for end in ends[:4]:
        generated = engine(model, end).generate(rows, given, limit=12)
        for row, alone in zip(generated, free, strict=True):
            cut = alone.ids.index(end) if end in alone.ids else 12
            assert row.ids == alone.ids[:cut]
            assert row.complete == (end in alone.ids)
            assert row.logprobs == pytest.approx(alone.logprobs[: cut + row.complete], abs=1e-5)


def test_streaming_yields_what_generate_returns() -> None:
    model, rows = decoder(), composed(BUILT)
    given = features(rows)
    end = engine(model).generate(rows, given, limit=3)[0].ids[2]
    streamed: dict[int, list[int]] = {}
    for steps in engine(model, end).stream(rows, given, limit=LIMIT):
        for step in steps:
            streamed.setdefault(step.row, []).append(step.token)
    generated = engine(model, end).generate(rows, given, limit=LIMIT)
    assert streamed == {i: [*row.ids, *([end] * row.complete)] for i, row in enumerate(generated)}
    assert streamed[0][-1] == end


def test_a_stream_can_be_left_early_and_gradients_still_work() -> None:
    model = decoder()
    stream = engine(model).stream(composed(BUILT[1:2]), None, limit=LIMIT)
    assert len(next(stream)) == 1
    assert hidden(model, composed(BUILT[1:2]), None).requires_grad
    stream.close()


def test_a_row_is_cut_at_the_limit() -> None:
    generated = engine(decoder()).generate(composed(BUILT), features(composed(BUILT)), limit=1)
    assert [len(row.ids) for row in generated] == [1] * len(generated)
    assert not any(row.complete for row in generated)
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        engine(decoder()).generate(composed(BUILT[1:2]), None, limit=0)


def test_bf16_generates() -> None:
    model = decoder().bfloat16()
    rows = engine(model).generate(composed(BUILT), features(composed(BUILT)), limit=LIMIT)
    assert all(len(row.ids) == LIMIT for row in rows)


def test_sampling_is_repeatable_and_follows_the_seed() -> None:
    model, rows = decoder(), composed(BUILT)

    def draw(seed: int) -> list[list[int]]:
        sampling = Sampling(temperature=2.0, seed=seed)
        return [r.ids for r in engine(model).generate(rows, features(rows), LIMIT, sampling)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_a_barely_warm_sample_is_greedy() -> None:
    model, rows = decoder(), composed(BUILT)
    given = features(rows)
    greedy = engine(model).generate(rows, given, LIMIT)
    for sampling in (Sampling(temperature=1e-4), Sampling(temperature=5.0, top_k=1)):
        same(engine(model).generate(rows, given, LIMIT, sampling), greedy)


def explicit_logprobs(model: Llama, rows: list[Sequence], given: Features | None) -> Tensor:
    sources, ids = targets(pack(rows))
    logprobs = model.head(hidden(model, rows, given)).log_softmax(-1)
    return logprobs[torch.from_numpy(sources), torch.from_numpy(ids)]


def test_logprob_equals_an_explicit_forward() -> None:
    model = decoder()
    rows = [
        compose(
            PICTURE_TRUNK, [[Text([2]), Text([3, 4], True)], [Text([5, 6]), Text([7], True)], [Text([8, 9], True)]]
        ),
        compose([Text([10])], [[Text([11]), Text([12, 13, 14], True)]]),
    ]
    given = features(rows)
    ours = engine(model).logprob(rows, given)
    assert ours.shape == (8,)
    torch.testing.assert_close(ours, explicit_logprobs(model, rows, given).detach(), rtol=1e-5, atol=1e-5)


def test_logprob_of_what_was_generated_is_what_generation_reported() -> None:
    model = decoder()
    trunk, questions = BUILT[0]
    given = features([compose(trunk)])
    generated = engine(model).generate([compose(trunk, questions)], given, limit=LIMIT)
    answered = [[*q, Text(row.ids, supervise=True)] for q, row in zip(questions, generated, strict=True)]
    values = engine(model).logprob([compose(trunk, answered)], given)
    assert values.tolist() == pytest.approx([p for row in generated for p in row.logprobs], abs=1e-5)


def test_wrong_numbers_of_constraints_and_features() -> None:
    rows = composed(BUILT[1:2])
    with pytest.raises(ConfigError, match="2 constraints were given for 1 rows"):
        engine(decoder()).generate(rows, None, constraints=[None, None])
    with pytest.raises(ConfigError, match="no features were given"):
        engine(decoder()).generate(composed(BUILT[:1]), None)
