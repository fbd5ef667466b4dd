"""Use: how much likelier the right answers are for what the decoder is given of the picture.

What is in E_post need not be used. The log-probability of the right answer with the picture's own E_post, less that
with another picture's or with the mean token of all pictures in every place, is what the decoder makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval, numbered
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.untrained import untrained_connector
from chiasm.score.intervals import wilson_interval

Advance = Callable[[int], None]
GIVEN = ("intact", "swapped", "swapped again", "mean", "other mean", "untrained", "untrained swapped")
"""What the decoder is given: the picture's own E_post; that of the next picture and of the one after it; the mean token
of the half of the pictures that this one is not in, and of the half that it is in; what a connector with random weights
makes of the picture and of the next one."""
FEWEST = 3
SITE = ("connector", "answer")
_DROPS = {
    "swapped": ("another picture's E_post", "another picture's against a third one's"),
    "mean": ("the mean token of other pictures in every place", "means of two halves of the pictures"),
}


@dataclass(frozen=True)
class AnswerLogprobs:
    """For n questions the natural log-probability of the right answer, its closing token included, by what the decoder
    is given (`GIVEN`); `picture` is the id of each question's picture, `kind` what is asked. All are (n,)."""

    of: Mapping[str, np.ndarray]
    picture: np.ndarray
    kind: np.ndarray


@torch.inference_mode()
def answer_logprobs(
    model: VisionLanguageModel,
    asked: Asked,
    *,
    batch: int = 16,
    untrained: bool = True,
    advance: Advance = lambda pictures: None,
) -> AnswerLogprobs:
    """Ask everything under every condition of `GIVEN`, those with random weights only if `untrained`; `advance` is
    called twice for every picture. Raises ConfigError where the model's connector can't be reached for them, DataError
    for fewer than three pictures at a time."""
    means = _half_means(model, asked, batch, advance)
    found: dict[str, list[float]] = {}
    for chosen, images in asked.batches(batch):
        if len(images) < FEWEST:
            raise DataError(f"{len(images)} pictures at a time can't be swapped twice; give at least {FEWEST}")
        e_pre = model.encode(images)
        own = model.connect(e_pre)
        other_half = torch.stack([means[1 - i % 2] for i in chosen for _ in range(own.lengths[i - chosen.start])])
        own_half = torch.stack([means[i % 2] for i in chosen for _ in range(own.lengths[i - chosen.start])])
        given = {
            "intact": own,
            "swapped": turned(own, 1),
            "swapped again": turned(own, 2),
            "mean": replace(own, tokens=other_half),
            "other mean": replace(own, tokens=own_half),
        }
        if untrained:
            with untrained_connector(model):
                random = model.connect(e_pre)
            given |= {"untrained": random, "untrained swapped": turned(random, 1)}
        prompts, truths = asked.prompts(model.dialect, chosen), asked.truths(chosen)
        for name, features in given.items():
            values = model.logprob(features, prompts, truths)
            found.setdefault(name, []).extend(value for group in values for value in group)
        advance(len(images))
    return AnswerLogprobs({name: np.array(values) for name, values in found.items()}, asked.pictures(), asked.kinds())


