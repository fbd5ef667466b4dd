"""What the page says and draws of each probe: its charts, chosen by what the measurements are of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chiasm.probe.result import Measurement, Yardstick, named_flags
from chiasm.report.drawing import GREEN, QUIET, Chart
from chiasm.report.probe_charts import dots_chart, lines_chart, overlap_chart, spectra_chart

Rows = dict[str, list[tuple[str, Measurement]]]
Shown = Mapping[str, Sequence[Mapping[str, Any]]]

TITLES = {
    "geometry": "Who is near whom",
    "spectrum": "How many directions features fill",
    "recover": "What can be had back from the connector’s output",
    "readout": "What a linear probe reads at each site",
    "perturb": "What damage to the connector’s output does",
    "use": "What the decoder makes of the picture",
    "patch": "Where in the decoder the picture takes effect",
    "captions": "Captions from changed features",
    "replacement-measured": "Another connector in its place",
}
LEADS = {
    "geometry": "If a stage keeps what makes pictures alike, a picture's neighbours before it are its neighbours after "
    "it. The ceiling is the earlier site, pooled from its even and from its odd tokens; the null permutes "
    "pictures.",
    "spectrum": "Ranks count the directions that hold the energy. They grow with the number of tokens, so compare "
    "sites at equally many; white noise of the same shape says what full would be.",
    "recover": "A reconstructor learns to predict one site's features from another's. What it recovers is a lower "
    "bound of what is there: read it between its null and its ceiling, and see whether its learning curve still "
    "rises. Round trip: sent through the real connector and compared there.",
    "perturb": "The ceiling is the connector's own output put back: what changes even so is the noise floor. The null "
    "is the mean token in every place for answers, another picture's for captions; the control noise of the same size.",
    "readout": "One linear probe of one capacity at every site. What is above the control is selectivity: read from "
    "the features, not made up by the probe.",
    "use": "By how much the right answers are likelier with the picture's own features than with another's or a mean.",
    "patch": "The decoder answers about one picture with the states of another in one layer. Where the answer goes "
    "over with the image's tokens, it has not been read from them yet; where with the last, it has been decided.",
    "captions": "How far what a model writes moves when its features are replaced, and whether distortion tells.",
    "replacement-measured": "Another connector, trained between the same frozen encoder and decoder.",
}
UNITS = {
    "r2": "R² of standardised features", "mse": "mean squared error", "cosine": "cosine",
    "logprob_drop": "nats a token", "kl": "nats a token", "cider_d": "CIDEr-D",
    "unchanged": "share of captions unchanged", "balanced_accuracy": "balanced accuracy",
    "average_precision": "average precision", "selectivity": "score above the control’s",
    "lost": "score lost from one site to the next", "effective_rank": "effective rank",
    "participation_ratio": "participation ratio",
    "use": "nats an answer", "logprob": "log-probability, nats an answer", "right": "share of answers right",
    "captions.logprob": "log-probability, nats a caption", "rank_correlation": "Spearman’s rank correlation",
}  # fmt: skip
WORDS = {
    "rbo": "rank-biased overlap", "debiased_cka": "CKA, debiased", "procrustes": "Procrustes", "r2": "R²",
    "pairwise_distance_correlation": "correlation of distances", "kl": "KL divergence", "mse": "mean squared error",
    "logprob_drop": "drop in log-probability", "cider_d": "CIDEr-D", "logprob": "log-probability",
    "bleu_4": "BLEU-4", "rouge_l": "ROUGE-L",
}  # fmt: skip
RANKS = ("effective_rank", "participation_ratio", "dataset.effective_rank", "dataset.participation_ratio")
WHOLES = ("rbo", "debiased_cka", "distance_correlation", "pairwise_distance_correlation", "procrustes")


@dataclass(frozen=True)
class Section:
    """A part of the page; `anchor` is its id there."""

    anchor: str
    title: str
    lead: str
    about: Mapping[str, Any]
    measurements: Sequence[Measurement]
    charts: Sequence[Chart] = ()
    neighbours: Sequence[Mapping[str, Any]] = ()
    maps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    gallery: int | None = None
    wide: bool = False

    @property
    def widest(self) -> int:
        """The gallery that is open at first: the pair whose neighbours change most."""
        kept = [sum(row["kept"] for row in gallery["rows"]) for gallery in self.neighbours]
        return kept.index(min(kept)) if kept else 0

    @property
    def subject(self) -> str:
        """The model, and what it is compared with."""
        reference = self.about.get("reference")
        return f"{self.about.get('model', '')}{f' against {reference}' if reference else ''}"

    @property
    def eyebrow(self) -> str:
        """Of which model and which pictures."""
        model = self.subject
        if dataset := self.about.get("dataset"):
            return f"{model} · {self.about.get('pictures', 0):,} pictures of {dataset}"
        return model

    @property
    def flags(self) -> list[str]:
        """Each once, and of which measurements if they are few."""
        return named_flags(self.measurements)


def charts_of(probe: str, anchor: str, measurements: Sequence[Measurement], shown: Shown) -> list[Chart]:
    """All charts of one probe's result. A probe that is not known here gets a row for each of its measurements."""
    draw: Callable[[_Draw], None] = DRAWN.get(probe, _others)
    drawing = _Draw(anchor, [m for m in measurements if not m.settings.get("fact")], shown, [])
    draw(drawing)
    return drawing.charts


