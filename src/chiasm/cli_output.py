"""What the commands print: errors, and scores as a table or as JSON."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from chiasm.errors import ChiasmError, ConfigError

if TYPE_CHECKING:
    from chiasm.score.result import Score, Value

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@contextmanager
def errors_to_exit() -> Iterator[None]:
    """A wrong input is a sentence on stderr and exit code 1, and Ctrl-C one and code 130; neither is a traceback."""
    try:
        yield
    except ChiasmError as error:
        typer.secho(f"chiasm: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("chiasm: stopped; the same command of train or examine goes on from here", err=True)
        raise typer.Exit(130) from None


def print_score(score: Score, as_json: bool) -> None:
    """One JSON object, or a table with what must be read beside it."""
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
    for where, values in _by_slice(score.values).items():
        if where:
            table.add_section()
            table.add_row(Text(": ".join(where), style="bold"))
        for value in values:
            interval = f"{_shown(value.ci_low)} to {_shown(value.ci_high)}" if value.ci_low is not None else ""
            table.add_row(Text(value.metric), _shown(value.value), interval, str(value.n))
    console = Console()
    console.print(f"{score.task}, dialect {score.dialect}", markup=False, highlight=False, style="italic")
    console.print(table)
    unparsed = sum(item.problem is not None for item in score.items)
    methods = ", ".join(dict.fromkeys(value.method for value in score.values if value.method))
    notes = [f"intervals: {methods}"] if methods else []
    notes += [f"{unparsed} of {len(score.items)} items could not be parsed"] if unparsed else []
    for note in [*notes, *score.notes]:
        console.print(f"note: {note}", markup=False, highlight=False)


def _by_slice(values: Sequence[Value]) -> dict[tuple[str, str] | None, list[Value]]:
    """All items first, then slice after slice as they come."""
    found: dict[tuple[str, str] | None, list[Value]] = {None: []}
    for value in values:
        found.setdefault(value.slice, []).append(value)
    return found


def failed_limits(score: Score, limits: Sequence[str]) -> list[str]:
    """The limits, like "cider_d<1.10", that hold for this score, each with its value. A metric without a value, or one
    whose value is undefined, is an error: a check that can't be made must not pass."""
    overall: dict[str, Value] = {value.metric: value for value in score.values if value.slice is None}
    failed = []
    for limit in limits:
        parts = re.fullmatch(r"\s*(.+?)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*", limit)
        if parts is None:
            raise ConfigError(f"{limit!r} is not a limit; write METRIC<NUMBER, with <, <=, > or >=")
        name, comparison, number = parts.groups()
        if name not in overall:
            raise ConfigError(f"there is no metric {name!r} to hold against {limit!r}, only {', '.join(overall)}")
        value = overall[name].value
        if value is None:
            raise ConfigError(f"{name} has no value, so {limit!r} can't be checked")
        if _COMPARISONS[comparison](value, float(number)):
            failed.append(f"{limit}: {name} is {_shown(value)}")
    return failed


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"
