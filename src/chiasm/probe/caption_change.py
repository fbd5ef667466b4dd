"""How far captions written from changed features are from the intact ones, and whether distortion foretells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from chiasm.probe.clusters import BOOTSTRAP, bootstrap_interval
from chiasm.probe.feature_captions import ANOTHER, INTACT, MEAN, PUT_BACK, YARDSTICKS, Captions, Case
from chiasm.probe.result import Measurement, Setting, Yardstick
from chiasm.probe.use import ratio_interval, share_interval
from chiasm.score.bootstrap import Table
from chiasm.score.captioning.score import caption_items, measures
from chiasm.score.measure import Measure
from chiasm.score.robustness.rank_correlation import correlation_value, spearman

SCORES = ("bleu_4", "rouge_l", "cider_d")
SITE = ("connector", "answer")
PERMUTATIONS = 200
_KNOWN = {
    "ceiling": (PUT_BACK, "the model's own E_post put back"),
    "null": (ANOTHER, "another picture's E_post"),
    "control": (MEAN, "the mean token in every place"),
}
Signals = Mapping[str, Mapping[str, np.ndarray]]
"""Case, or `INTACT` -> name -> a score (n,) of each caption, such as CLIPScore by a model of the user's."""
Spread = tuple[float, float | None, float | None]
"""A value and its interval."""


def caption_change(
    captions: Captions, signals: Signals | None = None, controls: Mapping[str, str] | None = None, seed: int = 0
) -> tuple[Measurement, ...]:
    """For each case that is no yardstick and no control, with pictures (or their clusters) as units of the intervals:

    distortion.cosine, distortion.mse   of E_post
    forced.logprob_drop, forced.kl      nats a token of the intact caption
    kept.unchanged                      share of captions that stay word for word the same
    kept.SCORE                          caption scores with the intact caption as the only reference
    change.SCORE                        against the dataset's references, changed less intact
    change.SIGNAL, kept.SIGNAL          of `signals` that the intact captions have, and have not
    rank_correlation.A~B                Spearman's over pictures, of distortion.cosine and .mse with forced.kl,
                                        kept.rouge_l and change.cider_d; the null permutes pictures

    Of two cases `controls` may say that one is the other's control, noise in place of a damage; the control of the
    others is the mean token in every place. A case that the model can't be given has no value and a flag.
    """
    signals, controls = signals or {}, controls or {}
    of = {name: _Compared(captions, case) for name, case in captions.cases.items()}
    spreads = {
        name: compared.spreads(signals.get(name, {}), signals.get(INTACT, {}), seed) for name, compared in of.items()
    }
    found = []
    for name in captions.cases:
        if name in YARDSTICKS or name in controls.values():
            continue
        settings: dict[str, Setting] = {"case": name, "seed": seed}
        clusters = int(captions.cluster.max()) + 1
        yardsticks = dict(_KNOWN)
        if controls.get(name) in captions.cases:
            yardsticks["control"] = controls[name], "noise of the same norm"
        for metric, (value, low, high) in spreads[name].items():
            known = {kind: Yardstick(*spreads[case][metric], how) for kind, (case, how) in yardsticks.items()}
            flags = () if low is not None else (f"{clusters} independent pictures: no interval",)
            found.append(
                Measurement(f"{metric} {name}", SITE, value, low, high, **known, n=len(captions.ids),
                            clusters=clusters, method=BOOTSTRAP, settings=settings, flags=flags)
            )  # fmt: skip
        by_picture = of[name].by_picture()
        for distortion, values in captions.cases[name].distortion.items():
            for change, others in by_picture.items():
                found.append(_correlation(f"{distortion}~{change} {name}", values, others, captions, settings, seed))
    for name, why in captions.refused.items():
        flag = f"this model can't be given {name}: {why}"
        found.append(Measurement(f"kept.unchanged {name}", SITE, None, settings={"case": name}, flags=(flag,)))
    return tuple(found)


