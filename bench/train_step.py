"""A train step: ours against a plain loop over transformers' SigLIP tower and Llama, from the same weights to the same
loss; and packed rows against padded ones on lengths with a long tail."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from measure import Row, compare, options, publish
from tiny import llama_twin, random_tiny, siglip_twin
from torch import Tensor, nn
from transformers import LlamaForCausalLM, SiglipVisionModel

from chiasm.data.sequence import IMAGE, Packed, Text, compose, pack, targets, views
from chiasm.data.sequence import Sequence as TokenSequence
from chiasm.data.worlds.scenes import Scenes
from chiasm.models.connectors import PatchMerger
from chiasm.models.features import Features
from chiasm.models.nn.attention import lower
from chiasm.models.vlm import VLM
from chiasm.training.objectives.language import Language, LanguageBatch

PICTURES = 16
TRANSFORMERS = f"transformers {version('transformers')}"


@dataclass(frozen=True)
class PaddedBatch:
    """The rows of a pack as transformers takes them: (rows, longest row) each, padded on the right.

    features   number of the picture feature that fills a place, -1 for text
    """

    pixels: Tensor | None
    tokens: Tensor
    attention_mask: Tensor
    labels: Tensor
    features: Tensor


class PlainModel(nn.Module):
    """What a LLaVA trainer writes: tower, connector, picture features in the places of image tokens, `labels=`. A
    picture that several rows share is encoded once."""

    def __init__(self, tower: SiglipVisionModel, connector: PatchMerger, language: LlamaForCausalLM):
        super().__init__()
        self.tower, self.connector, self.language = tower, connector, language

    def loss(self, batch: PaddedBatch) -> Tensor:
        embeddings = self.language.get_input_embeddings()(batch.tokens)
        if batch.pixels is not None:
            seen = self.tower(batch.pixels).last_hidden_state
            side = round(seen.shape[1] ** 0.5)
            joined = self.connector(Features(seen.flatten(0, 1), ((side, side),) * len(seen), "encoder")).tokens
            is_image = batch.features >= 0
            embeddings = embeddings.to(joined.dtype).masked_scatter(
                is_image[..., None], joined[batch.features[is_image]]
            )
        out = self.language(inputs_embeds=embeddings, attention_mask=batch.attention_mask, labels=batch.labels)
        return out.loss


def padded(packed: Packed, pixels: Tensor | None) -> PaddedBatch:
    """A row for each trunk without branches and for each branch with what it sees."""
    sequence = packed.sequence
    found = views(packed)
    branched = {view.document for view in found if view.segment}
    rows = [view.seen for view in found if view.segment or view.document not in branched]
    feature = np.where(sequence.kind == IMAGE, np.cumsum(sequence.kind == IMAGE) - 1, -1)
    labels = np.where(sequence.supervise, sequence.tokens, -100)

    def stack(values: np.ndarray, padding: int) -> Tensor:
        parts = [torch.from_numpy(values[row]) for row in rows]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=padding)

    return PaddedBatch(
        pixels,
        stack(sequence.tokens, 0).clamp(min=0),
        stack(np.ones(len(sequence), np.int64), 0),
        stack(labels, -100),
        stack(feature, -1),
    )


def conversations(objective: Language, batch: LanguageBatch) -> LanguageBatch:
    """The same pictures, prompts and answers, a picture's prompts one after the other as turns of one row."""
    sequence, offsets = batch.packed.sequence, batch.packed.offsets
    documents = []
    for start, stop in itertools.pairwise(offsets):
        text = slice(start + int((sequence.segment[start:stop] == 0).sum()), stop)
        trunk = objective.model.trunk([int((sequence.kind[start:stop] == IMAGE).sum())])
        borders = np.flatnonzero(np.diff(sequence.supervise[text])) + 1
        pieces = zip(np.split(sequence.tokens[text], borders), np.split(sequence.supervise[text], borders), strict=True)
        documents.append(compose(trunk, [[Text(tokens, bool(flags[0])) for tokens, flags in pieces]]))
    return ready(documents, batch.pictures)


def ready(documents: Sequence[TokenSequence], pictures: Tensor | Features | None) -> LanguageBatch:
    packed = pack(documents)
    sources, ids = (torch.from_numpy(a) for a in targets(packed))
    return LanguageBatch(pictures, packed, lower(packed), sources, ids)


def trainer(loss: Callable[[], Tensor], module: nn.Module, bf16: bool) -> Callable[[], float]:
    """One loop for both sides: forward, backward, clip, AdamW."""
    adam = torch.optim.AdamW(module.parameters(), lr=1e-5, betas=(0.9, 0.98), weight_decay=0.05, fused=True)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        return value.item()

    return step


