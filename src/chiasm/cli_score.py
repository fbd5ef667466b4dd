"""`chiasm score TASK`: official numbers from files of annotations and predictions, in seconds, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chiasm.cli_output import errors_to_exit, failed_limits, print_score

if TYPE_CHECKING:
    from chiasm.score.result import Score

score_app = typer.Typer(
    help="Score files of predictions as the official scripts do, with intervals and a reason for every lost point.",
    no_args_is_help=True,
)

Truth = Annotated[Path, typer.Option("--gt", help="Annotations, in the benchmark's own format.")]
Predictions = Annotated[Path, typer.Option("--pred", help="Predictions, in any of the usual formats.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Also keep the score as a run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
FailIf = Annotated[
    list[str] | None, typer.Option("--fail-if", help='Exit with 1 if this holds, e.g. "cider_d<1.10"; may be repeated.')
]
MissingWrong = Annotated[
    bool, typer.Option("--missing-wrong", help="Count a missing prediction as wrong instead of stopping.")
]
Dialect = Annotated[str, typer.Option(help="Whose rules to score by.")]


def missing_as(as_wrong: bool) -> Literal["error", "wrong"]:
    return "wrong" if as_wrong else "error"


def publish(
    make: Callable[[], Score],
    inputs: Mapping[str, Path | None],
    out: Path | None,
    as_json: bool,
    limits: list[str] | None,
    options: Mapping[str, Any] | None = None,
) -> None:
    with errors_to_exit():
        score = make()
        if out:
            from chiasm.score.score_folder import write_score

            write_score(out, score, {role: path for role, path in inputs.items() if path}, options)
        print_score(score, as_json)
        failed = failed_limits(score, limits or [])
    for limit in failed:
        typer.secho(f"chiasm: {limit}", fg="red", err=True)
    if failed:
        raise typer.Exit(1)


@score_app.command()
def captions(
    gt: Annotated[list[Path], typer.Option("--gt", help="References; several files are parallel lines.")],
    pred: Predictions,
    karpathy_split: Annotated[str | None, typer.Option(help="Of a Karpathy file, only this split.")] = None,
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """BLEU, ROUGE-L, CIDEr-D and CIDEr with coco-caption's semantics."""

    def make() -> Score:
        from chiasm.score.captioning.score import score_captions

        truth = gt[0] if len(gt) == 1 else gt
        return score_captions(truth, pred, missing=missing_as(missing_wrong), karpathy_split=karpathy_split)

    inputs = {f"truth {number}": path for number, path in enumerate(gt, 1)} | {"predictions": pred}
    publish(make, inputs, out, as_json, fail_if, {"missing": missing_as(missing_wrong), "split": karpathy_split})


