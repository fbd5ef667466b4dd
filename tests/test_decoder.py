"""The decoder: packing changes nothing, gradients included, and it is transformers' Llama on the same weights."""

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import WIDTH, Document, decoder, documents, features, hidden, randomise

from chiasm.data.sequence import Picture, Text, compose, pack, targets, views
from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.adapters.weights import llama_from, llama_weights
from chiasm.models.decoders import Llama
from chiasm.models.features import Features
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.engine import Engine
from chiasm.models.nn.attention import lower

one_thread = tiny.one_thread
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

TRUNK = [Text([1]), Picture(0, 4, True), Text([2, 3]), Picture(1, 3)]
BRANCHES = [
    [Text([4, 5]), Text([6, 7], True)],
    [Text([8]), Text([9, 10, 11], True)],
    [Picture(2, 2, True), Text([12]), Text([13, 7], True)],
]
BRANCHED = compose(TRUNK, BRANCHES)
SEPARATE = [compose([*TRUNK, *branch]) for branch in BRANCHES]


def test_packed_branches_equal_separate_rows() -> None:
    model = decoder()
    shared = features([BRANCHED])
    assert shared is not None
    together = hidden(model, [BRANCHED], shared, lower(pack([BRANCHED])))
    for view, alone in zip(views(pack([BRANCHED]))[1:], SEPARATE, strict=True):
        given = shared.select(range(int(alone.media.max()) + 1))
        torch.testing.assert_close(together[view.seen], hidden(model, [alone], given), **CLOSE)


@settings(deadline=None, max_examples=25)
@given(st.lists(documents(most_branches=2), min_size=2, max_size=3))
def test_packed_documents_equal_each_alone(built: list[Document]) -> None:
    model = decoder()
    composed = [compose(*d) for d in built]
    shared = features(composed)
    packed = pack(composed)
    together = hidden(model, composed, shared, lower(packed))
    first_picture = 0
    for i, document in enumerate(composed):
        pictures = range(first_picture, first_picture + int(document.media.max()) + 1)
        first_picture = pictures.stop
        given = shared.select(pictures) if shared is not None and pictures else None
        own = slice(packed.offsets[i], packed.offsets[i + 1])
        torch.testing.assert_close(together[own], hidden(model, [document], given), **CLOSE)


def answer_loss(model: Llama, packed_documents: list, given: Features, attend=None) -> torch.Tensor:
    """Summed cross-entropy of the targets."""
    packed = pack(packed_documents)
    states = hidden(model, packed_documents, given, attend)
    sources, ids = (torch.from_numpy(a) for a in targets(packed))
    return torch.nn.functional.cross_entropy(model.head(states[sources]), ids, reduction="sum")


def test_packed_branches_give_the_gradients_of_separate_rows() -> None:
    model = decoder()
    shared = features([BRANCHED])
    assert shared is not None
    pixels = shared.tokens.requires_grad_()

    loss = answer_loss(model, [BRANCHED], shared, lower(pack([BRANCHED])))
    loss.backward()
    packed_gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    packed_pixels = pixels.grad.clone()

    model.zero_grad()
    pixels.grad = None
    separate = sum(answer_loss(model, [d], shared.select(range(int(d.media.max()) + 1))) for d in SEPARATE)
    separate.backward()

    assert loss.item() == pytest.approx(separate.item(), rel=1e-5)
    torch.testing.assert_close(packed_pixels, pixels.grad, rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max()
        assert scale > 0, name
        torch.testing.assert_close(packed_gradients[name] / scale, parameter.grad / scale, rtol=1e-4, atol=1e-5)


def test_the_future_does_not_change_the_past() -> None:
    model = decoder()
    one, other = compose([Text([1, 2, 3, 4])]), compose([Text([1, 2, 9, 4])])
    a, b = hidden(model, [one], None, lower(pack([one]))), hidden(model, [other], None, lower(pack([other])))
    assert torch.equal(a[:2], b[:2])
    assert not torch.isclose(a[2:], b[2:], **CLOSE).all(dim=1).any()


def test_a_tied_head_is_the_embedding() -> None:
    tied, untied = decoder(tied=True), decoder(tied=False)
    assert tied.head.weight is tied.embed.weight
    assert untied.head.weight is not untied.embed.weight


def test_impossible_sizes() -> None:
    with pytest.raises(ConfigError, match="width 30 can't be divided over 4 heads"):
        Llama(10, width=30, heads=4)
    with pytest.raises(ConfigError, match="4 heads in 3 groups"):
        Llama(10, width=32, heads=4, kv_heads=3)
    with pytest.raises(ConfigError, match="3 wide"):
        Llama(10, width=12, heads=4)


# ---- fusion


def fuse(document, given: Features | None) -> torch.Tensor:
    return PrefixFusion()(pack([document]), decoder().embed, given)


def test_features_take_the_places_kept_for_them() -> None:
    document = compose([Text([5]), Picture(0, 2), Text([6]), Picture(1, 1)])
    given = features([document])
    assert given is not None
    embed = decoder().embed.weight
    expected = torch.stack([embed[5], given.tokens[0], given.tokens[1], embed[6], given.tokens[2]])
    assert torch.equal(fuse(document, given), expected)


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        (((1, 2), (1, 2)), "picture 1 has 2 features but 3 places"),
        (((1, 1), (1, 3)), "picture 0 has 1 features but 2 places"),
        (((1, 2),), "picture 1 has 3 places in the sequence but only 1 pictures were given"),
        (((1, 2), (1, 3), (1, 1)), "picture 2 has 1 features but 0 places"),
    ],
)
def test_a_wrong_number_of_features_names_the_picture(grids, message: str) -> None:
    document = compose([Text([5]), Picture(0, 2), Picture(1, 3)])
    given = Features(torch.zeros(sum(c for _, c in grids), WIDTH), grids, "connector")
    with pytest.raises(ConfigError, match=message):
        fuse(document, given)