class _Compared:
    """The intact captions and those of one case."""

    def __init__(self, captions: Captions, case: Case) -> None:
        self.captions, self.case = captions, case
        self.against_intact = _Scored(captions, [(text,) for text in captions.intact], case.captions)
        self.before = self.after = None
        if all(captions.references):
            self.before = _Scored(captions, captions.references, captions.intact)
            self.after = _Scored(captions, captions.references, case.captions)

    def spreads(
        self, signals: Mapping[str, np.ndarray], of_intact: Mapping[str, np.ndarray], seed: int
    ) -> dict[str, Spread]:
        captions, case = self.captions, self.case
        ones = np.ones(len(captions.ids))
        same = np.array([a == b for a, b in zip(case.captions, captions.intact, strict=True)], dtype=float)
        means = {f"distortion.{kind}": values for kind, values in case.distortion.items()}
        for name, values in signals.items():
            if name in of_intact:
                means[f"change.{name}"] = values - of_intact[name]
            else:
                means[f"kept.{name}"] = values
        found = {name: ratio_interval(values, ones, captions.cluster, seed) for name, values in means.items()}
        found["kept.unchanged"] = share_interval(same, captions.cluster, seed)
        for name, sums in (("logprob_drop", case.logprob_drop), ("kl", case.kl)):
            found[f"forced.{name}"] = ratio_interval(sums, captions.tokens, captions.cluster, seed)
        found |= {f"kept.{name}": spread for name, spread in self.against_intact.spreads(seed).items()}
        if self.after is not None:
            found |= {f"change.{name}": spread for name, spread in self.after.spreads(seed, self.before).items()}
        return dict(sorted(found.items()))

    def by_picture(self) -> dict[str, np.ndarray]:
        """Changes of each picture's caption that distortion may foretell: name -> (n,)."""
        found = {
            "forced.kl": self.case.kl / self.captions.tokens,
            "kept.rouge_l": self.against_intact.by_picture("rouge_l"),
        }
        if self.before is not None and self.after is not None:
            found["change.cider_d"] = self.after.by_picture("cider_d") - self.before.by_picture("cider_d")
        return found


class _Scored:
    """Captions against references: a table of the statistics that make up every score."""

    def __init__(self, captions: Captions, references: Sequence[Sequence[str]], written: Sequence[str]) -> None:
        ids = captions.ids
        items = caption_items(dict(zip(ids, references, strict=True)), dict(zip(ids, written, strict=True)))
        self.table = Table.of(items)
        self.measures = {name: measure for name, measure in measures(items).items() if name in SCORES}
        self.sums = np.zeros((int(captions.cluster.max()) + 1, len(self.table.names)))
        np.add.at(self.sums, captions.cluster, self.table.values)

    def by_picture(self, statistic: str) -> np.ndarray:
        return self.table.values[:, self.table.names.index(statistic)]

    def spreads(self, seed: int, less: _Scored | None = None) -> dict[str, Spread]:
        """Every score, or what it is more than in `less`, whole clusters being resampled in both alike."""
        both = self.sums if less is None else np.concatenate([self.sums, less.sums], axis=1)
        width = self.sums.shape[1]

        def score(measure: Measure, sums: np.ndarray) -> np.ndarray:
            value = self.table.evaluate(measure.of, sums[:, :width])
            return value if less is None else value - less.table.evaluate(measure.of, sums[:, width:])

        found: dict[str, Spread] = {}
        for name, measure in self.measures.items():
            of = partial(score, measure)
            low, high = bootstrap_interval(both, of, seed=seed) or (None, None)
            found[name] = (float(of(both.sum(axis=0, keepdims=True))[0]), low, high)
        return found


def _correlation(
    name: str, a: np.ndarray, b: np.ndarray, captions: Captions, settings: Mapping[str, Setting], seed: int
) -> Measurement:
    found = correlation_value(name, spearman, a, b, [str(number) for number in captions.cluster], seed)
    null = None
    flags: tuple[str, ...] = ()
    if found.value is None:
        flags = ("undefined: distortion or change is the same for all pictures",)
    else:
        if found.ci_low is None:
            flags = (f"{int(captions.cluster.max()) + 1} independent pictures: no interval of a rank correlation",)
        rng = np.random.default_rng(seed)
        draws = np.array([spearman(a, rng.permutation(b)) for _ in range(PERMUTATIONS)])
        null = Yardstick.of_draws(draws, f"{PERMUTATIONS} permutations of the pictures")
    return Measurement(
        f"rank_correlation.{name}",
        SITE,
        found.value,
        found.ci_low,
        found.ci_high,
        null,
        n=len(a),
        clusters=int(captions.cluster.max()) + 1,
        method=f"Spearman; {found.method}",
        settings=settings,
        flags=flags,
    )
