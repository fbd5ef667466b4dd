"""`chiasm score TASK` for robustness, and for what people and models as judges say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.cli.score_task import Dialect, Named, score_app, task
from chiasm.score.result import Score, Value

if TYPE_CHECKING:
    from chiasm.score.judgement.aspects import AspectTable

panel = "Robustness, people and judges"


def _named(text: str) -> Named:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise typer.BadParameter(f"{text!r} should be NAME=PATH, for example blur=runs/blur")
    if not Path(path).exists():
        raise typer.BadParameter(f"{text!r}: there is no {path}")
    return Named(name, Path(path))


def _by_name(given: list[Named]) -> dict[str, Path]:
    if len(dict(given)) < len(given):
        raise typer.BadParameter("the same name was given twice")
    return dict(given)


@task(panel)
def robustness(
    clean: Annotated[
        Path,
        typer.Argument(help="Run folder without perturbation, or JSON lines {id, score, answer}.", exists=True),
    ],
    perturbed: Annotated[
        list[Named] | None,
        typer.Argument(help="NAME=RUN, the same items perturbed; none for MMBench's own rotations.", parser=_named),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of the run's metrics; its first unless named.")] = None,
) -> Score:
    """Score drop and flip rate under blur, occlusion, blank pictures, paraphrase, shuffled options, ..., as paired
    tests."""
    from chiasm.examine.robustness import robustness_of_runs

    return robustness_of_runs(clean, _by_name(perturbed or []), metric)


@task(panel)
def human(
    gt: Annotated[Path, typer.Option("--gt", help="VQA annotations, or captions with several references an image.")],
    pred: Annotated[Path | None, typer.Option("--pred", help="A model's answers or captions, to set beside.")] = None,
    questions: Annotated[Path | None, typer.Option(help="The questions file of VQA annotations.")] = None,
    dialect: Dialect = "official",
    karpathy_split: Annotated[str | None, typer.Option(help="Of a Karpathy file, only this split.")] = None,
) -> Score:
    """Each person scored against the others, how far they agree, and a model's place beside them."""
    from chiasm.score.robustness.human import has_people_answers, score_human_answers
    from chiasm.score.robustness.human_captions import score_human_captions

    if has_people_answers(gt):
        return score_human_answers(gt, pred, questions, dialect)  # type: ignore[arg-type]
    return score_human_captions(gt, pred, karpathy_split)


@task(panel)
def ratings(
    file: Annotated[Path, typer.Argument(help="Rows {item, rater, rating, system}, as CSV, TSV, JSON or JSON lines.")],
    level: Annotated[
        Literal["nominal", "ordinal", "interval"], typer.Option(help="What the distance of two ratings means.")
    ] = "ordinal",
) -> Score:
    """Mean ratings by system, and Krippendorff's alpha of the raters."""
    from chiasm.score.judgement.agreement import score_ratings

    return score_ratings(file, level)


@task(panel)
def preferences(
    file: Annotated[
        Path,
        typer.Argument(help="Pairs {item, left, right, winner}, Pick-a-Pic's rows, or rankings (ImageReward, HPD)."),
    ],
) -> Score:
    """Bradley-Terry strength and win rate of each system from people's preferences."""
    from chiasm.score.judgement.bradley_terry import score_preferences

    return score_preferences(file)


@score_app.command(rich_help_panel=panel)
def aspects(
    runs: Annotated[
        list[Named], typer.Argument(help="SYSTEM=RUN, score folders; each system as often as needed.", parser=_named)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Aspects of text-to-image systems side by side, in the manner of HEIM and TISE."""
    with errors_to_exit():
        from chiasm.score.judgement.aspects import aspect_table
        from chiasm.score.score_folder import read_score

        scores: dict[str, list[Score]] = {}
        for system, path in runs:
            scores.setdefault(system, []).append(read_score(path))
        table = aspect_table(scores)
        if as_json:
            print(json.dumps(table.to_dict(), ensure_ascii=False))
        else:
            _print_aspects(table)


def _cell(value: Value | None) -> str:
    if value is None or value.value is None:
        return "-"
    interval = "" if value.ci_low is None else f"\n{value.ci_low:.3g} to {value.ci_high:.3g}"
    return f"{value.value:.4g}{interval}"


def _print_aspects(found: AspectTable) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("aspect", "metric", *found.systems)
    last = ""
    for aspect, metric in found.rows:
        cells = [_cell(found.cells.get((aspect, metric, system))) for system in found.systems]
        table.add_row(aspect if aspect != last else "", metric, *cells)
        last = aspect
    console = Console()
    console.print(table, markup=False)
    if found.missing():
        console.print("note: - was not measured; it is no zero", markup=False, highlight=False)


@task(panel)
def judge(
    pred: Annotated[
        Path,
        typer.Option("--pred", help="Rows {id, question, answer}, each with image, description or both; see --pairs."),
    ],
    endpoint: Annotated[str, typer.Option(help="OpenAI-compatible, such as http://localhost:8000/v1.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The judge's name there.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures; that of --pred without it.")] = None,
    pairs: Annotated[
        str, typer.Option(help="FIRST,SECOND: rows are {id, question, first, second}, answers of these two systems.")
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option(help="People's ratings {item, rater, rating} of some answers, to correct the judge."),
    ] = None,
    scale: Annotated[tuple[int, int], typer.Option(help="Lowest and highest score.")] = (1, 10),
    prompt: Annotated[Path | None, typer.Option(help="Text file that replaces the judge's prompt.")] = None,
    cache: Annotated[str, typer.Option(help="File of replies: nothing is paid for twice. Empty for none.")] = (
        "judge-replies.jsonl"
    ),
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one try.")] = 60,
    tries: Annotated[int, typer.Option(min=1, help="Tries of a request that fails in passing.")] = 5,
) -> Score:
    """A model as judge of answers (TouchStone, FLEUR); pairs are judged in both orders. Key: OPENAI_API_KEY."""
    from chiasm.score.judgement.judged_files import chat, judge_answers_file, judge_pairs_file

    ask = chat(endpoint, cache, timeout, tries)
    if pairs:
        systems = tuple(name.strip() for name in pairs.split(","))
        if labels or len(systems) != 2:
            raise typer.BadParameter("--pairs takes two names, comma between, and no --labels")
        return judge_pairs_file(ask, pred, model, (systems[0], systems[1]), images, prompt, concurrency)
    return judge_answers_file(ask, pred, model, images, labels, scale, prompt, concurrency)
