"""A vision-language model: image --encoder--> E_pre --connector--> E_post --decoder--> text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.data.instructions import fold
from chiasm.data.sequence import IMAGE, Packed, Part, Text, compose, pack, targets, views
from chiasm.data.sequence import Sequence as TokenSequence
from chiasm.errors import ConfigError
from chiasm.models.connectors import Connector
from chiasm.models.decoders import Llama
from chiasm.models.encoders import ViT
from chiasm.models.features import Features
from chiasm.models.fusion import PrefixFusion
from chiasm.models.generation.constraints import Constraint
from chiasm.models.generation.engine import GREEDY, Engine, Generated
from chiasm.models.generation.sampling import Sampling
from chiasm.models.nn.attention import lower
from chiasm.models.protocol import Dialect, Patched, Picture
from chiasm.models.recording import overwritten, recorded
from chiasm.models.tokenizer import Tokenizer
from chiasm.types import Answer


class VLM(nn.Module):
    """Plain composition of an encoder, a connector, a decoder and a fusion, with the tokenizer the decoder was trained
    with. `E_pre` is what `encode` returns and `E_post` what `connect` returns; the decoder takes any `E_post`."""

    def __init__(
        self,
        encoder: ViT,
        connector: Connector,
        decoder: Llama,
        fusion: PrefixFusion,
        tokenizer: Tokenizer,
        dialect: Dialect | None = None,
    ):
        super().__init__()
        if decoder.embed.num_embeddings < len(tokenizer):
            raise ConfigError(
                f"the decoder embeds {decoder.embed.num_embeddings} tokens, but the tokenizer has {len(tokenizer)}"
            )
        if (encoder.width, decoder.width) != (connector.in_width, connector.out_width):
            raise ConfigError(
                f"the connector takes {connector.in_width} wide tokens to {connector.out_width}, but the encoder's are "
                f"{encoder.width} wide and the decoder's {decoder.width}"
            )
        self.encoder, self.connector, self.decoder, self.fusion = encoder, connector, decoder, fusion
        self.tokenizer, self.dialect = tokenizer, dialect or Dialect()
        self.engine = Engine(decoder, fusion, tokenizer.end)

    def sites(self) -> tuple[str, ...]:
        """See `VisionLanguageModel.sites`."""
        layers = (f"encoder.{layer}" for layer in range(len(self.encoder.blocks)))
        return (*layers, "encoder", "connector.in", "connector")

    def encode(self, images: Sequence[Picture]) -> Features:
        """RGB pictures of any size -> E_pre."""
        return self.encoder(self.encoder.preprocess(images))

    def connect(self, features: Features) -> Features:
        """E_pre -> E_post."""
        return self.connector(features)

    def capture(self, images: Sequence[Picture], sites: Sequence[str]) -> dict[str, Features]:
        """See `VisionLanguageModel.capture`."""
        if unknown := set(sites) - set(self.sites()):
            raise ConfigError(f"this model has no site {sorted(unknown)}; it has {', '.join(self.sites())}")
        layers = {f"encoder.{layer}": block for layer, block in enumerate(self.encoder.blocks)}
        with torch.no_grad(), recorded(layers) as outputs:
            e_pre = self.encode(images)
            found = {site: replace(e_pre, tokens=tokens, site=site) for site, tokens in outputs.items()}
            found |= {"encoder": e_pre, "connector.in": self.connector.normalize(e_pre)}
            if "connector" in sites:
                found["connector"] = self.connect(e_pre)
        return {site: found[site] for site in sites}

    def trunk(self, pictures: Sequence[int]) -> list[Part]:
        """The shared start of a document: the begin token, then each picture by its number of E_post tokens."""
        return [
            Text([self.tokenizer.begin]),
            *(self.fusion.picture(index, tokens) for index, tokens in enumerate(pictures)),
        ]

    def branch(self, prompt: Sequence[int], answer: Sequence[int] | None = None) -> list[Part]:
        """A question as token ids; with its answer, the answer and the closing token are targets."""
        parts: list[Part] = [Text([*prompt, self.tokenizer.answer])]
        return parts if answer is None else [*parts, Text([*answer, self.tokenizer.end], supervise=True)]

    def documents(
        self,
        features: Features | None,
        prompts: Sequence[Sequence[str]],
        answers: Sequence[Sequence[str]] | None = None,
    ) -> list[TokenSequence]:
        """One document a picture (`features` is E_post), with a branch for each of `prompts[i]`. Without features,
        text-only documents. Raises ConfigError where a picture has no prompt or the numbers do not match."""
        if features is not None and len(features) != len(prompts):
            raise ConfigError(f"{len(features)} pictures but prompts for {len(prompts)}")
        if answers is not None and len(answers) != len(prompts):
            raise ConfigError(f"prompts for {len(prompts)} pictures but answers for {len(answers)}")
        if any(not p for p in prompts):
            raise ConfigError("every picture needs at least one prompt")
        encoded = self._encode_nested([[fold(p) for p in group] for group in prompts])
        answered = self._encode_nested(answers) if answers is not None else None
        result = []
        for i, ids in enumerate(encoded):
            trunk = self.trunk([features.lengths[i]] if features is not None else [])
            wanted = answered[i] if answered is not None else [None] * len(ids)
            if len(wanted) != len(ids):
                raise ConfigError(f"picture {i} has {len(ids)} prompts but {len(wanted)} answers")
            result.append(compose(trunk, [self.branch(p, a) for p, a in zip(ids, wanted, strict=True)]))
        return result

    def generate(
        self,
        features: Features | None,
        prompts: Sequence[Sequence[str]],
        *,
        limit: int = 64,
        sampling: Sampling = GREEDY,
        constraints: Sequence[Constraint | None] | Constraint | None = None,
    ) -> list[list[Answer]]:
        """Answers to `prompts[i]` about picture i of `features` (E_post), greedy unless `sampling` says otherwise.

        `limit` is the most new tokens an answer may take; one that runs into it has a `problem`. `constraints` is one
        for all prompts or one a prompt, flat in order.
        """
        documents = self.documents(features, prompts)
        rows = iter(self.engine.generate(documents, features, limit, sampling, constraints))
        return [[self._answer(next(rows), limit) for _ in questions] for questions in prompts]

    def logprob(
        self, features: Features | None, prompts: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probability of each answer, its closing token included, after its prompt (teacher-forced)."""
        documents = self.documents(features, prompts, answers)
        parts = iter(self.engine.logprob(documents, features).split(_answer_lengths(pack(documents))))
        return [[next(parts).sum().item() for _ in questions] for questions in prompts]

    @torch.no_grad()
    def logits(
        self, features: Features | None, prompts: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]
    ) -> list[list[Tensor]]:
        """See `VisionLanguageModel.logits`."""
        packed = pack(self.documents(features, prompts, answers))
        parts = iter(self._answer_logits(packed, features)[0].split(_answer_lengths(packed)))
        return [[next(parts) for _ in group] for group in prompts]

    def answer_loss(
        self, features: Features, prompts: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]
    ) -> tuple[Tensor, int]:
        """See `VisionLanguageModel.answer_loss`."""
        logits, ids = self._answer_logits(pack(self.documents(features, prompts, answers)), features)
        return F.cross_entropy(logits.float(), ids, reduction="sum"), len(ids)

    @torch.no_grad()
    def hidden(
        self, features: Features | None, prompts: Sequence[Sequence[str]], layers: Sequence[int]
    ) -> list[list[Tensor]]:
        """See `VisionLanguageModel.hidden`."""
        packed = pack(self.documents(features, prompts))
        with recorded({str(layer): self.decoder.blocks[layer] for layer in layers}) as outputs:
            self._states(packed, features)
        states = torch.stack([outputs[str(layer)] for layer in layers])
        branches = (torch.from_numpy(view.seen) for view in views(packed) if view.segment > 0)
        return [[states[:, next(branches).to(states.device)] for _ in group] for group in prompts]

    @property
    def decoder_layers(self) -> int:
        """See `VisionLanguageModel.decoder_layers`."""
        return len(self.decoder.blocks)

    @torch.no_grad()
    def patched_logprob(
        self,
        features: Features,
        other: Features,
        prompts: Sequence[Sequence[str]],
        answers: Sequence[Sequence[str]],
        layers: Sequence[int],
        where: Patched,
    ) -> list[list[Tensor]]:
        """See `VisionLanguageModel.patched_logprob`."""
        if features.lengths != other.lengths:
            raise ConfigError("only the states of pictures with as many tokens can take each other's places")
        packed = pack(self.documents(features, prompts, answers))
        blocks = {str(layer): self.decoder.blocks[layer] for layer in layers}
        with recorded(blocks) as states:
            self._states(packed, other)
        places = torch.from_numpy(_places(packed, where)).to(other.tokens.device)
        rows = []
        for name, block in blocks.items():
            with overwritten(block, places, states[name]):
                logits, ids = self._answer_logits(packed, features)
            rows.append(logits.float().log_softmax(-1).gather(1, ids[:, None])[:, 0])
        parts = iter(torch.stack(rows).split(_answer_lengths(packed), dim=1))
        return [[next(parts).sum(dim=1) for _ in group] for group in prompts]

    def _answer_logits(self, packed: Packed, features: Features | None) -> tuple[Tensor, Tensor]:
        """Logits from which every token of the answers is chosen, and the ids of those tokens."""
        sources, ids = (torch.from_numpy(a).to(self.decoder.embed.weight.device) for a in targets(packed))
        return self.decoder.head(self._states(packed, features)[sources]), ids

    def _states(self, packed: Packed, features: Features | None) -> Tensor:
        """The decoder's last hidden states over packed documents."""
        embeddings = self.fusion(packed, self.decoder.embed, features)
        positions = torch.from_numpy(packed.sequence.positions).to(embeddings.device)
        return self.decoder(embeddings, positions, lower(packed, embeddings.device))

    def _encode_nested(self, texts: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        flat = iter(self.tokenizer.encode_batch([t for group in texts for t in group]))
        return [[next(flat) for _ in group] for group in texts]

    def _answer(self, row: Generated, limit: int) -> Answer:
        text = self.tokenizer.decode(row.ids)
        problem = None if row.complete else f"ran into the limit of {limit} tokens"
        return Answer(text, raw=text, logprob=sum(row.logprobs) / len(row.logprobs), problem=problem)


def _answer_lengths(packed: Packed) -> list[int]:
    """Tokens that are targets in each branch, in order."""
    return [int(packed.sequence.supervise[view.own].sum()) for view in views(packed) if view.segment > 0]


def _places(packed: Packed, where: Patched) -> np.ndarray:
    """The tokens of a kind, as a mask over the pack."""
    places = {"image": packed.sequence.kind == IMAGE, "answer": np.zeros(len(packed.sequence), dtype=bool)}
    places["answer"][targets(packed)[0]] = True
    return places[where] if where in places else ~(places["image"] | places["answer"])
