"""Eight questions on one picture: one call that shares the picture's tokens, against a call a question."""

from __future__ import annotations

from importlib.metadata import version

import torch
from measure import compare, options, publish
from tiny import llama_twin, random_tiny

from chiasm.data.worlds.scenes import Scenes
from chiasm.models.features import Features
from chiasm.models.vlm import VLM

QUESTIONS, ANSWER = 8, 4
TRANSFORMERS = f"transformers {version('transformers')}, {QUESTIONS} generate calls"


def main() -> None:
    chosen = options(__doc__, repeats=25)
    torch.manual_seed(0)
    model = random_tiny(bidirectional=False)  # causal among a picture's tokens, as transformers' Llama is
    peer = llama_twin(model)
    example = next(e for e in map(Scenes("test").__getitem__, range(100)) if len(e.questions) >= QUESTIONS)
    questions = [question.text for question in example.questions[:QUESTIONS]]

    @torch.inference_mode()
    def look() -> Features:
        return model.connect(model.encode([example.image]))

    features = look()
    prompts = [torch.from_numpy(model.documents(features, [[question]])[0].tokens) for question in questions]

    def one_call() -> list[str]:
        return ask(model, features, questions)

    def separate_calls() -> list[str]:
        return [ask(model, features, [question])[0] for question in questions]

    @torch.inference_mode()
    def transformers() -> list[str]:
        texts = []
        for tokens in prompts:
            embeddings = peer.get_input_embeddings()(tokens.clamp(min=0))
            embeddings[1 : 1 + len(features.tokens)] = features.tokens
            ids = peer.generate(
                inputs_embeds=embeddings[None],
                attention_mask=torch.ones_like(tokens)[None],
                max_new_tokens=ANSWER,
                do_sample=False,
                pad_token_id=0,
            )
            texts.append(model.tokenizer.decode(ids[0].tolist()))
        return texts

    assert one_call() == separate_calls() == transformers(), "the answers differ"
    rows = [
        compare("picture encoded before", f"ours, {QUESTIONS} calls", one_call, separate_calls, chosen.repeats, aim=3),
        compare("picture encoded before", TRANSFORMERS, one_call, transformers, chosen.repeats),
        compare(
            "encoding included",
            f"ours, {QUESTIONS} calls that each encode",
            lambda: ask(model, look(), questions),
            lambda: [ask(model, look(), [question]) for question in questions],
            chosen.repeats,
            aim=3,
        ),
    ]
    asked = sum(len(tokens) - 1 - len(features.tokens) for tokens in prompts) / QUESTIONS
    notes = (
        f"chiasm-tiny's sizes with random weights, fp32. The picture takes {len(features.tokens)} tokens of the "
        f"decoder, a question {asked:.0f} on average and every answer exactly {ANSWER}."
    )
    publish("shared_prefix", f"{QUESTIONS} questions on one picture", notes, rows, chosen.json)


def ask(model: VLM, features: Features, questions: list[str]) -> list[str]:
    answers = model.generate(features, [questions], limit=ANSWER)[0]
    assert all(answer.problem for answer in answers), "an answer closed before its limit"
    return [answer.text for answer in answers]


if __name__ == "__main__":
    main()
