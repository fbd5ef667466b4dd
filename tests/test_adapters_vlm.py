"""Published architectures behind the house protocol, opened from disk: the same numbers as the library's own calls."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from tiny_checkpoints import MAKERS, checkpoint, picture

from chiasm.models.adapters.transformers.vlm import TransformersVLM, open_vlm

one_thread = tiny.one_thread
OWN_PREFIX = ("paligemma", "instructblip", "florence2", "blip2_t5")
every = pytest.mark.parametrize("kind", MAKERS)
shared_prefix = pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in OWN_PREFIX])
PROMPTS = [["what colour is the circle?", "is it red or blue?", "what?"], ["describe the image"]]


@cache
def opened(kind: str) -> TransformersVLM:
    return open_vlm(str(checkpoint(kind)))


def pictures() -> list[Any]:
    """Of different sizes and shapes."""
    return [picture(), picture(90, 40, 1), picture(30, 70, 2)]


def of_library(model: TransformersVLM, image: Any, text: str) -> dict[str, Any]:
    """What the library makes of a picture and a prompt."""
    if getattr(model.processor, "chat_template", None):
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        return dict(
            model.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        )
    written = model.architecture.prompt_form.replace("{prompt}", text)
    return dict(model.processor(images=image, text=written, return_tensors="pt"))


def asked(model: TransformersVLM, image: Any, text: str) -> tuple[Any, list[list[str]]]:
    """E_pre where the connector reads the prompt, and E_post elsewhere."""
    e_pre = model.encode([image])
    return (e_pre if model.architecture.model.startswith("InstructBlip") else model.connect(e_pre)), [[text]]


@every
def test_features_are_those_of_the_library(kind: str) -> None:
    model = opened(kind)
    captured = model.capture(pictures(), model.sites())
    e_post = model.connect(model.encode(pictures()))
    assert e_post.site == "connector"
    for i, image in enumerate(pictures()):
        inputs = of_library(model, image, model.dialect.prompts["caption"])
        wanted = {name: inputs[name] for name in model.architecture.inputs if name in inputs}
        with torch.no_grad():
            output = model.vision.connection.features(wanted)
        (theirs,) = model.vision.connection.output(output, 1)
        assert torch.allclose(captured["connector"].split()[i], theirs, atol=1e-6)
        assert torch.allclose(e_post.split()[i], theirs, atol=1e-6)
    for features in captured.values():
        assert sum(features.lengths) == len(features.tokens)
        assert features.tokens.isfinite().all()


@every
def test_answers_are_those_of_the_library(kind: str) -> None:
    model = opened(kind)
    for image, text in zip(pictures(), ("what colour is the circle?", "red", "is it blue?"), strict=True):
        inputs = of_library(model, image, text)
        extra = {"generation_mode": "text"} if kind == "janus" else {}
        theirs = model.model.generate(**inputs, max_new_tokens=6, do_sample=False, num_beams=1, **extra)[0]
        if not model.model.config.get_text_config().is_encoder_decoder and not model.model.config.is_encoder_decoder:
            theirs = theirs[inputs["input_ids"].shape[1] :]
        features, prompts = asked(model, image, text)
        ((ours,),) = model.generate(features, prompts, limit=6)
        assert ours.text == model.processor.tokenizer.decode(theirs, skip_special_tokens=True).strip()


@every
def test_injected_features_are_bit_equal_to_the_pixel_path(kind: str) -> None:
    model = opened(kind)
    for image in pictures():
        features, prompts = asked(model, image, "what colour?")
        ((ours,),) = model.logits(features, prompts, [["red"]])
        inputs = of_library(model, image, "what colour?") | first_token(model)
        answer = model.prompter.answer("what colour?", "red", features.context[0])
        for token in answer:
            inputs = longer(model, inputs, token)
        with torch.no_grad():
            theirs = model.model(**inputs, **_last(model, len(answer) + 1)).logits[0, -len(answer) - 1 : -1]
        assert torch.equal(ours, theirs)
        zeroed = replace(features, tokens=torch.zeros_like(features.tokens))
        ((blank,),) = model.logits(zeroed, prompts, [["red"]])
        assert (blank - theirs).abs().max() > 1e-3


def _last(model: TransformersVLM, tokens: int) -> dict[str, Any]:
    """Products with the head of as many rows as ours: with other sizes they differ in the last bit."""
    return {} if hasattr(model.decoder, "begin") else {"logits_to_keep": tokens}


def first_token(model: TransformersVLM) -> dict[str, Any]:
    begin = getattr(model.decoder, "begin", None)
    return {} if begin is None else {"decoder_input_ids": torch.tensor([begin])}


@every
def test_batches_are_as_single_calls(kind: str) -> None:
    """Pictures of several sizes with several prompts each: features, answers and log-probabilities."""
    model = opened(kind)
    prompts = [*PROMPTS, ["it?", "is the image red? is the circle blue?"]]
    answers = [["red", "yes", "a circle"], [""], ["blue", "red"]]
    features = model.connect(model.encode(pictures()))
    together = model.generate(features, prompts, limit=6)
    values = model.logprob(features, prompts, answers)
    logits = model.logits(features, prompts, answers)
    for i, image in enumerate(pictures()):
        alone = model.connect(model.encode([image]))
        assert torch.allclose(alone.tokens, features.split()[i], atol=1e-5)
        for j, prompt in enumerate(prompts[i]):
            ((answer,),) = model.generate(alone, [[prompt]], limit=6)
            assert (answer.raw, answer.problem) == (together[i][j].raw, together[i][j].problem)
            assert answer.logprob == pytest.approx(together[i][j].logprob, abs=1e-3)
            ((value,),) = model.logprob(alone, [[prompt]], [[answers[i][j]]])
            assert value == pytest.approx(values[i][j], abs=1e-3)
            assert len(logits[i][j]) >= 1


@every
def test_logprob_is_the_sum_of_explicit_forwards(kind: str) -> None:
    """The library, asked for one more token at a time."""
    model = opened(kind)
    image, text = picture(), "what colour?"
    features, prompts = asked(model, image, text)
    ((value,),) = model.logprob(features, prompts, [["red"]])
    inputs = of_library(model, image, text) | first_token(model)
    expected = 0.0
    for token in model.prompter.answer(text, "red", features.context[0]):
        with torch.no_grad():
            logits = model.model(**inputs).logits[0, -1]
        expected += logits.float().log_softmax(-1)[token].item()
        inputs = longer(model, inputs, token)
    assert value == pytest.approx(expected, abs=1e-3)


def longer(model: TransformersVLM, inputs: dict[str, Any], token: int) -> dict[str, Any]:
    """The library's inputs with one more token of an answer behind them."""
    if "decoder_input_ids" in inputs:
        values = {"decoder_input_ids": token}
    else:
        values = {"input_ids": token, "attention_mask": 1, "mm_token_type_ids": 0, "image_embeds_position_mask": 0}
        values["token_type_ids"] = model.architecture.answer_type
    more = {name: inputs[name].new_full((1, 1), value) for name, value in values.items() if name in inputs}
    return {k: v for k, v in inputs.items() if k != "labels"} | {
        name: torch.cat([inputs[name], value], 1) for name, value in more.items()
    }


