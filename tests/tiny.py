"""Small random models and documents for tests.

Weights are far larger than a trained model's first ones, so that a token that sees what it must not changes the
outputs by far more than the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from chiasm.data.sequence import Packed, Part, Picture, Sequence, Text, allowed, compose, pack
from chiasm.models.checkpoint import build
from chiasm.models.decoders import Llama
from chiasm.models.features import Features
from chiasm.models.fusion import PrefixFusion
from chiasm.models.nn.attention import Attend
from chiasm.models.tokenizer import Tokenizer
from chiasm.models.vlm import VLM

VOCABULARY = 40
WIDTH = 32
LOC_BINS = 6


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Matrices as small as these take many times longer on several threads when the machine is busy. A test module
    switches this on by naming it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Large random weights, norms and biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                fan_in = parameter.shape[1]
                parameter.normal_(std=1.5 * fan_in**-0.5, generator=generator)
            else:
                parameter.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def decoder(seed: int = 0, **changes: Any) -> Llama:
    """Width 32, two layers, four heads over two key-value heads."""
    settings: dict[str, Any] = {"width": WIDTH, "depth": 2, "heads": 4, "kv_heads": 2, "hidden": 48, "tied": False}
    model = Llama(VOCABULARY, **(settings | changes))
    randomise(model, seed)
    return model


@cache
def tokenizer() -> Tokenizer:
    texts = ["what colour is the cup", "yes", "no", "a red cup on a table", "find the cat", "cup cat none"]
    return Tokenizer.train(texts, vocabulary=280, loc_bins=LOC_BINS)


def config(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "encoder": {"kind": "vit", "size": 16, "patch": 4, "width": 16, "depth": 2, "heads": 2},
        "connector": {"kind": "patch_merger", "in_width": 16, "out_width": WIDTH, "merge": 2},
        "decoder": {
            "kind": "llama",
            "vocabulary": len(tokenizer()),
            "width": WIDTH,
            "depth": 2,
            "heads": 4,
            "kv_heads": 2,
        },
        "fusion": {"kind": "prefix", "bidirectional": True},
        "dialect": {"prompts": {"ground": "find {phrase}"}, "scenes": ["beach"], "objects": ["cup", "cat"]},
    }
    return settings | changes


def vlm(seed: int = 0, **changes: Any) -> VLM:
    model = build(config(**changes), tokenizer())
    randomise(model, seed)
    return model


def pictures(count: int, seed: int = 0, size: int = 16) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in range(count)]


def features(documents: list[Sequence], seed: int = 0, width: int = WIDTH) -> Features | None:
    """Random E_post for all pictures of some documents."""
    lengths = [int((d.media == k).sum()) for d in documents for k in range(d.media.max(initial=-1) + 1)]
    if not lengths:
        return None
    tokens = torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(seed))
    return Features(tokens, tuple((1, n) for n in lengths), "connector")


class Masked:
    """The textbook attention: every token against every token, under a written-out mask."""

    def __init__(self, packed: Packed):
        self.mask = torch.from_numpy(allowed(packed))

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(~self.mask, -torch.inf).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, v).flatten(1)


def hidden(model: Llama, documents: list[Sequence], given: Features | None, attend: Attend | None = None) -> Tensor:
    """Hidden states of packed documents, with the textbook attention unless told otherwise."""
    packed = pack(documents)
    embeddings = PrefixFusion()(packed, model.embed, given)
    return model(embeddings, torch.from_numpy(packed.sequence.positions), attend or Masked(packed))


def row(trunk: list[Part], branch: list[Part] = ()) -> Sequence:  # type: ignore[assignment]
    """A trunk and one branch as a document without branches."""
    return compose([*trunk, *branch])


Document = tuple[list[Part], list[list[Part]]]
"""Trunk and branches, as `compose` takes them."""


@st.composite
def documents(draw: st.DrawFn, longest: int = 6, most_branches: int = 3, supervised: bool = False) -> Document:
    """Text and pictures, one-way or two-way, in the trunk and in any number of branches."""
    seen = 0

    def parts(fewest: int, may_supervise: bool) -> list[Part]:
        nonlocal seen
        result: list[Part] = []
        for _ in range(draw(st.integers(fewest, 3))):
            n = draw(st.integers(1, longest))
            if draw(st.booleans()):
                result.append(Picture(seen, n, draw(st.booleans())))
                seen += 1
            else:
                ids = draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=n, max_size=n))
                result.append(Text(ids, may_supervise and draw(st.booleans())))
        return result

    trunk: list[Part] = [Text([draw(st.integers(0, VOCABULARY - 1))]), *parts(0, supervised)]
    return trunk, [parts(1, supervised) for _ in range(draw(st.integers(0, most_branches)))]
