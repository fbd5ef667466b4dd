"""Numbers turned into what the page draws: positions in per cent of an axis, labels, and plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GROUPS: Mapping[str, str] = {
    "scene": "Scene",
    "answer": "Questions",
    "existence": "Existence",
    "detect": "Objects",
    "ground": "Grounding",
    "caption": "Captions",
}
"""Metrics are grouped by the first part of their name."""

MAIN = ("scene.accuracy", "answer.exact", "existence.f1", "detect.recall", "detect.precision", "ground.acc@0.5")
"""The metrics of the summary sentence and the cost table, with the caption rates added to the latter."""

_COST_COLUMNS = (*MAIN, "ground.iou", "caption.hallucinated", "caption.coverage")
_SLICES: Mapping[str, str] = {
    "kind": "By kind of question",
    "variant": "By how the absent object was chosen",
    "object_size": "By object size",
    "objects": "By number of objects in the picture",
}
_KIND_TITLES = {
    "hallucination": "Hallucination",
    "missed_object": "Missed object",
    "wrong_location": "Wrong location",
    "wrong_answer": "Wrong answer",
    "wrong_scene": "Wrong scene",
    "unparsed": "Unparsed",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One number with its interval on an axis from 0 to 100: `value`, `low` and `high` in per cent, or None."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    images: int
    note: str = ""
    better: str = ""

    @property
    def interval(self) -> str:
        return "" if self.low is None or self.high is None else f"{self.low:.1f} – {self.high:.1f}"


def headline(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[Bar]]:
    """Group title -> bars of the overall metrics."""
    groups: dict[str, list[Bar]] = {}
    for entry in metrics:
        if entry["slice"] is None:
            groups.setdefault(GROUPS[entry["metric"].split(".")[0]], []).append(_bar(entry, _short(entry["title"])))
    return groups


def _short(title: str) -> str:
    """A metric's title below the heading of its group: "Existence F1" -> "F1"."""
    first, _, rest = title.partition(" ")
    return rest[0].upper() + rest[1:] if rest and first in ("Scene", "Existence", "Detection", "Grounding") else title


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Slice values down, metrics across; a bar is None where a metric has no items in that slice."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Bar | None]]]


def breakdowns(metrics: Sequence[Mapping[str, Any]]) -> list[Breakdown]:
    """One for each slice key that has two values or more."""
    found = []
    for key, title in _SLICES.items():
        entries = [entry for entry in metrics if key in (entry["slice"] or {})]
        columns = list(dict.fromkeys(entry["title"] for entry in entries))
        labels = list(dict.fromkeys(entry["slice"][key] for entry in entries))
        bars = {(entry["slice"][key], entry["title"]): _bar(entry, entry["slice"][key]) for entry in entries}
        if len(labels) > 1:
            rows = [(label, [bars.get((label, column)) for column in columns]) for label in labels]
            found.append(Breakdown(title, columns, rows))
    return found


@dataclass(frozen=True, slots=True)
class KindRow:
    """A kind of error: `costs` are points brought back (positive is better), aligned with `CostTable.columns`."""

    kind: str
    title: str
    meaning: str
    count: int
    causes: list[tuple[str, int]]
    costs: list[tuple[float, str] | None]


@dataclass(frozen=True, slots=True)
class CostTable:
    columns: list[str]
    rows: list[KindRow]
    largest: float


def cost_table(summary: Mapping[str, Any]) -> CostTable:
    """Points each main metric would gain if all errors of a kind, and only those, were put right."""
    titles = {entry["metric"]: entry["title"] for entry in summary["metrics"] if entry["slice"] is None}
    columns = [name for name in _COST_COLUMNS if name in titles]
    rows = []
    for error in summary["errors"]:
        costs: list[tuple[float, str] | None] = []
        for name in columns:
            change = error["cost"].get(name)
            costs.append(None if change is None else (100 * abs(change["change"]), _change_interval(change)))
        if error["count"] or any(costs):
            causes = list(error["causes"].items())
            title = _KIND_TITLES[error["kind"]]
            rows.append(KindRow(error["kind"], title, error["meaning"], error["count"], causes, costs))
    largest = max((cost[0] for row in rows for cost in row.costs if cost), default=0.0)
    return CostTable([titles[name] for name in columns], rows, largest)


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """The result in words: the main metrics, then the kind of error that costs most."""
    found = {entry["metric"]: entry for entry in summary["metrics"] if entry["slice"] is None}
    phrases = {
        "scene.accuracy": "names the scene of {value} of {n} pictures",
        "answer.exact": "answers {value} of {n} questions",
        "detect.recall": "finds {value} of {n} objects",
        "ground.acc@0.5": "points to {value} of {n} expressions",
    }
    said = []
    for name, phrase in phrases.items():
        entry = found.get(name)
        if entry and entry["value"] is not None:
            bar = _bar(entry, "")
            between = f" (95 % interval {bar.interval})" if bar.interval else ""
            said.append(phrase.format(value=f"{bar.value:.1f} %", n=f"{bar.n:,}") + between)
    if not said:
        return ["Nothing here is annotated, so nothing is scored: the gallery shows what the model said."]
    words = [f"It {', '.join(said[:-1])} and {said[-1]} correctly." if len(said) > 1 else f"It {said[0]} correctly."]
    gains = [
        (abs(change["change"]), _KIND_TITLES[error["kind"]].lower(), found[name]["title"].lower())
        for error in summary["errors"]
        for name, change in error["cost"].items()
        if name in MAIN
    ]
    if gains:
        points, kind, metric = max(gains)
        words.append(
            f"The costliest kind of error is {kind}: without it {metric} would be {100 * points:.1f} points better."
        )
    return words


@dataclass(frozen=True, slots=True)
class Confusion:
    """`rows` are (true scene, pictures, cells); a cell is (count, share of the row, whether it is right)."""

    said: list[str]
    rows: list[tuple[str, int, list[tuple[int, float, bool]]]]


def confusion(scenes: Mapping[str, Any] | None) -> Confusion | None:
    if scenes is None:
        return None
    rows = []
    for name, counts in zip(scenes["true"], scenes["counts"], strict=True):
        total = sum(counts)
        cells = [(c, c / max(total, 1), said == name) for c, said in zip(counts, scenes["said"], strict=True)]
        rows.append((name, total, cells))
    return Confusion(scenes["said"], rows)


def _bar(entry: Mapping[str, Any], label: str) -> Bar:
    value, low, high = (None if entry[k] is None else 100 * entry[k] for k in ("value", "ci_low", "ci_high"))
    note = "; ".join(filter(None, (entry["dialect"], entry["method"])))
    lower = entry["metric"] in ("caption.hallucinated", "caption.with_hallucination")
    return Bar(label, value, low, high, entry["n"], entry["images"], note, "lower is better" if lower else "")


def _change_interval(change: Mapping[str, Any]) -> str:
    if change["ci_low"] is None or change["ci_high"] is None:
        return ""
    ends = sorted(100 * abs(change[end]) for end in ("ci_low", "ci_high"))
    return f"95 % interval {ends[0]:.1f} to {ends[1]:.1f}"