def test_features_of_another_width() -> None:
    with pytest.raises(ConfigError, match="features are 8 wide, but the decoder 32"):
        fuse(compose([Picture(0, 2)]), Features(torch.zeros(2, 8), ((1, 2),), "connector"))


def test_pictures_out_of_order_and_pictures_without_features() -> None:
    swapped = compose([Text([5]), Picture(1, 2), Picture(0, 2)])
    with pytest.raises(ConfigError, match="in the order of their features"):
        fuse(swapped, Features(torch.zeros(4, WIDTH), ((1, 2), (1, 2)), "connector"))
    with pytest.raises(ConfigError, match="no features were given"):
        fuse(compose([Picture(0, 2)]), None)
    with pytest.raises(ConfigError, match="picture 0 has 2 features but 0 places"):
        fuse(compose([Text([1])]), Features(torch.zeros(2, WIDTH), ((1, 2),), "connector"))


# ---- transformers' Llama


@pytest.fixture(scope="module", params=[(4, True), (2, False), (1, True)], ids=["tied", "grouped", "multi-query-tied"])
def llama(request):
    transformers = pytest.importorskip("transformers")
    kv_heads, tied = request.param
    config = transformers.LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=44,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=tied,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        bos_token_id=None,
        eos_token_id=None,
    )
    return randomise(transformers.LlamaForCausalLM(config))


def test_equals_transformers_llama_on_the_same_weights(llama) -> None:
    ours = llama_from(llama)
    ids = torch.randint(0, 61, (3, 11), generator=torch.Generator().manual_seed(0))
    rows = [compose([Text(row)]) for row in ids.tolist()]
    with torch.no_grad():
        expected = llama(ids).logits.flatten(0, 1)
        logits = ours.head(hidden(ours, rows, None, lower(pack(rows))))
    torch.testing.assert_close(logits, expected, **CLOSE)


def test_greedy_tokens_equal_transformers(llama) -> None:
    ids = torch.randint(0, 61, (3, 7), generator=torch.Generator().manual_seed(1))
    expected = llama.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, pad_token_id=0
    )
    engine = Engine(llama_from(llama), PrefixFusion(), end=-1)
    rows = engine.generate([compose([Text(row)]) for row in ids.tolist()], None, limit=20)
    assert [row.ids for row in rows] == expected[:, 7:].tolist()
    assert len({i for row in rows for i in row.ids}) > 5  # not one token over and over


def test_llama_weights_that_do_not_fit(llama) -> None:
    state = llama.state_dict()
    with pytest.raises(CheckpointError, match=r"no place for: model\.layers\.0\.self_attn\.q_proj\.bias"):
        llama_weights(state | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)})
    del state["model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"no model\.norm\.weight"):
        llama_weights(state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_bias": True}, "attention_bias = True"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"head_dim": 16}, "head_dim = 16"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}, "type 'linear'"),
    ],
)
def test_what_our_decoder_lacks_is_refused(llama, changes, message: str) -> None:
    import transformers

    config = transformers.LlamaConfig(**(llama.config.to_dict() | changes))
    with pytest.raises(ConfigError, match=message):
        llama_from(transformers.LlamaForCausalLM(config))