@dataclass(frozen=True)
class _Draw:
    anchor: str
    measurements: Sequence[Measurement]
    shown: Shown
    charts: list[Chart]

    def add(self, chart: Chart | None) -> None:
        if chart is not None:
            self.charts.append(chart)

    def name(self, *words: str) -> str:
        return re.sub(r"[^a-z0-9@]+", "-", "-".join([self.anchor, *words]).lower()).strip("-")

    def dots(self, rows: Rows, logarithmic: bool = False) -> None:
        for metric, those in rows.items():
            self.add(dots_chart(self.name(metric), _said(metric), those, _unit(metric), _how(those), logarithmic))


def _geometry(draw: _Draw) -> None:
    for curve in draw.shown.get("overlap curves", ()):
        draw.add(overlap_chart(draw.name("overlap", *curve["sites"], curve["scaling"]), curve))
    rows: Rows = {}
    for one in draw.measurements:
        if one.name in WHOLES:
            scaling = one.settings.get("scaling", "")
            rows.setdefault(f"{' → '.join(one.sites)}{f', {scaling}' if scaling else ''}", []).append(
                (_said(one.name), one)
            )
    for pair, those in rows.items():
        title = f"{pair}: the whole space"
        draw.add(dots_chart(draw.name("whole", pair), title, those, "similarity", _how(those)))


def _spectrum(draw: _Draw) -> None:
    spectra = draw.shown.get("spectra", ())
    for of in ("picture", "dataset") if spectra else ():
        draw.add(spectra_chart(draw.name("spectrum", of), spectra, of))
    equal = any(" of " in one.name for one in draw.measurements)
    rows: Rows = {}
    for one in draw.measurements:
        base, _, tokens = one.name.partition(" of ")
        if base in RANKS and (bool(tokens) or not equal or base.startswith("dataset.")):
            rows.setdefault(one.name, []).append((one.sites[0], one))
    draw.dots(rows, logarithmic=True)  # white noise has many times the rank of features


def _by_suffix(draw: _Draw) -> None:
    """ "object.selectivity" at a site: a chart for selectivity, a row for objects at each site."""
    rows: Rows = {}
    curves: dict[str, list[tuple[float, Measurement]]] = {}
    for one in draw.measurements:
        subject, _, metric = one.name.partition(".")
        if metric.startswith("round_trip_"):
            subject, metric = f"{subject}, round trip", metric.removeprefix("round_trip_")
        learned = re.fullmatch(r"r2@(\d+)", metric)
        if learned:
            curves.setdefault(subject, []).append((int(learned[1]), one))
        elif len(one.sites) == 1:
            rows.setdefault(metric, []).append((f"{subject}, {one.sites[0]}", one))
        else:
            several = len({m.sites for m in draw.measurements}) > 1
            rows.setdefault(metric, []).append((f"{subject}, {' → '.join(one.sites)}" if several else subject, one))
    if curves:
        caption = "R² on the test pictures by the number of pictures learned from, for reconstructors of several sizes."
        labels = ("training pictures", "R²")
        draw.add(lines_chart(draw.name("learning"), "Learning curves", caption, curves, labels, logarithmic=True))
    draw.dots(rows)


