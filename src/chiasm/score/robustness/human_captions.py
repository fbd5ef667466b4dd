"""Human consistency of captions: each person's caption against the others', and a model's against the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from chiasm.data.records import paired
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.captioning.formats import read_candidates, read_references
from chiasm.score.captioning.score import DIALECT, caption_items
from chiasm.score.captioning.score import measures as caption_measures
from chiasm.score.measure import Measure, Metric
from chiasm.score.result import Item, Score


def score_human_captions(
    references: Path | str, predictions: Path | str | None = None, karpathy_split: str | None = None, seed: int = 0
) -> Score:
    """Every metric of `score_captions` for people: human_cider_d and so on, in the same range.

    Of every image the first caption is taken out and scored against the others as if a model had written it, then the
    second, up to the fewest captions that an image has; a value is the mean over these rounds. With `predictions`
    there is model_cider_d, the model against the same references in every round, so with one reference less than
    `score_captions` has, and model_minus_human_cider_d. Intervals are by image, rounds kept together. Images with one
    caption are left out and counted in a note.

    Raises DataError as `score_captions` does, and where no image has two captions.
    """
    people = read_references(references, karpathy_split)
    said = None if predictions is None else read_candidates(predictions)
    if said is not None:
        paired(list(people), list(said), references, predictions or "")
    several = {name: captions for name, captions in people.items() if len(captions) >= 2}
    if not several:
        raise DataError(f"{references}: no image has two captions, so nobody can be compared with the others")
    rounds = min(map(len, several.values()))
    items = _items(several, said, rounds)
    of_one = caption_measures(caption_items({"": ["a"]}, {"": "a"}))
    found: dict[str, Measure] = {}
    for name, measure in of_one.items():
        human = _mean_over_rounds(measure.of, "human", rounds)
        found[f"human_{name}"] = replace(measure, of=human)
        if said is not None:
            model = _mean_over_rounds(measure.of, "model", rounds)
            found[f"model_{name}"] = replace(measure, of=model)
            found[f"model_minus_human_{name}"] = replace(measure, of=_minus(model, human))
    notes = [
        f"Each of {rounds} captions of an image in turn is scored against the others, and the mean is shown: "
        "there is one reference less than for `chiasm score captions`, so the numbers are not the same."
    ]
    if alone := len(people) - len(several):
        notes.append(f"{alone} of {len(people)} images have one caption only and are left out.")
    return Score("human captions", DIALECT, summarise(items, found, seed=seed), items, tuple(notes))


def _items(people: Mapping[str, Sequence[str]], said: Mapping[str, str] | None, rounds: int) -> tuple[Item, ...]:
    """An item an image, with the statistics of every round."""
    statistics: dict[str, dict[str, float]] = {name: {"captions": 1.0} for name in people}
    for number in range(rounds):
        others = {name: [*captions[:number], *captions[number + 1 :]] for name, captions in people.items()}
        candidates = {"human": {name: captions[number] for name, captions in people.items()}}
        if said is not None:
            candidates["model"] = dict(said)
        for who, captions in candidates.items():
            for item in caption_items(others, captions):
                statistics[item.id] |= {f"{who} {number} {key}": value for key, value in item.statistics.items()}
    return tuple(
        Item(name, name, said and said[name], said and said[name], list(captions), statistics[name])
        for name, captions in people.items()
    )


def _mean_over_rounds(metric: Metric, who: str, rounds: int) -> Metric:
    def of(sums: Mapping[str, np.ndarray]) -> np.ndarray:
        values = []
        for number in range(rounds):
            prefix = f"{who} {number} "
            own = {name.removeprefix(prefix): total for name, total in sums.items() if name.startswith(prefix)}
            values.append(metric(own))
        return np.mean(values, axis=0)

    return of


def _minus(first: Metric, second: Metric) -> Metric:
    return lambda sums: first(sums) - second(sums)
