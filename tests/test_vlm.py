"""The model as its users call it: pictures and questions in, answers and log-probabilities out."""

import math

import pytest
import tiny
import torch
from tiny import config, hidden, pictures, tokenizer, vlm

from chiasm.data.sequence import IMAGE, Picture, Text, compose, pack, targets
from chiasm.errors import ConfigError
from chiasm.models.checkpoint import build
from chiasm.models.generation.constraints import Choices

one_thread = tiny.one_thread
PROMPTS = [["what colour is the cup", "find the cat"], ["yes"], ["no", "a red cup on a table", "is it"]]
ANSWERS = [["red", "none"], [""], ["a cup", "日本<loc_1>", "no"]]


def seen(model, count: int = 3):
    return model.connect(model.encode(pictures(count)))


def test_encode_connect_and_their_sites() -> None:
    model = vlm()
    e_pre = model.encode(pictures(2))
    assert (e_pre.site, e_pre.grids, e_pre.tokens.shape) == ("encoder", ((4, 4), (4, 4)), (32, 16))
    e_post = model.connect(e_pre)
    assert (e_post.site, e_post.grids, e_post.tokens.shape) == ("connector", ((2, 2), (2, 2)), (8, 32))


def test_a_document_a_picture_and_a_branch_a_prompt() -> None:
    model = vlm()
    documents = model.documents(seen(model), PROMPTS)
    assert [int(d.segment.max()) for d in documents] == [2, 1, 3]
    for document, prompts in zip(documents, PROMPTS, strict=True):
        assert document.tokens[0] == tokenizer().begin
        assert (document.kind == IMAGE).sum() == 4
        for k, prompt in enumerate(prompts, 1):
            branch = document.tokens[document.segment == k].tolist()
            assert branch == [*tokenizer().encode(prompt), tokenizer().answer]
        assert not document.supervise.any()


def test_targets_are_the_answer_and_the_closing_token() -> None:
    model = vlm()
    documents = model.documents(seen(model), PROMPTS, ANSWERS)
    _, ids = targets(pack(documents))
    wanted = [answer for group in ANSWERS for answer in group]
    closing = [i for i, token in enumerate(ids) if token == tokenizer().end]
    assert len(closing) == len(wanted)
    assert closing[-1] == len(ids) - 1
    starts = [0, *(i + 1 for i in closing[:-1])]
    decoded = [tokenizer().decode(ids[a:b].tolist()) for a, b in zip(starts, closing, strict=True)]
    assert decoded == wanted


def test_answers_are_those_of_separate_calls() -> None:
    model = vlm()
    features = seen(model)
    together = model.generate(features, PROMPTS, limit=6)
    for i, prompts in enumerate(PROMPTS):
        for answer, prompt in zip(together[i], prompts, strict=True):
            ((alone,),) = model.generate(features.select([i]), [[prompt]], limit=6)
            assert answer.text == alone.text == answer.raw
            assert answer.logprob == pytest.approx(alone.logprob, abs=1e-5)
    assert len({a.text for group in together for a in group}) > 3


def test_the_picture_is_looked_at_and_may_be_left_out() -> None:
    model = vlm()
    shown = model.generate(seen(model, 1), [["is it"]], limit=6)
    blind = model.generate(None, [["is it"]], limit=6)
    assert shown != blind


def test_an_answer_that_ran_into_the_limit_has_a_problem() -> None:
    model = vlm()
    ((cut,),) = model.generate(None, [["is it"]], limit=2)
    assert cut.problem == "ran into the limit of 2 tokens"
    ((whole,),) = model.generate(None, [["is it"]], limit=10, constraints=Choices(tokenizer(), ["yes", "no"]))
    assert whole.problem is None
    assert whole.text in ("yes", "no")


