"""Greedy decoding: the engine against transformers' generate, from the same weights to the same tokens."""

from __future__ import annotations

from importlib.metadata import version

import torch
from measure import Row, compare, options, publish
from tiny import llama

from chiasm.data.sequence import Text, compose
from chiasm.models.adapters.weights import llama_from
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.engine import Engine

PROMPT, NEW = 64, 64
NEVER = -1  # an end token that is not in the vocabulary
PEER = f"transformers {version('transformers')} generate"
SIZES = (
    dict(vocabulary=1024, width=128, depth=4, heads=4, hidden=352),
    dict(vocabulary=2048, width=256, depth=6, heads=4, hidden=704),
    dict(vocabulary=4096, width=512, depth=8, heads=8, hidden=1408),
)


def row(size: dict[str, int], batch: int, repeats: int) -> Row:
    torch.manual_seed(0)
    peer = llama(**size)
    decoder = llama_from(peer)
    decoder.lay_out_for_decoding()  # as every model that is loaded from a checkpoint
    engine = Engine(decoder, PrefixFusion(), end=NEVER)
    prompts = torch.randint(size["vocabulary"], (batch, PROMPT))
    documents = [compose([Text(prompt.tolist())]) for prompt in prompts]
    mask = torch.ones_like(prompts)

    def ours() -> list[list[int]]:
        return [generated.ids for generated in engine.generate(documents, None, limit=NEW)]

    @torch.inference_mode()
    def theirs() -> list[list[int]]:
        out = peer.generate(prompts, attention_mask=mask, max_new_tokens=NEW, do_sample=False, pad_token_id=0)
        return out[:, PROMPT:].tolist()

    assert ours() == theirs(), "the two don't write the same tokens"
    parameters = sum(p.numel() for p in peer.parameters()) / 1e6
    return compare(
        f"{parameters:.1f} M parameters, batch {batch}",
        PEER,
        ours,
        theirs,
        repeats,
        amount=batch * NEW,
        unit="tokens/s",
        aim=1.5 if parameters < 10 else 1.0,
    )


def main() -> None:
    chosen = options(__doc__, repeats=11)
    rows = [row(size, batch, chosen.repeats) for size in SIZES for batch in (1, 8)]
    notes = (
        f"New tokens a second, {NEW} of them after a prompt of {PROMPT} whose time is included; fp32, random weights, "
        "no end token, both in inference mode with their default cache and attention."
    )
    publish("decode", "Greedy decoding", notes, rows, chosen.json)


if __name__ == "__main__":
    main()
