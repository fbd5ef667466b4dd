"""Our own models behind the protocol that other people's are behind too."""

from __future__ import annotations

import pytest
import tiny
import torch
from tiny import hidden, pictures, tokenizer, vlm

from chiasm.data.sequence import Text, compose, pack
from chiasm.errors import ConfigError
from chiasm.models.protocol import VisionLanguageModel

one_thread = tiny.one_thread
PROMPTS = [["what colour is the cup", "find the cat"], ["yes"]]
ANSWERS = [["red", "none"], ["a cup"]]


def test_features_at_every_site_from_one_forward() -> None:
    model: VisionLanguageModel = vlm()
    assert model.sites() == ("encoder.0", "encoder.1", "encoder", "connector.in", "connector")
    found = model.capture(pictures(2), model.sites())
    e_pre = model.encode(pictures(2))
    assert torch.equal(found["encoder"].tokens, e_pre.tokens)
    assert torch.equal(found["connector"].tokens, model.connect(e_pre).tokens)
    # The last block's output is the encoder's before its norm; the connector's norm is on top of that.
    assert torch.allclose(model.encoder.norm(found["encoder.1"].tokens), e_pre.tokens, atol=1e-6)
    assert torch.allclose(model.connector.norm(e_pre.tokens), found["connector.in"].tokens, atol=1e-6)
    assert [f.site for f in found.values()] == list(model.sites())
    assert not any(f.tokens.requires_grad for f in found.values())
    with pytest.raises(ConfigError, match=r"no site.*encoder\.5"):
        model.capture(pictures(1), ["encoder.5"])


def test_logits_are_those_that_logprob_is_made_of() -> None:
    model = vlm()
    features = model.connect(model.encode(pictures(2)))
    values = model.logprob(features, PROMPTS, ANSWERS)
    for i, group in enumerate(model.logits(features, PROMPTS, ANSWERS)):
        for j, logits in enumerate(group):
            ids = [*tokenizer().encode(ANSWERS[i][j]), tokenizer().end]
            total = sum(logits.log_softmax(-1)[k, token].item() for k, token in enumerate(ids))
            assert len(logits) == len(ids)
            assert total == pytest.approx(values[i][j], abs=1e-4)


def test_hidden_states_of_each_prompt() -> None:
    """By textbook attention over one prompt at a time: the last layer's states are what the last norm is given."""
    model = vlm()
    features = model.connect(model.encode(pictures(2)))
    states = model.hidden(features, PROMPTS, [0, -1])
    for i, group in enumerate(PROMPTS):
        for j, prompt in enumerate(group):
            parts = [*model.trunk([features.lengths[i]]), *model.branch(tokenizer().encode(prompt))]
            expected = hidden(model.decoder, [compose(parts)], features.select([i]))
            assert states[i][j].shape == (2, len(expected), 32)
            assert torch.allclose(model.decoder.norm(states[i][j][1]), expected, atol=1e-4)
    blind = model.hidden(None, [["yes"]], [1])[0][0]
    alone = compose([Text([tokenizer().begin, *tokenizer().encode("yes"), tokenizer().answer])])
    assert blind.shape[1] == len(pack([alone]).sequence)