def test_logprob_is_the_sum_of_an_explicit_forward() -> None:
    """Each answer in a document of its own, by textbook attention, token by token."""
    model = vlm()
    features = seen(model)
    values = model.logprob(features, PROMPTS, ANSWERS)
    assert [len(v) for v in values] == [2, 1, 3]
    for i, (prompts, answers) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        for value, prompt, answer in zip(values[i], prompts, answers, strict=True):
            asked = [tokenizer().begin], [*tokenizer().encode(prompt), tokenizer().answer]
            wanted = [*tokenizer().encode(answer), tokenizer().end]
            row = compose([Text(asked[0]), Picture(0, 4, True), Text(asked[1]), Text(wanted)])
            logprobs = model.decoder.head(hidden(model.decoder, [row], features.select([i]))).log_softmax(-1)
            expected = sum(
                logprobs[place, token].item() for place, token in enumerate(wanted, len(row) - len(wanted) - 1)
            )
            assert value == pytest.approx(expected, abs=1e-4)


def test_mean_logprob_of_an_answer_agrees_with_logprob() -> None:
    model = vlm()
    features = seen(model, 1)
    choices = ["yes", "no", "a cup"]
    ((answer,),) = model.generate(features, [["is it"]], limit=20, constraints=Choices(tokenizer(), choices[:1]))
    assert answer.logprob == 0  # there was only one way to go
    totals = [model.logprob(features, [["is it"]], [[c]])[0][0] for c in choices]
    assert sum(map(math.exp, totals)) < 1
    assert all(t < 0 for t in totals)


def test_nothing_leaks_a_gradient() -> None:
    model = vlm()
    features = seen(model, 1)
    assert features.tokens.requires_grad
    model.generate(features, [["is it"]], limit=2)
    loss = hidden(model.decoder, model.documents(features, [["is it"]]), features).sum()
    loss.backward()
    assert all(p.grad is not None for p in model.encoder.parameters())


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_other_connectors_take_their_own_number_of_places(kind: str) -> None:
    model = vlm(connector={"kind": kind, "in_width": 16, "out_width": 32})
    features = seen(model, 1)
    (document,) = model.documents(features, [["is it"]])
    assert (document.kind == IMAGE).sum() == 16
    assert model.generate(features, [["is it"]], limit=2)


def test_wrong_numbers_are_named() -> None:
    model = vlm()
    features = seen(model)
    with pytest.raises(ConfigError, match="3 pictures but prompts for 2"):
        model.generate(features, PROMPTS[:2])
    with pytest.raises(ConfigError, match="at least one prompt"):
        model.generate(features, [["yes"], [], ["no"]])
    with pytest.raises(ConfigError, match="picture 1 has 1 prompts but 2 answers"):
        model.logprob(features, PROMPTS, [["a", "b"], ["a", "b"], ["a", "b", "c"]])
    with pytest.raises(ConfigError, match="prompts for 3 pictures but answers for 2"):
        model.logprob(features, PROMPTS, ANSWERS[:2])


def test_parts_that_do_not_fit_together() -> None:
    with pytest.raises(ConfigError, match="tokenizer has"):
        build(config(decoder={"kind": "llama", "vocabulary": 10, "width": 32, "heads": 4}), tokenizer())


def test_the_model_is_the_line_of_the_house() -> None:
    """encode, connect, decode by hand is what generate does first."""
    model = vlm()
    features = model.connector(model.encoder(model.encoder.preprocess(pictures(1))))
    row = compose(model.trunk([4]) + model.branch(tokenizer().encode("is it")))
    first = model.decoder.head(hidden(model.decoder, [row], features)[-1]).argmax().item()
    ((answer,),) = model.generate(seen(model, 1), [["is it"]], limit=1)
    assert answer.raw == tokenizer().decode([first])
    assert torch.equal(features.tokens, seen(model, 1).tokens)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_connector_that_does_not_fit_is_named(part: str) -> None:
    wrong = config()
    wrong["connector"]["in_width" if part == "encoder" else "out_width"] = 12
    with pytest.raises(ConfigError, match=r"the connector takes \d+ wide tokens to \d+, but"):
        build(wrong, tokenizer())
