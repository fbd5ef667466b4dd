"""Answers to judge from a file, with their pictures, and the judge calibrated by people's labels."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.chat.cache import CachedEndpoint
from chiasm.data.chat.endpoint import Ask, Endpoint
from chiasm.errors import ConfigError, DataError
from chiasm.score.judgement.calibration import calibrated_mean
from chiasm.score.judgement.judge import PROMPT, Judged, Judging, score_with_judge
from chiasm.score.judgement.judged_pairs import PAIR_PROMPT, JudgedPair, judge_pairs
from chiasm.score.judgement.ratings import read_ratings
from chiasm.score.result import Score
from chiasm.score.robustness.rank_correlation import correlation_value, spearman
from chiasm.score.tables import rows_by_id, text_of


def chat(endpoint: str, cache: Path | str = "", timeout_s: float = 60.0, tries: int = 5) -> Ask:
    """The endpoint at `endpoint`, its replies kept in the file `cache` unless that is empty. A key is taken from the
    environment variable OPENAI_API_KEY, if there is one. Raises ConfigError for an `endpoint` that is no web address.
    """
    ask: Ask = Endpoint(endpoint, os.environ.get("OPENAI_API_KEY"), timeout_s, tries)
    return CachedEndpoint(ask, cache) if cache else ask


def judge_answers_file(
    ask: Ask,
    path: Path | str,
    model: str,
    images: Path | str | None = None,
    labels: Path | str | None = None,
    scale: tuple[int, int] = (1, 10),
    prompt: Path | str | None = None,
    concurrency: int = 4,
) -> Score:
    """`score_with_judge` of rows ``{id, question, answer}``, each with ``image``, ``description`` or both, perhaps with
    ``reference`` and ``ability``; JSON, JSON lines, CSV or TSV.

    Pictures lie in the folder `images`, that of the file unless given. `labels` are people's ratings of some of the
    answers on the same scale, `read_ratings` of them; they add `calibrated`, on that scale, and
    `spearman_with_people`, in [-1, 1]. `prompt` is a text file in place of `PROMPT`. Raises DataError, naming file and
    id, for rows that can't be judged and labels that don't fit, ConfigError for a prompt without a part that it needs.
    """
    how = Judging(model, *scale, _prompt(prompt, PROMPT), concurrency)
    answers = [
        Judged(
            name,
            text_of(row, ("question",), where),
            text_of(row, ("answer",), where),
            _picture(row, images or Path(path).parent, where),
            row.get("description") or None,
            row.get("reference") or None,
            str(row.get("ability") or ""),
            str(row.get("image") or ""),
        )
        for name, row, where in rows_by_id(path)
    ]
    people = None if labels is None else _mean_ratings(labels)
    score = score_with_judge(ask, answers, how)
    return score if people is None else _calibrated(score, people)


def judge_pairs_file(
    ask: Ask,
    path: Path | str,
    model: str,
    systems: tuple[str, str],
    images: Path | str | None = None,
    prompt: Path | str | None = None,
    concurrency: int = 4,
) -> Score:
    """`judge_pairs` of rows ``{id, question, first, second}``; everything else as for `judge_answers_file`."""
    how = Judging(model, prompt=_prompt(prompt, PAIR_PROMPT), concurrency=concurrency)
    pairs = [
        JudgedPair(
            name,
            text_of(row, ("question",), where),
            text_of(row, ("first",), where),
            text_of(row, ("second",), where),
            _picture(row, images or Path(path).parent, where),
            row.get("description") or None,
            str(row.get("image") or ""),
        )
        for name, row, where in rows_by_id(path)
    ]
    return judge_pairs(ask, pairs, how, systems)


def _picture(row: Mapping[str, Any], folder: Path | str, where: str) -> Path | None:
    if not row.get("image"):
        return None
    found = Path(folder) / str(row["image"])
    # Before the first request is paid for, not when the picture's turn comes.
    if not found.is_file():
        raise DataError(f"{where}: there is no picture {found}")
    return found


def _prompt(path: Path | str | None, usual: str) -> str:
    if path is None:
        return usual
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read as a prompt ({error})") from None


def _mean_ratings(labels: Path | str) -> dict[str, float]:
    given: dict[str, list[float]] = defaultdict(list)
    for rating in read_ratings(labels):
        given[rating.item].append(rating.value)
    return {item: float(np.mean(values)) for item, values in given.items()}


def _calibrated(score: Score, people: Mapping[str, float]) -> Score:
    judged = {item.id: item.statistics["score"] for item in score.items if item.parsed is not None}
    unknown = sorted(set(people) - {item.id for item in score.items})
    if unknown:
        raise DataError(f"{len(unknown)} labels are of answers that were not judged, such as {unknown[0]!r}")
    both = {name: value for name, value in people.items() if name in judged}
    rated = [item for item in score.items if item.id in both]
    agreement = correlation_value(
        "spearman_with_people",
        spearman,
        np.array([judged[item.id] for item in rated]),
        np.array([both[item.id] for item in rated]),
        [item.image for item in rated],
    )
    note = (
        f"calibrated takes {len(both)} of {len(judged)} judged answers, labelled by people, for a random part of them "
        "and answers for independent of each other."
    )
    return replace(score, values=(*score.values, calibrated_mean(judged, both), agreement), notes=(*score.notes, note))
