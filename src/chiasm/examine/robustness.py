"""A clean run folder against run folders of the same items under perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.examine.scored import read_scored
from chiasm.score.measure import Measure
from chiasm.score.result import Score
from chiasm.score.robustness.given_scores import MEAN_SCORE, read_given_scores
from chiasm.score.robustness.paired import score_robustness
from chiasm.score.robustness.rotations import score_rotations


def robustness_of_runs(clean: Path, perturbed: Mapping[str, Path], metric: str | None = None) -> Score:
    """`score_robustness` of folders of `chiasm score` or `chiasm examine`, or of files for `read_given_scores`.

    `metric` is one of the run's own, the first that ranks unless named. A run of MMBench alone, with nothing perturbed,
    is compared with itself by `score_rotations`. Raises ConfigError for an unknown metric, otherwise as the readers,
    `score_robustness` and `score_rotations` do.
    """
    score, measures = _read(clean)
    if score.task == "mmbench" and not perturbed:
        if metric is not None:
            raise ConfigError(f"the passes of MMBench are compared by their accuracy, not by {metric!r}")
        return score_rotations(score)
    ranking = [name for name, measure in measures.items() if measure.better is not None]
    chosen = metric or ranking[0]
    if chosen not in measures:
        raise ConfigError(f"{clean} has no metric {chosen!r}{did_you_mean(chosen, measures)}")
    runs = {}
    for name, path in perturbed.items():
        run, _ = _read(path)
        # An examined dataset has another name where its pictures are perturbed, which is the point here.
        runs[name] = replace(run, dialect=score.dialect) if run.task == "examine" else run
    return score_robustness(score, runs, chosen, measures[chosen])


def _read(run: Path) -> tuple[Score, dict[str, Measure]]:
    return read_scored(run) if run.is_dir() else (read_given_scores(run), {"score": MEAN_SCORE})