def _perturb(draw: _Draw) -> None:
    lines: dict[str, dict[str, list[tuple[float, Measurement]]]] = {}
    rows: Rows = {}
    for one in draw.measurements:
        metric, _, damage = one.name.partition(" ")
        rows.setdefault(metric, []).append((damage, one))
        if "distortion" in one.settings:
            kind, at = str(one.settings["damage"]), float(one.settings["distortion"])
            lines.setdefault(metric, {}).setdefault(kind, []).append((at, one))
    for metric, series in lines.items():
        any_one = next(iter(series.values()))[0][1]
        references: dict[str, tuple[Yardstick | None, str]] = {
            "mean token": (any_one.null, QUIET), "put back": (any_one.ceiling, GREEN),
        }  # fmt: skip
        caption = "By how far the damage moves E_post, so that kinds of damage can be compared at equal severity."
        labels = ("distortion of E_post", _unit(metric))
        draw.add(lines_chart(draw.name(metric, "curve"), _said(metric), caption, series, labels, references=references))
    draw.dots(rows)


def _others(draw: _Draw) -> None:
    rows: Rows = {}
    layers: dict[str, list[tuple[float, Measurement]]] = {}
    several = len({m.sites for m in draw.measurements}) > 1
    for one in draw.measurements:
        metric, _, case = one.name.partition(" ")
        if "layer" in one.settings:
            layers.setdefault(str(one.settings.get("where", metric)), []).append((float(one.settings["layer"]), one))
            continue
        label = case or (str(one.settings["kind"]) if "kind" in one.settings else "")
        label = label or (" → ".join(one.sites) if several else "all")
        rows.setdefault(metric, []).append((label, one))
    if layers:
        any_one = next(iter(layers.values()))[0][1]
        references = {"own put back": (any_one.null, QUIET), "": (any_one.ceiling, GREEN)}
        caption = (
            "Share of the difference in log-probability between two pictures that goes over with the states of some "
            "tokens at one layer of the decoder: 0, nothing; 1, all."
        )
        labels = ("decoder layer", "share carried over")
        draw.add(lines_chart(draw.name("layers"), "Patching by layer", caption, layers, labels, references=references))
    draw.dots(rows)


def _captions(draw: _Draw) -> None:
    """Only what is of a change of the features: that of its reconstructor is told by `recover`."""
    _others(replace(draw, measurements=[one for one in draw.measurements if " " in one.name]))


DRAWN: dict[str, Callable[[_Draw], None]] = {
    "geometry": _geometry, "spectrum": _spectrum, "recover": _by_suffix, "readout": _by_suffix, "perturb": _perturb,
    "captions": _captions,
}  # fmt: skip


def _how(rows: Sequence[tuple[str, Measurement]]) -> str:
    """What the yardsticks of a chart are, in words."""
    said = []
    for name in ("null", "ceiling", "control"):
        methods = {y.method for _, one in rows if (y := getattr(one, name)) is not None and y.method}
        if methods:
            said.append(f"{name.capitalize()}: {'; '.join(sorted(methods))}.")
    return " ".join(said)


def _unit(metric: str) -> str:
    """Of a chart's axis: of the whole name, of its first part or of its last, whichever is known."""
    first, last = metric.split(".")[0], metric.split(".")[-1]
    unit = UNITS.get(metric) or UNITS.get(first) or UNITS.get(last) or _said(last)
    return f"change in {unit}" if first == "change" else unit


def _said(name: str) -> str:
    """A measurement's name in words: "answer.logprob_drop" is "answer: drop in log-probability"."""
    return ": ".join(WORDS.get(part, part.replace("_", " ")) for part in name.split("."))
