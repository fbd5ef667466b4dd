"""What damage to E_post does to what a model says, teacher-forced and free.

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
from chiasm.score.captioning.score import caption_items

TEACHER_FORCED = ("logprob_drop", "kl")
FREE = ("cider_d", "unchanged")
PUT_BACK, EMPTIED, AS_NOISE = "put back", "emptied", " as noise"
_METHODS = {
    "logprob_drop": "nats a token that the text is less likely",
    "kl": "Kullback-Leibler divergence from the intact to the damaged model's next token, nats a token",
    "cider_d": "CIDEr-D of the greedy caption",
    "unchanged": "share of greedy captions that stay word for word the same",
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


@dataclass(frozen=True)
class Texts:
    """Text that is forced on the model: for each picture prompts and answers, and what is measured of them ("answer",
    "caption"), a name for each prompt."""

    prompts: list[list[str]]
    answers: list[list[str]]
    tasks: list[list[str]]

    def of(self, pictures: Sequence[int]) -> Texts:
        return Texts(*([part[i] for i in pictures] for part in (self.prompts, self.answers, self.tasks)))


Forced = tuple[list[list[float]], list[list[Tensor]]]
"""Log-probability of each answer, and logits (tokens, vocabulary) that its tokens are chosen from."""


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


def perturbation_effects(
    model: VisionLanguageModel,
    captured: Captured,
    damages: Sequence[Damage] | None = None,
    *,
    questions: int = 4,
    captions: bool = True,
    batch: int = 16,
    limit: int = 64,
    seed: int = 0,
    advance: Callable[[float], None] = lambda pictures: None,
) -> tuple[Measurement, ...]:
    """For each damage, with pictures as units of the intervals (or their clusters):

    answer.logprob_drop, answer.kl     of the accepted answers to at most `questions` of each picture's questions
    caption.logprob_drop, caption.kl   of the model's own caption of the intact picture
    caption.cider_d                    of captions written anew, against the dataset's where every picture has some,
                                       else against the model's own of the intact picture
    caption.unchanged                  share of those that stay the same

    `captured` must have the site "connector". A damage that this model can't be given (tokens removed where the prompt
    has fixed places) has no value and a flag. `advance` is called with the pictures done, parts of one for each case.
    Raises DataError where there is neither a question nor a caption to measure.
    """
    e_post = captured.features["connector"]
    mean = mean_token(e_post)
    damages = standard_damages(mean, seed) if damages is None else damages
    cases: dict[str, Perturb] = {PUT_BACK: lambda features, ids: features, EMPTIED: tokens_masked(1.0, mean)}
    for damage in damages:
        cases[damage.name] = damage.perturb
        if damage.matched:
            cases[damage.name + AS_NOISE] = noised_like(damage.perturb, seed)
    trial = _Trial(model, captured, cases, questions, limit if captions else 0)
    for part in torch.arange(len(captured.examples)).split(batch):
        trial.measure(part.tolist(), advance)
    trial.score_captions()
    if not trial.sums:
        raise DataError("there is no question with an answer and the model writes no captions: nothing to measure")
    return tuple(trial.measurement(damage, metric, seed) for metric in trial.sums for damage in damages)


def divergence(before: Tensor, after: Tensor) -> float:
    """Sum over tokens of KL(softmax before || softmax after), in nats, of logits (tokens, vocabulary)."""
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    # A word that is masked out in both has p = 0 and no part in the sum.
    return float(torch.where(p.isinf(), 0, p.exp() * (p - q)).sum())


class _Trial:
    """What is measured, by case: `sums[metric][case]` is (pictures, 2), a sum and what it is divided by; `free[case]`
    are captions by picture, and `own` those of the intact pictures. Captions are written only with a `limit`."""

    def __init__(
        self,
        model: VisionLanguageModel,
        captured: Captured,
        cases: Mapping[str, Perturb],
        questions: int,
        limit: int,
    ) -> None:
        self.model, self.captured, self.cases = model, captured, cases
        self.questions, self.limit = questions, limit
        self.ask_caption = model.dialect.prompts.get("caption") if limit else None
        self.cluster = numbered(captured.clusters, len(captured.examples))
        self.sums: dict[str, dict[str, np.ndarray]] = {}
        self.free: dict[str, dict[int, str]] = {name: {} for name in cases}
        self.own: dict[int, str] = {}
        self.distortions: dict[str, list[float]] = {name: [] for name in cases}
        self.refused: dict[str, str] = {}
        self.references = "the dataset's" if all(e.captions for e in captured.examples) else "the intact picture's"

    @torch.inference_mode()
    def measure(self, chosen: list[int], advance: Callable[[float], None]) -> None:
        """Every case for one batch of pictures."""
        intact = self.model.connect(self.model.encode(self.captured.images(chosen)))
        stored = self.captured.features["connector"].select(chosen)
        self.own.update(self._written(intact, chosen))
        texts = self._texts(chosen)
        asked = [place for place, group in enumerate(texts.prompts) if group]
        texts = texts.of(asked)
        before = self._forced(intact.select(asked), texts) if asked else None
        for name, perturb in self.cases.items():
            damaged = perturb(stored, [self.captured.examples[i].id for i in chosen])
            given = replace(damaged, tokens=damaged.tokens.to(intact.tokens))
            same_shape = given.grids == intact.grids
            try:
                if before is not None:
                    after = self._forced(given.select(asked), texts)
                    self._add_forced(name, [chosen[place] for place in asked], texts, before, after)
                self.free[name].update(self._written(given, chosen))
            except ConfigError as error:
                if same_shape:
                    raise
                self.refused[name] = str(error)
            if same_shape:
                self.distortions[name] += distortion(on_cpu(intact), on_cpu(given))
            advance(len(chosen) / len(self.cases))

    def _written(self, features: Features, chosen: Sequence[int]) -> dict[int, str]:
        """Captions by picture; none from a model that is not to write any."""
        if self.ask_caption is None:
            return {}
        answers = self.model.generate(features, [[self.ask_caption]] * len(chosen), limit=self.limit)
        return {picture: answer.text for picture, (answer,) in zip(chosen, answers, strict=True)}

    def _texts(self, chosen: Sequence[int]) -> Texts:
        template = self.model.dialect.prompts.get("answer", "{question}")
        texts = Texts([], [], [])
        for picture in chosen:
            questions = self.captured.examples[picture].questions
            known = [q for q in questions if q.answers and q.answers[0]][: self.questions]
            prompts, answers = [template.format(question=q.text) for q in known], [q.answers[0] for q in known]
            tasks = ["answer"] * len(known)
            if self.ask_caption and self.own[picture]:
                prompts, answers, tasks = (
                    [*prompts, self.ask_caption],
                    [*answers, self.own[picture]],
                    [*tasks, "caption"],
                )
            texts.prompts.append(prompts)
            texts.answers.append(answers)
            texts.tasks.append(tasks)
        return texts

    def _forced(self, features: Features, texts: Texts) -> Forced:
        return (
            self.model.logprob(features, texts.prompts, texts.answers),
            self.model.logits(features, texts.prompts, texts.answers),
        )

    def _add_forced(self, case: str, pictures: Sequence[int], texts: Texts, before: Forced, after: Forced) -> None:
        for place, picture in enumerate(pictures):
            for number, task in enumerate(texts.tasks[place]):
                tokens = len(before[1][place][number])
                drop = before[0][place][number] - after[0][place][number]
                kl = divergence(before[1][place][number], after[1][place][number])
                for metric, value in zip(TEACHER_FORCED, (drop, kl), strict=True):
                    nothing = np.zeros((len(self.captured.examples), 2))
                    self.sums.setdefault(f"{task}.{metric}", {}).setdefault(case, nothing)[picture] += (value, tokens)

    def score_captions(self) -> None:
        """Of the captions written anew."""
        if not self.own:
            return
        everyone = range(len(self.captured.examples))
        of_dataset = self.references == "the dataset's"
        captions = [self.captured.examples[i].captions if of_dataset else (self.own[i],) for i in everyone]
        references = {str(i): list(captions[i]) for i in everyone}
        for case, written in self.free.items():
            if case in self.refused:
                continue
            items = caption_items(references, {str(i): text for i, text in written.items()})
            consensus = [item.statistics["cider_d"] for item in items]
            same = [float(written[i] == self.own[i]) for i in everyone]
            for metric, values in zip(FREE, (consensus, same), strict=True):
                self.sums.setdefault(f"caption.{metric}", {})[case] = np.stack([values, np.ones(len(values))], axis=1)

    def measurement(self, damage: Damage, metric: str, seed: int) -> Measurement:
        found = self.sums[metric]
        kind = metric.split(".")[1]
        method = f"{_METHODS[kind]}; {BOOTSTRAP}"
        if kind == "cider_d":
            method = f"{self.references} captions as references; {method}"
        settings: dict[str, Setting] = {"damage": damage.kind, "level": damage.level, "seed": seed}
        name, site = f"{metric} {damage.name}", ("connector", "answer")
        if damage.name in self.refused:
            why = f"this model can't be given that: {self.refused[damage.name]}"
            return Measurement(name, site, None, method=method, settings=settings, flags=(why,))
        if self.distortions[damage.name]:
            settings["distortion"] = float(np.mean(self.distortions[damage.name]))
        sums = found[damage.name]
        value, low, high = self._value(sums, seed)
        floor = self._yardstick(found, PUT_BACK, "the model's own E_post put back", seed)
        lossless = 1.0 if kind == "unchanged" else 0.0
        flags = []
        if kind != "cider_d" and floor is not None and floor.value != lossless:
            flags.append(f"noise floor: putting the model's own E_post back already gives {floor.value:g}")
        counted = np.unique(self.cluster[sums[:, 1] > 0])
        if low is None:
            flags.append(f"{len(counted)} independent pictures: no interval")
        elif low == high:
            low = high = None
            flags.append("every picture scores alike: no interval")
        return Measurement(
            name,
            site,
            value,
            low,
            high,
            null=self._yardstick(found, EMPTIED, "the mean token in every place", seed),
            ceiling=floor,
            control=self._yardstick(found, damage.name + AS_NOISE, "noise of the same norm", seed),
            n=int((sums[:, 1] > 0).sum()),
            clusters=len(counted),
            method=method,
            settings=settings,
            flags=tuple(flags),
        )

    def _yardstick(self, found: Mapping[str, np.ndarray], case: str, method: str, seed: int) -> Yardstick | None:
        known = case in found and case not in self.refused
        return Yardstick(*self._value(found[case], seed), method) if known else None

    def _value(self, sums: np.ndarray, seed: int) -> tuple[float, float | None, float | None]:
        there = sums[:, 1] > 0
        cluster = np.unique(self.cluster[there], return_inverse=True)[1]
        return ratio_interval(sums[there, 0], sums[there, 1], cluster, seed)