def use(logprobs: AnswerLogprobs, seed: int = 0) -> tuple[Measurement, ...]:
    """For all questions and then each kind, named behind a space, in nats an answer: `logprob.GIVEN` of what was given,
    and

    use.swapped   intact less swapped: null, swapped once less swapped twice; control, the same behind a connector with
                  random weights
    use.mean      intact less mean: null, one half's mean less the other's
    ceiling       of both: if the intact picture made every right answer certain
    """
    found = []
    for kind in (None, *sorted(set(logprobs.kind))):
        chosen = np.arange(len(logprobs.kind)) if kind is None else np.flatnonzero(logprobs.kind == kind)
        of = {name: values[chosen] for name, values in logprobs.of.items()}
        cluster = numbered(logprobs.picture[chosen].tolist(), len(chosen))
        settings = {"seed": seed} | ({} if kind is None else {"kind": str(kind)})
        of_kind = "" if kind is None else f" {kind}"
        for name in ("intact", "swapped", "mean"):
            one = mean_measurement(f"logprob.{name}{of_kind}", SITE, of[name], cluster, settings=settings, seed=seed)
            found.append(one)
        nulls = {"swapped": of["swapped"] - of["swapped again"], "mean": of["mean"] - of["other mean"]}
        for name, (method, null) in _DROPS.items():
            drop = of["intact"] - of[name]
            what = f"intact less {method}"
            one = mean_measurement(f"use.{name}{of_kind}", SITE, drop, cluster, what, settings, seed=seed)
            control = None
            if name == "swapped" and "untrained" in of:
                drop = of["untrained"] - of["untrained swapped"]
                control = _yardstick(drop, cluster, "a connector with random weights", seed)
            found.append(
                replace(
                    one,
                    null=_yardstick(nulls[name], cluster, null, seed),
                    ceiling=_yardstick(-of[name], cluster, "every right answer certain", seed),
                    control=control,
                )
            )
    return tuple(found)


def mean_measurement(
    name: str,
    sites: tuple[str, ...],
    values: np.ndarray,
    cluster: np.ndarray,
    method: str = "",
    settings: Mapping[str, str | int | float | bool] | None = None,
    flags: tuple[str, ...] = (),
    seed: int = 0,
) -> Measurement:
    """Mean of (n,) values with its interval by cluster, (n,) numbers from 0."""
    value, low, high = ratio_interval(values, np.ones(len(values)), cluster, seed)
    clusters = int(cluster.max()) + 1
    if low is None:
        flags = (*flags, f"{clusters} pictures: no interval")
    method = f"{method}; {BOOTSTRAP}" if method else BOOTSTRAP
    return Measurement(name, sites, value, low, high, n=len(values), clusters=clusters, method=method,
                       settings=settings or {}, flags=flags)  # fmt: skip


def ratio_interval(
    part: np.ndarray, whole: np.ndarray, cluster: np.ndarray, seed: int = 0
) -> tuple[float, float | None, float | None]:
    """Sum of `part` over sum of `whole`, (n,) each, and its interval by cluster; None, None where it can't be had."""
    sums = np.stack([np.bincount(cluster, weights=column) for column in (part, whole)], axis=1)
    interval = bootstrap_interval(sums, _ratio, seed=seed)
    return float(part.sum() / whole.sum()), *(interval or (None, None))


def share_interval(hits: np.ndarray, cluster: np.ndarray, seed: int = 0) -> tuple[float, float | None, float | None]:
    """As `ratio_interval` of a share, `hits` (n,) of 0 and 1. Where all are alike there is nothing to resample, and the
    interval is Wilson's over the clusters."""
    value, low, high = ratio_interval(hits, np.ones(len(hits)), cluster, seed)
    return (value, *wilson_interval(value, int(cluster.max()) + 1)) if value in (0, 1) else (value, low, high)


def turned(features: Features, by: int) -> Features:
    """Every picture's features exchanged for those of the picture `by` places on."""
    return features.select([(i + by) % len(features) for i in range(len(features))])


def _half_means(model: VisionLanguageModel, asked: Asked, batch: int, advance: Advance) -> list[Tensor]:
    """The mean token (width,) of E_post of the pictures with even numbers, and of those with odd ones."""
    totals: list[Any] = [0.0, 0.0]
    counts = [0, 0]
    for chosen, images in asked.batches(batch):
        features = model.connect(model.encode(images))
        for i, tokens in zip(chosen, features.split(), strict=True):
            totals[i % 2] = totals[i % 2] + tokens.double().sum(dim=0)
            counts[i % 2] += len(tokens)
        advance(len(images))
    return [(total / count).to(features.tokens.dtype) for total, count in zip(totals, counts, strict=True)]


def _yardstick(values: np.ndarray, cluster: np.ndarray, method: str, seed: int) -> Yardstick:
    return Yardstick(*ratio_interval(values, np.ones(len(values)), cluster, seed), method)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] != 0)
