"""What damage to E_post does to the answers that a model gives; of captions see `caption_change`.

Every damage is read beside four yardsticks: the model's own E_post put back (ceiling: nothing is lost, and what changes
all the same is the noise floor), the mean token in every place (null: nothing of the picture is left), and noise of the
same norm (control: it has no structure).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.captured import Captured, on_cpu
from chiasm.probe.clusters import BOOTSTRAP, numbered
from chiasm.probe.forced import changes, forced
from chiasm.probe.perturb import (
    Perturb,
    distortion,
    energy_kept,
    haar_rotation,
    mixed,
    noised,
    noised_like,
    rank_kept,
    tokens_masked,
    tokens_removed,
)
from chiasm.probe.result import Measurement, Setting, Yardstick
from chiasm.probe.use import ratio_interval

PUT_BACK, EMPTIED, AS_NOISE = "put back", "emptied", " as noise"
_METHODS = {
    "logprob_drop": "nats a token that the answer is less likely",
    "kl": "Kullback-Leibler divergence from the intact to the damaged model's next token, nats a token",
}


@dataclass(frozen=True)
class Damage:
    """One kind of damage to one degree; `matched` says whether noise of the same norm can be put in its place."""

    kind: str
    level: float
    perturb: Perturb
    matched: bool = True

    @property
    def name(self) -> str:
        return f"{self.kind}@{self.level:g}"


def standard_damages(mean: Tensor, seed: int = 0) -> list[Damage]:
    """Seven kinds, each to two or three degrees; `mean` (width,) is the mean token of E_post."""
    rotation = haar_rotation(len(mean), seed)
    return [
        *(Damage("mask_zero", share, tokens_masked(share, torch.zeros_like(mean), seed)) for share in (0.5, 0.9)),
        *(Damage("mask_mean", share, tokens_masked(share, mean, seed)) for share in (0.5, 0.9)),
        *(Damage("remove", share, tokens_removed(share, seed), matched=False) for share in (0.5, 0.9)),
        *(Damage("rank", count, rank_kept(count)) for count in (1, 4, 16)),
        *(Damage("energy", share, energy_kept(share)) for share in (0.5, 0.9)),
        *(Damage("rotate", share, mixed(share, rotation)) for share in (0.25, 0.5)),
        *(Damage("noise", level, noised(level, seed), matched=False) for level in (0.5, 1.0)),
    ]


def mean_token(e_post: Features) -> Tensor:
    """(width,)."""
    return e_post.tokens.double().mean(dim=0).to(e_post.tokens.dtype)


def with_noise(damages: Sequence[Damage], seed: int = 0) -> dict[str, Perturb]:
    """By name, each damage and, where it can be had, noise of its norm as its control: its name + `AS_NOISE`."""
    alike = {one.name + AS_NOISE: noised_like(one.perturb, seed) for one in damages if one.matched}
    return {one.name: one.perturb for one in damages} | alike


def perturbation_effects(
    model: VisionLanguageModel,
    captured: Captured,
    damages: Sequence[Damage],
    *,
    questions: int = 4,
    batch: int = 16,
    seed: int = 0,
    advance: Callable[[float], None] = lambda pictures: None,
) -> tuple[Measurement, ...]:
    """For each damage "answer.logprob_drop" and "answer.kl": of the accepted answers to at most `questions` of each
    picture's questions, with pictures (or their clusters) as units of the intervals.

    `captured` must have the site "connector". A damage that this model can't be given (tokens removed where the prompt
    has fixed places) has no value and a flag. `advance` is called with the pictures done, parts of one for each case.
    Raises DataError where there is no question with an answer.
    """
    cases = {
        PUT_BACK: lambda features, ids: features,
        EMPTIED: tokens_masked(1.0, mean_token(captured.features["connector"])),
        **with_noise(damages, seed),
    }
    trial = _Trial(model, captured, cases, questions)
    for part in torch.arange(len(captured.examples)).split(batch):
        trial.measure(part.tolist(), advance)
    if not trial.counted.any():
        raise DataError("there is no question with an accepted answer: nothing to measure")
    return tuple(trial.measurement(damage, metric, seed) for metric in _METHODS for damage in damages)


class _Trial:
    """What is measured: `sums[metric][case]`, (pictures,), nats of all answers about a picture, `counted` (pictures,)
    their tokens."""

    def __init__(
        self, model: VisionLanguageModel, captured: Captured, cases: Mapping[str, Perturb], questions: int
    ) -> None:
        self.model, self.captured, self.cases, self.questions = model, captured, cases, questions
        pictures = len(captured.examples)
        self.cluster = numbered(captured.clusters, pictures)
        self.counted = np.zeros(pictures)
        self.sums = {metric: {case: np.zeros(pictures) for case in cases} for metric in _METHODS}
        self.distortions: dict[str, list[float]] = {name: [] for name in cases}
        self.refused: dict[str, str] = {}

    @torch.inference_mode()
    def measure(self, chosen: list[int], advance: Callable[[float], None]) -> None:
        """Every case for one batch of pictures."""
        known = {i: [q for q in self.captured.examples[i].questions if q.answers and q.answers[0]] for i in chosen}
        asked = [i for i in chosen if known[i][: self.questions]]
        if not asked:
            advance(len(chosen))
            return
        template = self.model.dialect.prompts.get("answer", "{question}")
        prompts = [[template.format(question=q.text) for q in known[i][: self.questions]] for i in asked]
        answers = [[q.answers[0] for q in known[i][: self.questions]] for i in asked]
        intact = self.model.connect(self.model.encode(self.captured.images(asked)))
        stored = self.captured.features["connector"].select(asked)
        before = forced(self.model, intact, prompts, answers)
        self.counted[asked] = [sum(map(len, logits)) for logits in before.logits]
        for name, perturb in self.cases.items():
            damaged = perturb(stored, [self.captured.examples[i].id for i in asked])
            given = replace(damaged, tokens=damaged.tokens.to(intact.tokens))
            same_shape = given.grids == intact.grids
            if same_shape:
                self.distortions[name] += distortion(on_cpu(intact), on_cpu(given))
            try:
                after = forced(self.model, given, prompts, answers)
            except ConfigError as error:
                if same_shape:
                    raise
                self.refused[name] = str(error)
                continue
            for picture, of_picture in zip(asked, changes(before, after), strict=True):
                for metric, of_case in self.sums.items():
                    of_case[name][picture] = sum(getattr(change, metric) for change in of_picture)
            advance(len(chosen) / len(self.cases))

    def measurement(self, damage: Damage, metric: str, seed: int) -> Measurement:
        method = f"{_METHODS[metric]}; {BOOTSTRAP}"
        settings: dict[str, Setting] = {"damage": damage.kind, "level": damage.level, "seed": seed}
        name, site = f"answer.{metric} {damage.name}", ("connector", "answer")
        if damage.name in self.refused:
            why = f"this model can't be given {damage.name}: {self.refused[damage.name]}"
            return Measurement(name, site, None, method=method, settings=settings, flags=(why,))
        if self.distortions[damage.name]:
            settings["distortion"] = float(np.mean(self.distortions[damage.name]))
        value, low, high = self._value(metric, damage.name, seed)
        floor = self._yardstick(metric, PUT_BACK, "the model's own E_post put back", seed)
        flags = []
        if floor is not None and floor.value != 0:
            flags.append(f"noise floor: putting the model's own E_post back already gives {floor.value:g}")
        clusters = len(np.unique(self.cluster[self.counted > 0]))
        if low is None:
            flags.append(f"{clusters} independent pictures: no interval")
        elif low == high:
            low = high = None
            flags.append("every picture scores alike: no interval")
        return Measurement(
            name,
            site,
            value,
            low,
            high,
            null=self._yardstick(metric, EMPTIED, "the mean token in every place", seed),
            ceiling=floor,
            control=self._yardstick(metric, damage.name + AS_NOISE, "noise of the same norm", seed),
            n=int((self.counted > 0).sum()),
            clusters=clusters,
            method=method,
            settings=settings,
            flags=tuple(flags),
        )

    def _yardstick(self, metric: str, case: str, method: str, seed: int) -> Yardstick | None:
        known = case in self.cases and case not in self.refused
        return Yardstick(*self._value(metric, case, seed), method) if known else None

    def _value(self, metric: str, case: str, seed: int) -> tuple[float, float | None, float | None]:
        there = self.counted > 0
        cluster = np.unique(self.cluster[there], return_inverse=True)[1]
        return ratio_interval(self.sums[metric][case][there], self.counted[there], cluster, seed)
