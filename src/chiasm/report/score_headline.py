"""The numbers of all runs side by side with their baselines, the paired verdicts, and all of it in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from chiasm.errors import ChiasmError
from chiasm.examine.compare_runs import compare_runs
from chiasm.report.score_runs import Run, interval, is_baseline, number
from chiasm.score.baselines import beside
from chiasm.score.compare import Comparison, Difference
from chiasm.score.faults.unparsed import if_unparsed_were_right
from chiasm.score.regions.coco_costs import COST
from chiasm.score.result import Value


@dataclass(frozen=True, slots=True)
class Mark:
    """A value drawn on an axis: `value`, `low` and `high` are positions on it in per cent, None where unknown."""

    text: str
    interval: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str
    raw: float | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """`marks` has one for each run, None where it lacks the metric; `baselines` are (name, text, position)."""

    metric: str
    better: str
    marks: list[Mark | None]
    baselines: list[tuple[str, str, float]]


def headline(runs: Sequence[Run]) -> list[MetricRow]:
    rows = []
    for metric in dict.fromkeys(metric for run in runs for metric in run.overall):
        if COST in metric:  # drawn with the faults
            continue
        values = [run.overall.get(metric) for run in runs]
        baselines = {name: value for run in reversed(runs) for name, value in _baselines(run, metric).items()}
        axis = Axis.of(runs, metric, [value for value in values if value])
        rows.append(
            MetricRow(
                metric,
                {"lower": "lower is better"}.get(_better(runs, metric) or "", ""),
                [None if value is None else axis.mark(value) for value in values],
                [(name, number(value), axis.at(value)) for name, value in baselines.items()],
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high` in the metric's own unit."""

    low: float
    high: float

    @staticmethod
    def of(runs: Sequence[Run], metric: str, values: Sequence[Value]) -> Axis:
        """From 0 to 1, or as far as the values reach beyond; to the largest possible where that is not far away."""
        ends = [end for value in values for end in (value.value, value.ci_low, value.ci_high) if end is not None]
        high, low = max([1.0, *ends]), min([0.0, *ends])
        most = next((run.measures[metric].most for run in runs if metric in run.measures), high)
        return Axis(low, most if isfinite(most) and high <= most <= 4 * high else high)

    def at(self, value: float) -> float:
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def mark(self, value: Value) -> Mark:
        at, low, high = (None if end is None else self.at(end) for end in (value.value, value.ci_low, value.ci_high))
        between = interval(value.ci_low, value.ci_high)
        return Mark(number(value.value), between, at, low, high, value.n, value.method, value.value)


def _better(runs: Sequence[Run], metric: str) -> str | None:
    return next((run.measures[metric].better for run in runs if metric in run.measures), "higher")


def _baselines(run: Run, metric: str) -> dict[str, float]:
    """What answering without looking would score: "baseline.all_yes.accuracy" is "all yes" of accuracy."""
    found = {}
    for value in run.score.values:
        where = beside(value.metric)
        if where and where[1] == metric and is_baseline(value) and value.slice is None and value.value is not None:
            found[where[0].removeprefix("baseline ")] = value.value
    return found