def steps(
    objective: Language, plain: PlainModel, ours: LanguageBatch, theirs: PaddedBatch, bf16: bool
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Our step and theirs, each on its own copy of the weights; their first losses have to agree."""
    objective, plain = copy.deepcopy(objective), copy.deepcopy(plain)
    count = len(ours.ids)
    our_step = trainer(lambda: objective.losses(ours)["language"] / count, objective.model.train(), bf16)
    their_step = trainer(lambda: plain.loss(theirs), plain.train(), bf16)
    a, b = our_step(), their_step()
    assert abs(a - b) < (2e-2 if bf16 else 1e-4) * b, f"the losses differ: ours {a}, theirs {b}"
    return our_step, their_step


def picture_rows(objective: Language, plain: PlainModel, repeats: int) -> list[Row]:
    branches = objective.prepare([(0, i) for i in range(PICTURES)])
    layouts = {
        "prompts as turns of one row": conversations(objective, branches),
        "prompts apart": branches,
    }
    rows = []
    for layout, batch in layouts.items():
        theirs = padded(batch.packed, batch.pictures)
        for bf16 in (False, True):
            what = f"{layout}, {'bf16' if bf16 else 'fp32'}"
            peer = f"{TRANSFORMERS}, {theirs.tokens.shape[0]} rows of {theirs.tokens.shape[1]}"
            calls = steps(objective, plain, batch, theirs, bf16)
            rows.append(compare(what, peer, *calls, repeats, amount=PICTURES, unit="pictures/s", aim=1.15))
    return rows


def length_rows(objective: Language, plain: PlainModel, repeats: int) -> tuple[list[Row], str]:
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(48), 0.8, 32), 8, 512).astype(int)
    vocabulary = objective.model.decoder.embed.num_embeddings

    texts = [random.integers(vocabulary, size=length) for length in lengths]

    def document(ids: np.ndarray, padding: int = 0) -> TokenSequence:
        answer = len(ids) // 3
        return compose([Text(ids[:-answer]), Text(ids[-answer:], supervise=True), Text([0] * padding)])

    packed = ready([document(ids) for ids in texts], None)
    widened = ready([document(ids, max(lengths) - len(ids)) for ids in texts], None)
    theirs = padded(packed.packed, None)
    rows = []
    for bf16 in (False, True):
        name = "bf16" if bf16 else "fp32"
        ours, transformers = steps(objective, plain, packed, theirs, bf16)
        ours_padded, _ = steps(objective, plain, widened, theirs, bf16)
        amount = int(lengths.sum())
        more = dict(amount=amount, unit="useful tokens/s", aim=2)
        rows.append(compare(f"long tail, {name}", f"{TRANSFORMERS}, padded", ours, transformers, repeats, **more))
        rows.append(compare(f"long tail, {name}", "ours, padded", ours, ours_padded, repeats, **more))
    quarter, half, most = np.quantile(lengths, [0.25, 0.5, 0.9])
    words = (
        f"The long tail is {len(lengths)} rows of text drawn log-normally (median 48, sigma 0.8, cut at 8 and 512): a "
        f"quarter has at most {quarter:.0f} tokens, half at most {half:.0f}, nine tenths at most {most:.0f}, the "
        f"longest {lengths.max()}; padded to it, {lengths.mean() / lengths.max():.0%} of the places hold a token."
    )
    return rows, words


def main() -> None:
    chosen = options(__doc__, repeats=5)
    torch.manual_seed(0)
    model: VLM = random_tiny(bidirectional=False)  # causal among a picture's tokens, as transformers' Llama is
    plain = PlainModel(siglip_twin(model), copy.deepcopy(model.connector), llama_twin(model))
    objective = Language(model, Scenes("train"))
    rows = picture_rows(objective, plain, chosen.repeats)
    text_rows, lengths = length_rows(objective, plain, chosen.repeats)
    notes = (
        f"chiasm-tiny's sizes, {PICTURES} pictures with up to 12 prompts each; forward, backward, clipping and fused "
        "AdamW, one loop for both sides; the batch is made before the clock starts. The peer's connector is ours, it "
        "encodes a picture once, and its rows are padded on the right with an attention mask. As turns of one row both "
        "sides see the same tokens in the same order; apart, the peer has a row for each prompt with the picture's "
        f"tokens in front, and ours shares them. {lengths}"
    )
    publish("train_step", "A train step", notes, [*rows, *text_rows], chosen.json)


if __name__ == "__main__":
    main()