@shared_prefix
def test_the_prefix_of_a_picture_runs_once_for_all_its_questions(kind: str) -> None:
    """Tokens that go into the first decoder layer: those of the trunk once, not three times."""
    model = opened(kind)
    features = model.connect(model.encode([picture()]))
    fed: list[int] = []
    hook = model.decoder.layers[0].register_forward_pre_hook(
        lambda _, args, kwargs: fed.append((args[0] if args else kwargs["hidden_states"]).shape[:2].numel()),
        with_kwargs=True,
    )
    together = model.generate(features, PROMPTS[:1], limit=3)
    hook.remove()
    lengths = [state.shape[1] for state in model.hidden(features, PROMPTS[:1], [0])[0]]
    assert fed[0] >= features.lengths[0]
    assert sum(fed[:2]) < sum(lengths)
    alone = [model.generate(features, [[prompt]], limit=3)[0][0] for prompt in PROMPTS[0]]
    assert [a.raw for a in together[0]] == [a.raw for a in alone]


@every
def test_hidden_states_are_those_of_the_library(kind: str) -> None:
    model = opened(kind)
    features, prompts = asked(model, picture(), "what colour?")
    ((states,),) = model.hidden(features, prompts, [0, -1])
    inputs = of_library(model, picture(), "what colour?")
    seen: list[torch.Tensor] = []
    hooks = [
        model.decoder.layers[k].register_forward_hook(
            lambda _, args, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
        )
        for k in (0, -1)
    ]
    with torch.no_grad():
        model.model(**inputs, **first_token(model))
    for hook in hooks:
        hook.remove()
    assert torch.allclose(states, torch.cat(seen), atol=1e-5)


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def test_patches_are_in_raster_order(kind: str) -> None:
    """Without its layers the encoder mixes no patches: where a patch of the picture is changed, the token of that
    place changes and no other. 6 rows of 8 patches, of which neither fills whole windows."""
    model = open_vlm(str(checkpoint(kind)))
    model.model.model.visual.blocks = torch.nn.ModuleList()
    model.vision.connection.deepstack = ()
    plain = np.full((48, 64, 3), 90, np.uint8)
    before = model.encode([plain])
    assert before.grids == ((6, 8),)
    for row, column in [(0, 0), (0, 5), (3, 2), (4, 7), (5, 4)]:
        marked = plain.copy()
        marked[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 200
        moved = (model.encode([marked]).tokens - before.tokens).abs().amax(1)
        assert moved.nonzero().flatten().tolist() == [row * 8 + column]


@every
def test_layers_see_the_tokens_that_the_connector_gets(kind: str) -> None:
    """Sites in the order of a picture's way; without what the model itself leaves out (a class token, padding)."""
    model = opened(kind)
    found = model.capture(pictures(), model.sites())
    assert list(found) == list(model.sites())
    layers = [features for site, features in found.items() if site.startswith("encoder.")]
    assert bool(layers) == (kind != "chameleon")
    for features in layers:
        merged = 4 if kind == "internvl" else 1  # it joins 2 x 2 tokens before the connector
        coarser = 4 if kind == "florence2" and features is layers[0] else 1  # its stages get coarser
        assert features.lengths == [length * merged * coarser for length in found["encoder"].lengths]
    normed = found["connector.in"].tokens
    assert (model.architecture.norm is None) == torch.equal(normed, found["encoder"].tokens)