@dataclass(frozen=True, slots=True)
class GapRow:
    """A paired difference, the first run minus the second; positions as in `Mark`, on an axis with 0 in the middle."""

    metric: str
    pair: str
    values: str
    difference: str
    interval: str
    raw: float
    value: float
    low: float | None
    high: float | None
    p: float
    verdict: str
    better: str
    sentence: str
    won: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`lead` are sentences on the main metric; `slices` are the same pairs slice by slice. `notes` say what is left
    out."""

    lead: list[str]
    rows: list[GapRow]
    slices: list[GapRow]
    notes: list[str]


def verdicts(runs: Sequence[Run]) -> Verdicts | None:
    """Every metric of every pair of runs, and the main metric slice by slice; None for a single run."""
    if len(runs) < 2:
        return None
    if len({run.score.dialect for run in runs}) > 1:
        dialects = ", ".join(f"{run.name} by {run.score.dialect}" for run in runs)
        return Verdicts([], [], [], [f"Scored by different rules ({dialects}), so not compared model against model."])
    folders = {run.name: run.folder for run in runs}
    try:
        whole = compare_runs(folders)
    except ChiasmError as error:
        return Verdicts([], [], [], [f"Not compared model against model: {error}."])
    compared = [one.metric for one in whole.differences]
    main = runs[0].main.metric if runs[0].main and runs[0].main.metric in compared else next(iter(compared), "")
    keys = [] if runs[0].is_detection else runs[0].slice_keys
    by_slice = compare_runs(folders, keys, [main]) if keys else Comparison((), ())
    of_main = [one for one in (by_slice if keys else whole).differences if one.metric == main and not one.slice]
    slices = [one for one in by_slice.differences if one.slice]
    notes = list(dict.fromkeys([*whole.notes, *by_slice.notes]))
    return Verdicts([one.sentence for one in of_main], _gap_rows(whole.differences), _gap_rows(slices), notes)


def _gap_rows(differences: Sequence[Difference]) -> list[GapRow]:
    return [_gap_row(one, _reach(one, differences)) for one in differences]


def _reach(one: Difference, all_of_them: Sequence[Difference]) -> float:
    """Half the axis: what the largest end of an interval needs, shared by numbers in [0, 1] and by each larger unit."""
    small = max(abs(one.gap.first_value), abs(one.gap.second_value)) <= 1
    alike = [
        other
        for other in all_of_them
        if other.metric == one.metric or (small and max(abs(other.gap.first_value), abs(other.gap.second_value)) <= 1)
    ]
    ends = [
        abs(end)
        for other in alike
        for end in (other.gap.difference, other.gap.ci_low, other.gap.ci_high)
        if end is not None
    ]
    return max(ends) * 1.05 or 1.0


def _gap_row(one: Difference, reach: float) -> GapRow:
    gap = one.gap
    verdict = {
        "first better": f"{one.first} is better",
        "second better": f"{one.second} is better",
        "equivalent": "equivalent",
        "not told apart": "not told apart",
    }[one.verdict]
    better = {"first better": "first", "second better": "second"}.get(one.verdict, "")
    return GapRow(
        metric=one.metric if one.slice is None else f"{one.slice[0]}: {one.slice[1]}",
        pair=f"{one.first} − {one.second}",
        values=f"{number(gap.first_value)} against {number(gap.second_value)}",
        difference=number(gap.difference, signed=True),
        interval=interval(gap.ci_low, gap.ci_high, signed=True),
        raw=gap.difference,
        value=50 + 50 * gap.difference / reach,
        low=None if gap.ci_low is None else 50 + 50 * gap.ci_low / reach,
        high=None if gap.ci_high is None else 50 + 50 * gap.ci_high / reach,
        p=one.p_adjusted,
        verdict=verdict,
        better=better,
        sentence=one.sentence,
        won=f"{gap.wins:,} to {gap.losses:,}" if gap.wins or gap.losses else "",
    )


def sentences(run: Run) -> list[str]:
    """What a single run scored, beside what it would have scored without looking, and what costs it most."""
    main = run.main
    if main is None or main.value is None:
        return ["No metric of this run has a value."]
    between = f" (95 % interval {interval(main.ci_low, main.ci_high)})" if main.ci_low is not None else ""
    said = f"{main.metric} is {number(main.value)}{between} on {main.n:,} {_counted(run, main)}"
    baselines = ", ".join(f"{name} {number(value)}" for name, value in _baselines(run, main.metric).items())
    words = [f"{said}; without looking: {baselines}." if baselines else f"{said}."]
    priced = [cost for cost in run.costs if cost.cause is None]
    gains = [cost for cost in priced if cost.metric == main.metric] or [
        cost for cost in priced if cost.metric == priced[0].metric
    ]
    if gains:
        worst = max(gains, key=lambda cost: abs(cost.change))
        kind = worst.kind.replace("_", " ")
        direction = "higher" if worst.change > 0 else "lower"
        words.append(
            f"The costliest kind of fault is {kind}: without it {worst.metric} would be "
            f"{number(abs(worst.change))} {direction}."
        )
    return words


def unparsed_range(run: Run) -> str:
    """How many items are unparsed or missing, and what the main metric would be if all of these were right."""
    count = f"{run.score.counts.unparsed:,} unparsed or missing"
    right = if_unparsed_were_right(run.score)
    if run.main is None or run.main.metric not in right:
        return count
    return f"{count} ({run.main.metric} would be {number(right[run.main.metric])} if these were right)"


def _counted(run: Run, value: Value) -> str:
    if run.is_detection:
        return "objects"
    measure = run.measures.get(value.metric)
    return measure.count.replace("_", " ") if measure else "items"
