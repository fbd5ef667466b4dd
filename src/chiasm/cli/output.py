"""What the commands print: errors, and scores as a table or as JSON."""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from chiasm.errors import ChiasmError, ConfigError

if TYPE_CHECKING:
    from chiasm.score.result import Score, Value

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}

_LIMIT = re.compile(r"\s*([^\[<>]+?)\s*(?:\[([^=]+)=(.*)\])?\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


@contextmanager
def errors_to_exit() -> Iterator[None]:
    """A wrong input is a sentence on stderr and exit code 1, and Ctrl-C one and code 130; neither is a traceback."""
    try:
        yield
    except ChiasmError as error:
        typer.secho(f"chiasm: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("chiasm: stopped; the same command of train, examine or probe extract goes on from here", err=True)
        raise typer.Exit(130) from None


def print_score(score: Score, as_json: bool) -> None:
    """One JSON object, or a table with what must be read beside it."""
    from chiasm.score.baselines import beside
    from chiasm.score.score_folder import summary

    if as_json:
        print(json.dumps(summary(score), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("metric", overflow="fold")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    key_before = ""
    labels = Counter(where[0] for where in _by_slice(score.values) if where)
    sizes = {value.metric: value.n for value in score.values if value.slice is None}
    for where, values in _by_slice(score.values).items():
        if where and labels[where[0]] == 1 and all(sizes.get(value.metric) == value.n for value in values):
            continue  # the only label of its key, which says what all items say
        key, of_slice = (where[0], ": ".join(where)) if where else ("", "")
        metrics = [value.metric for value in values if beside(value.metric) is None]
        if where and (len(metrics) > 1 or key != key_before):
            table.add_section()
        if where and len(metrics) > 1:
            table.add_row(Text(of_slice, style="bold"))
        for value in _under_their_metrics(values):
            short = beside(value.metric)
            if short and short[1] in metrics:
                table.add_row(Text(f"  {short[0]}"), *_cells(value), style="dim")
            else:
                name = f"{of_slice}, {value.metric}" if where and len(metrics) == 1 else value.metric
                table.add_row(Text(name), *_cells(value))
        key_before = key
    console = Console()
    console.print(f"{score.task}, dialect {score.dialect}", markup=False, highlight=False, style="italic")
    console.print(table)
    methods = ", ".join(
        dict.fromkeys(one.method for one in score.values if one.method and not one.method.startswith("baseline"))
    )
    notes = [f"intervals: {methods}"] if methods else []
    for note in [*notes, *_unparsed_note(score), *score.notes]:
        console.print(f"note: {note}", markup=False, highlight=False)


def _under_their_metrics(values: Sequence[Value]) -> list[Value]:
    """Each metric before what stands beside it; what stands beside no metric that is there comes last."""
    from chiasm.score.baselines import beside

    place = {value.metric: number for number, value in enumerate(values)}
    return sorted(values, key=lambda value: place.get((beside(value.metric) or ("", value.metric))[1], len(values)))


def _unparsed_note(score: Score) -> list[str]:
    from chiasm.score.faults.unparsed import if_unparsed_were_right

    unparsed = score.counts.unparsed
    if not unparsed:
        return []
    note = f"{unparsed} of {len(score.items)} items could not be parsed and count as wrong"
    for metric, value in if_unparsed_were_right(score).items():
        now = next(one.value for one in score.values if one.metric == metric and one.slice is None)
        return [f"{note}; if all of them were right, {metric} would be {_shown(value)} instead of {_shown(now)}"]
    return [note]


def print_dialects(scores: Sequence[Score]) -> None:
    """Scores of the same files side by side: what all items score in each dialect, baselines apart, and which of the
    dialects a note is about."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("dialect", "metric"):
        table.add_column(column, overflow="fold")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    said_of: dict[str, list[str]] = {}
    for score in scores:
        table.add_section()
        own = [value for value in _by_slice(score.values)[None] if not value.metric.startswith("baseline.")]
        for place, value in enumerate(own):
            table.add_row("" if place else score.dialect, value.metric, *_cells(value))
        for note in score.notes:
            said_of.setdefault(note, []).append(score.dialect)
    console = Console()
    console.print(f"{scores[0].task} in {len(scores)} dialects", markup=False, highlight=False, style="italic")
    console.print(table, markup=False)
    for note, dialects in said_of.items():
        names = "" if len(dialects) == len(scores) else f"{', '.join(dialects)}: "
        console.print(f"note: {names}{note}", markup=False, highlight=False)


def _cells(value: Value) -> tuple[str, str, str]:
    interval = f"{_shown(value.ci_low)} to {_shown(value.ci_high)}" if value.ci_low is not None else ""
    return _shown(value.value), interval, str(value.n)


def _by_slice(values: Sequence[Value]) -> dict[tuple[str, str] | None, list[Value]]:
    """All items first, then slice after slice as they come."""
    found: dict[tuple[str, str] | None, list[Value]] = {None: []}
    for value in values:
        found.setdefault(value.slice, []).append(value)
    return found


def failed_limits(score: Score, limits: Sequence[str]) -> list[str]:
    """The limits, like "cider_d<1.10" and "f1[split=popular]<0.8", that hold for this score, each with its value.

    Raises ConfigError for a metric or slice that is not there, or whose value is undefined: a check that can't be made
    must not pass.
    """
    of_slice = {where: {one.metric: one.value for one in values} for where, values in _by_slice(score.values).items()}
    failed = []
    for limit in limits:
        parts = _LIMIT.fullmatch(limit)
        if parts is None:
            raise ConfigError(
                f"{limit!r} is not a limit; write METRIC<NUMBER or METRIC[KEY=LABEL]<NUMBER, with <, <=, > or >="
            )
        name, key, label, comparison, number = parts.groups()
        where = None if key is None else (key, label)
        if where not in of_slice:
            known = ", ".join("=".join(one) for one in of_slice if one is not None)
            raise ConfigError(f"there is no slice {key}={label} to hold against {limit!r}, only {known or 'none'}")
        if name not in of_slice[where]:
            known = ", ".join(of_slice[where])
            raise ConfigError(f"there is no metric {name!r} to hold against {limit!r}, only {known or 'some by slice'}")
        value = of_slice[where][name]
        if value is None:
            raise ConfigError(f"{name} has no value, so {limit!r} can't be checked")
        if _COMPARISONS[comparison](value, float(number)):
            failed.append(f"{limit}: {name} is {_shown(value)}")
    return failed


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"