@score_app.command()
def vqa(
    gt: Truth,
    pred: Predictions,
    questions: Annotated[Path | None, typer.Option(help="The questions file, where answers are tied by it.")] = None,
    dialect: Dialect = "official",
    dialects: Annotated[bool, typer.Option("--dialects", help="Score in every dialect, side by side.")] = False,
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """VQAv2, TextVQA and VizWiz. Dialects: official, lmms, evalai, vlmevalkit, simple, exact, substring."""
    missing = missing_as(missing_wrong)
    if dialects:
        with errors_to_exit():
            from chiasm.score.vqa.accuracy import score_vqa_in_every_dialect

            for found in score_vqa_in_every_dialect(gt, pred, questions, missing).values():
                print_score(found, as_json)
        return

    def make() -> Score:
        from chiasm.score.vqa.accuracy import score_vqa

        return score_vqa(gt, pred, questions, dialect, missing)  # type: ignore[arg-type]

    inputs = {"truth": gt, "predictions": pred, "questions": questions}
    publish(make, inputs, out, as_json, fail_if, {"dialect": dialect, "missing": missing})


@score_app.command()
def gqa(
    gt: Truth,
    pred: Predictions,
    choices: Annotated[Path | None, typer.Option(help="GQA's choices file, for validity and plausibility.")] = None,
    dialect: Dialect = "official",
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """GQA: accuracy, consistency, validity, plausibility, distribution. Dialects: official, llava, lmms."""
    missing = missing_as(missing_wrong)

    def make() -> Score:
        from chiasm.score.vqa.gqa import score_gqa

        return score_gqa(gt, pred, choices, dialect, missing)  # type: ignore[arg-type]

    inputs = {"truth": gt, "predictions": pred, "choices": choices}
    publish(make, inputs, out, as_json, fail_if, {"dialect": dialect, "missing": missing})


@score_app.command()
def chartqa(
    human: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Questions and predictions of the human part.")
    ] = None,
    augmented: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Questions and predictions of the augmented part.")
    ] = None,
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """ChartQA's relaxed accuracy, strict and lenient side by side."""
    given = {"human": human, "augmented": augmented}
    parts = {name: files for name, files in given.items() if files}
    if not parts:
        raise typer.BadParameter("give --human QUESTIONS PREDICTIONS, --augmented QUESTIONS PREDICTIONS, or both")

    def make() -> Score:
        from chiasm.score.vqa.chartqa import score_chartqa

        return score_chartqa(parts, missing_as(missing_wrong))

    inputs = {
        f"{name} {role}": path
        for name, files in parts.items()
        for role, path in zip(("truth", "predictions"), files, strict=True)
    }
    publish(make, inputs, out, as_json, fail_if, {"missing": missing_as(missing_wrong)})


@score_app.command()
def pope(
    gt: Annotated[list[Path], typer.Option("--gt", help="Questions of a split; repeat it for the other splits.")],
    pred: Annotated[list[Path], typer.Option("--pred", help="Answers to each, in the same order.")],
    llava_questions: Annotated[
        Path | None, typer.Option(help="LLaVA's own list, if its answers are numbered by it.")
    ] = None,
    dialect: Dialect = "official",
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """POPE by split: accuracy, precision, recall, F1, yes-ratio. Dialects: official, lmms, vlmevalkit."""
    missing = missing_as(missing_wrong)

    def make() -> Score:
        from chiasm.score.choice.pope import score_pope

        return score_pope(gt, pred, llava_questions, dialect, missing)  # type: ignore[arg-type]

    inputs = {f"truth {n}": path for n, path in enumerate(gt, 1)} | {
        f"predictions {n}": path for n, path in enumerate(pred, 1)
    }
    publish(
        make,
        {**inputs, "llava questions": llava_questions},
        out,
        as_json,
        fail_if,
        {"dialect": dialect, "missing": missing},
    )


@score_app.command()
def mme(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of TASK.txt with truth and answers, or one table.")],
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """MME: accuracy, accuracy+, and the perception and cognition sums."""

    def make() -> Score:
        from chiasm.score.choice.mme import score_mme

        return score_mme(pred)

    files = {path.stem: path for path in sorted(pred.glob("*.txt"))} if pred.is_dir() else {"predictions": pred}
    publish(make, files, out, as_json, fail_if)


@score_app.command()
def seed(
    gt: Truth,
    pred: Predictions,
    dialect: Dialect = "letter",
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """SEED-Bench by data type and question type. Dialects: letter, first_character."""
    missing = missing_as(missing_wrong)

    def make() -> Score:
        from chiasm.score.choice.seed import score_seed

        return score_seed(gt, pred, dialect, missing)  # type: ignore[arg-type]

    publish(make, {"truth": gt, "predictions": pred}, out, as_json, fail_if, {"dialect": dialect, "missing": missing})


@score_app.command()
def scienceqa(
    gt: Truth,
    pred: Predictions,
    split: Annotated[str, typer.Option(help="Which split of problems.json.")] = "test",
    images_only: Annotated[bool, typer.Option(help="Only questions with a picture.")] = False,
    missing_wrong: MissingWrong = False,
    out: Out = None,
    as_json: AsJson = False,
    fail_if: FailIf = None,
) -> None:
    """ScienceQA by subject, context and grade."""
    missing = missing_as(missing_wrong)

    def make() -> Score:
        from chiasm.score.choice.scienceqa import score_scienceqa

        return score_scienceqa(gt, pred, split, images_only, missing)

    options = {"split": split, "images_only": images_only, "missing": missing}
    publish(make, {"truth": gt, "predictions": pred}, out, as_json, fail_if, options)


def _uniform(name: str, scorer: str, what: str) -> None:
    """A task of two files and nothing else; `scorer` is where its function is."""

    @score_app.command(name, help=what)
    def command(
        gt: Truth,
        pred: Predictions,
        missing_wrong: MissingWrong = False,
        out: Out = None,
        as_json: AsJson = False,
        fail_if: FailIf = None,
    ) -> None:
        def make() -> Score:
            module, _, function = scorer.rpartition(".")
            score = getattr(import_module(f"chiasm.score.{module}"), function)
            return score(gt, pred, missing=missing_as(missing_wrong))

        inputs = {"truth": gt, "predictions": pred}
        publish(make, inputs, out, as_json, fail_if, {"missing": missing_as(missing_wrong)})


for task in (
    ("docvqa", "vqa.anls.score_anls", "ANLS of DocVQA and InfographicVQA."),
    (
        "daquar",
        "vqa.daquar.score_daquar",
        "DAQUAR's accuracy and WUPS; WUPS needs WordNet (nltk's data, or Debian's wordnet-base).",
    ),
    ("mmbench", "choice.mmbench.score_mmbench", "MMBench, circular and vanilla."),
    ("nlvr2", "choice.pairs.score_nlvr2", "NLVR2: accuracy of pairs, and consistency of sentences."),
    (
        "retrieval",
        "retrieval.ranking.score_run",
        "P@K, R@K, hit@K, F1@K, MAP, MRR, NDCG and AUC-PR of a TREC run (or JSON) under judgements.",
    ),
    ("masks", "regions.mask_files.score_masks", "IoU, Dice, boundary F, cIoU and mIoU of masks."),
    ("pointing", "regions.pointing.score_pointing", "The pointing game: is the most important point in the region?"),
    ("tifa", "generation.tifa.score_tifa", "TIFA of answered questions about generated pictures."),
):
    _uniform(*task)
