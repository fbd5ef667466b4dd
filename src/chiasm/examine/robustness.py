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
from chiasm.score.robustness.options import read_orders, unshuffled
from chiasm.score.robustness.paired import score_robustness


def robustness_of_runs(
    clean: Path, perturbed: Mapping[str, Path], metric: str | None = None, orders: Mapping[str, Path] | None = None
) -> Score:
    """`score_robustness` of folders of `chiasm score` or `chiasm examine`, or of files for `read_given_scores`.

    `metric` is one of the run's own, the first that ranks unless named. `orders` are files for `read_orders`, by the
    perturbation that shuffled the options. Raises ConfigError for an unknown metric and for orders of a perturbation
    that was not given, otherwise as the readers and `score_robustness` do.
    """
    if unknown := sorted(set(orders or {}) - set(perturbed)):
        raise ConfigError(f"orders for {', '.join(unknown)}, but there is no such run, only {', '.join(perturbed)}")
    score, measures = _read(clean)
    ranking = [name for name, measure in measures.items() if measure.better is not None]
    chosen = metric or ranking[0]
    if chosen not in measures:
        raise ConfigError(f"{clean} has no metric {chosen!r}{did_you_mean(chosen, measures)}")
    runs = {}
    for name, path in perturbed.items():
        run, _ = _read(path)
        if orders and name in orders:
            run = unshuffled(run, read_orders(orders[name]))
        # An examined dataset has another name where its pictures are perturbed, which is the point here.
        runs[name] = replace(run, dialect=score.dialect) if run.task == "examine" else run
    return score_robustness(score, runs, chosen, measures[chosen])


def _read(run: Path) -> tuple[Score, dict[str, Measure]]:
    return read_scored(run) if run.is_dir() else (read_given_scores(run), {"score": MEAN_SCORE})
