"""What every `chiasm score TASK` shares: its options, its run folder, its limits."""

from __future__ import annotations

import gc
import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import typer

from chiasm.cli.output import errors_to_exit, failed_limits, print_dialects, print_score
from chiasm.cli.quick_help import QUICK_HELP
from chiasm.score.result import Score

score_app = typer.Typer(
    help="Score files of predictions as the official scripts do, with intervals and a reason for every lost point.",
    no_args_is_help=True,
    context_settings=QUICK_HELP,
)

Truth = Annotated[Path, typer.Option("--gt", help="Annotations, in the benchmark's own format.")]
Predictions = Annotated[Path, typer.Option("--pred", help="Predictions, in any of the usual formats.")]
MissingWrong = Annotated[
    bool, typer.Option("--missing-wrong", help="Count a missing prediction as wrong instead of stopping.")
]
Blind = Annotated[
    Path | None, typer.Option(help="Predictions of the same model without the pictures: what was seen, what guessed?")
]
Truths = Annotated[
    list[Path], typer.Option("--gt", help="Questions of a part (a split, a subset); repeat it for the other parts.")
]
PredictionsOfEach = Annotated[list[Path], typer.Option("--pred", help="Answers to each, in the same order.")]
BlindOfEach = Annotated[
    list[Path] | None, typer.Option("--blind", help="The same model's answers without the pictures, as many as --pred.")
]
Dialect = Annotated[str, typer.Option(help="Whose rules to score by.")]
Ids = Annotated[
    Path | None, typer.Option(help="JSON list of the rows' ids; without it a row is known by its number, from 0.")
]
_result = partial(typer.Option, rich_help_panel="Result")
_Out = Annotated[Path | None, _result("--out", "-o", help="Also keep the score as a run folder.")]
_AsJson = Annotated[bool, _result("--json", help="One JSON object instead of a table.")]
_FailIf = Annotated[
    list[str] | None,
    _result(
        "--fail-if", help='Exit with 1 if this holds, e.g. "cider_d<1.10" or "f1[split=popular]<0.8"; may be repeated.'
    ),
]
_ROLES = {"gt": "truth", "pred": "predictions"}


class Named(NamedTuple):
    """NAME=PATH, as it is typed."""

    name: str
    path: Path


Scorer = TypeVar("Scorer", bound=Callable[..., Score | list[Score]])


def task(panel: str, name: str = "") -> Callable[[Scorer], Scorer]:
    """Make `chiasm score NAME` of a function from a task's own files and options to its score, or to several.

    --out, --json and --fail-if are added here. In the run folder, the files among the arguments are its inputs and all
    other arguments its options; of several scores, each has a folder named by its dialect.
    """

    def register(scorer: Scorer) -> Scorer:
        def command(out: _Out = None, as_json: _AsJson = False, fail_if: _FailIf = None, **given: Any) -> None:
            # A score makes millions of objects that all stay: looking for cycles among them takes a third of its time.
            gc.set_threshold(1_000_000)
            with errors_to_exit():
                found = scorer(**given)
                scores = found if isinstance(found, list) else [found]
                for score in scores:
                    if out:
                        _keep(out if len(scores) == 1 else out / score.dialect, score, given)
                    if as_json or len(scores) == 1:
                        print_score(score, as_json)
                if len(scores) > 1 and not as_json:
                    print_dialects(scores)
                failed = [limit for score in scores for limit in failed_limits(score, fail_if or [])]
            for limit in failed:
                typer.secho(f"chiasm: {limit}", fg="red", err=True)
            if failed:
                raise typer.Exit(1)

        shared = inspect.signature(command, eval_str=True).parameters.values()
        own = inspect.signature(scorer, eval_str=True).parameters.values()
        options = [*own, *(option for option in shared if option.name != "given")]
        # typer reads a command's options from these two.
        command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        command.__annotations__ = {option.name: option.annotation for option in options}
        score_app.command(name or scorer.__name__, help=scorer.__doc__, rich_help_panel=panel)(command)
        return scorer

    return register


def missing_as(as_wrong: bool) -> Literal["error", "wrong"]:
    return "wrong" if as_wrong else "error"


def _keep(folder: Path, score: Score, given: Mapping[str, Any]) -> None:
    from chiasm.score.score_folder import write_score

    files = {name: dict(_paths(_ROLES.get(name, name), value)) for name, value in given.items()}
    inputs = {role: path for found in files.values() for role, path in found.items()}
    options = {name: value for name, value in given.items() if not files[name]}
    write_score(folder, score, inputs, options, shlex.join(["chiasm", *sys.argv[1:]]))


def _paths(role: str, value: Any) -> Iterator[tuple[str, Path]]:
    """Every file or folder that an argument names, by its role."""
    if isinstance(value, Path):
        yield role, value
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value, 1):
            if isinstance(one, Named):
                yield f"{role} {one.name}", one.path
            else:
                yield from _paths(f"{role} {number}", one)
