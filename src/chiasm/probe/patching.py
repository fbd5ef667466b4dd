"""Patching: through which tokens, at which decoder layer, what the picture says of the answer passes.

The decoder answers about a picture, but the states of some tokens at the output of one layer are those of its run on
another picture. The share of the two pictures' difference in log-probability that goes over with them is what those
states carry. At the first layers it is with the image's tokens, at the last with those the answer is chosen from.
(After activation patching, Vig et al. 2020 and Meng et al. 2022.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.protocol import Patched, VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.clusters import BOOTSTRAP, numbered
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.use import Advance, ratio_interval

WHERE: tuple[Patched, ...] = get_args(Patched)


@dataclass(frozen=True)
class PatchedLogprobs:
    """For n questions the log-probability of the right answer about the own picture and about another, (n,), and with
    the other's states in one layer: where -> (n, layers). `restored` is the same for the first questions with the own
    run's states put back. `left_out` pictures had no other one of as many tokens."""

    layers: tuple[int, ...]
    own: np.ndarray
    other: np.ndarray
    patched: Mapping[Patched, np.ndarray]
    restored: Mapping[Patched, np.ndarray]
    picture: np.ndarray
    left_out: int = 0


@torch.inference_mode()
def patched_logprobs(
    model: VisionLanguageModel,
    asked: Asked,
    layers: Sequence[int] = (),
    where: Sequence[Patched] = WHERE,
    *,
    batch: int = 16,
    advance: Advance = lambda pictures: None,
) -> PatchedLogprobs:
    """Patch every question at each layer (all of them if none are named; a negative one counts from the last) and each
    kind of token; the own states are put back in the first batch.

    Raises ConfigError for a layer that the model lacks and for an encoder-decoder model, DataError where no two
    pictures of a batch have as many tokens."""
    layers = _known(layers or range(model.decoder_layers), model.decoder_layers)
    own, other, pictures, left_out = [], [], [], 0
    patched: dict[Patched, list[np.ndarray]] = {kind: [] for kind in where}
    restored: dict[Patched, list[np.ndarray]] = {kind: [] for kind in where}
    for chosen, images in asked.batches(batch):
        features = model.connect(model.encode(images))
        partner = _partners(features)
        left_out += len(images) - len(partner)
        advance(len(images))
        if not partner:
            continue
        mine, others = features.select(list(partner)), features.select(list(partner.values()))
        numbers = [chosen[i] for i in partner]
        prompts, truths = asked.prompts(model.dialect, numbers), asked.truths(numbers)
        own += [value for group in model.logprob(mine, prompts, truths) for value in group]
        other += [value for group in model.logprob(others, prompts, truths) for value in group]
        pictures += [asked.examples[i].id for i in numbers for _ in asked.questions[i]]
        for kind in where:
            sources = [(others, patched[kind])] if restored[kind] else [(others, patched[kind]), (mine, restored[kind])]
            for source, rows in sources:
                values = model.patched_logprob(mine, source, prompts, truths, layers, kind)
                rows += [value.float().cpu().numpy() for group in values for value in group]
    if not own:
        raise DataError(
            "no two pictures have as many tokens, so none can take another's place; resize them to one size"
        )
    return PatchedLogprobs(
        layers,
        np.array(own),
        np.array(other),
        {kind: np.stack(rows) for kind, rows in patched.items()},
        {kind: np.stack(rows) for kind, rows in restored.items()},
        np.array(pictures, dtype=object),
        left_out,
    )


def carried(logprobs: PatchedLogprobs, seed: int = 0) -> tuple[Measurement, ...]:
    """`carried.WHERE` at each layer: the sum over questions of own less patched, over that of own less other. 0 where
    nothing goes over, 1 where all does; above 1 or below 0 where other tokens hold against it. The null puts the run's
    own states back. Without a value where the own picture does not make the right answers likelier."""
    drop = logprobs.own - logprobs.other
    cluster = numbered(logprobs.picture.tolist(), len(drop))
    least = ratio_interval(drop, np.ones(len(drop)), cluster, seed)[1]
    flags = (f"{logprobs.left_out} pictures without another of as many tokens left out",) if logprobs.left_out else ()
    found = []
    for where, patched in logprobs.patched.items():
        for column, layer in enumerate(logprobs.layers):
            value: tuple[float | None, float | None, float | None] = (None, None, None)
            null = None
            if least is not None and least > 0:
                value = ratio_interval(logprobs.own - patched[:, column], drop, cluster, seed)
                restored = logprobs.restored[where][:, column]
                moved = (logprobs.own[: len(restored)] - restored).sum() / drop[: len(restored)].sum()
                null = Yardstick(float(moved), method=f"the run's own states put back, first {len(restored)} questions")
                why: tuple[str, ...] = ()
            else:
                why = ("right answers are not surely likelier with the own picture, so there is nothing to carry over",)
            found.append(
                Measurement(
                    f"carried.{where}",
                    (f"decoder.{layer}",),
                    *value,
                    null=null,
                    ceiling=None if null is None else Yardstick(1.0, method="all states are the other picture's"),
                    n=len(drop),
                    clusters=int(cluster.max()) + 1,
                    method=f"share of the difference in log-probability; {BOOTSTRAP}",
                    settings={"where": where, "layer": layer, "seed": seed},
                    flags=flags + why,
                )
            )
    return tuple(found)


def _known(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    if missing := [layer for layer in layers if not -depth <= layer < depth]:
        raise ConfigError(f"the decoder has the layers 0 to {depth - 1}, not {missing[0]}")
    return tuple(sorted({layer % depth for layer in layers}))


def _partners(features: Features) -> dict[int, int]:
    """The next picture with as many tokens, for each that has one."""
    by_length: dict[int, list[int]] = {}
    for picture, length in enumerate(features.lengths):
        by_length.setdefault(length, []).append(picture)
    pairs = [(g[k], g[(k + 1) % len(g)]) for g in by_length.values() if len(g) > 1 for k in range(len(g))]
    return dict(sorted(pairs))
