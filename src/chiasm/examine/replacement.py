"""A replacement connector against the model's own, on pictures that it has not learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.examine.diagnosis.answers import ask
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.models.replacement import Replacement
from chiasm.probe.asked import Asked
from chiasm.probe.clusters import BOOTSTRAP, numbered
from chiasm.probe.replaced import Replaced
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.use import ratio_interval, share_interval, turned
from chiasm.types import Dataset, Example

TRAINED, OTHER, ORIGINAL, UNTRAINED = "trained", "other", "original", "untrained"
_KNOWN = {
    "null": (OTHER, "the replacement, with another picture"),
    "ceiling": (ORIGINAL, "the model's own connector"),
    "control": (UNTRAINED, "the replacement before training"),
}
Advance = Callable[[int], None]
Columns = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Case -> the parts of a ratio, (items,) each."""


def compare_replacement(
    model: VisionLanguageModel,
    trained: Replacement,
    untrained: Replacement,
    dataset: Dataset,
    count: int,
    *,
    batch: int = 16,
    seed: int = 0,
    advance: Advance = lambda pictures: None,
) -> tuple[Measurement, ...]:
    """On the first `count` pictures, of the trained replacement, with the original as ceiling, the untrained one as
    control and another picture as null:

    answers.right     share of questions answered rightly (`score.answers.normalise`)
    answers.logprob   of the right answers, in nats an answer
    captions.logprob  of each picture's first caption, in nats a caption
    match.r2          share of the variance of the original's E_post around the first batch's mean token
    match.cosine      mean cosine to its tokens

    What the dataset or the model has no texts for is left out. `advance` is called three times for each picture with
    questions and once for every picture. Raises DataError for fewer than two pictures.
    """
    examples = [dataset[index] for index in range(min(count, len(dataset)))]
    if len(examples) < 2:
        raise DataError(f"{dataset.name} has {len(examples)} pictures to measure on; give at least two")
    models = {
        ORIGINAL: model,
        TRAINED: Replaced(model, replacement=trained),
        UNTRAINED: Replaced(model, replacement=untrained),
    }
    found: list[Measurement] = []
    if any(example.questions for example in examples):
        asked = Asked.of(dataset, count)
        said = {name: ask(one, asked, batch, advance=advance) for name, one in models.items()}
        pictures = asked.pictures()
        right = {name: one.right for name, one in said.items()} | {OTHER: said[TRAINED].blind}
        likely = {name: one.logprob for name, one in said.items()} | {OTHER: said[TRAINED].logprob_blind}
        found += [
            _measurement("answers.right", "answer", _means(right), pictures, "share of questions", seed),
            _measurement("answers.logprob", "answer", _means(likely), pictures, "nats an answer", seed),
        ]
    captions, match, pictures = _features(models, examples, batch, advance)
    if captions:
        told = np.array([example.id for example in examples if example.captions], dtype=object)
        found.append(_measurement("captions.logprob", "answer", _means(captions), told, "nats a caption", seed))
    for name in ("r2", "cosine"):
        found.append(_measurement(f"match.{name}", "connector", match[name], pictures, "of E_post", seed))
    return tuple(found)


@torch.inference_mode()
def _features(
    models: Mapping[str, VisionLanguageModel], examples: list[Example], batch: int, advance: Advance
) -> tuple[dict[str, np.ndarray], dict[str, Columns], np.ndarray]:
    """Log-probabilities of captions, and the parts of r2 and cosine, by picture."""
    captions: dict[str, list[float]] = {}
    rows: dict[str, list[tuple[float, float, float]]] = {}
    prompt = models[ORIGINAL].dialect.prompts.get("caption")
    mean = None
    for part in np.array_split(np.arange(len(examples)), max(1, len(examples) // batch)):
        some = [examples[i] for i in part]
        e_pre = models[ORIGINAL].encode([open_image(example.image, name=example.id) for example in some])
        given = {name: model.connect(e_pre) for name, model in models.items()}
        given[OTHER] = turned(given[TRAINED], 1)
        own = given[ORIGINAL]
        mean = own.tokens.mean(dim=0) if mean is None else mean
        told = [i for i, example in enumerate(some) if example.captions]
        for name, features in given.items():
            if prompt is not None and told:
                speaker = models[ORIGINAL]  # the decoder is the same; what it is given is not
                texts = [[some[i].captions[0]] for i in told]
                values = speaker.logprob(features.select(told), [[prompt]] * len(told), texts)
                captions.setdefault(name, []).extend(value for (value,) in values)
            if features.grids == own.grids:
                rows.setdefault(name, []).extend(_likeness(features, own, mean))
        advance(len(some))
    # Another picture's tokens may be on another grid, and then there is nothing to compare.
    columns = {name: np.array(found).T for name, found in rows.items() if len(found) == len(examples)}
    match = {
        "r2": {name: (energy - error, energy) for name, (error, energy, _) in columns.items()},
        "cosine": _means({name: cosine for name, (_, _, cosine) in columns.items()}),
    }
    ids = np.array([example.id for example in examples], dtype=object)
    return {name: np.array(values) for name, values in captions.items()}, match, ids


def _likeness(features: Features, own: Features, mean: Tensor) -> list[tuple[float, float, float]]:
    """Of each picture: squared difference to the own tokens, their squared distance from `mean`, and mean cosine."""
    return [
        (
            float((a - b).square().sum()),
            float((b - mean).square().sum()),
            float(torch.nn.functional.cosine_similarity(a, b, dim=1).mean()),
        )
        for a, b in zip(features.split(), own.split(), strict=True)
    ]


def _means(columns: Mapping[str, np.ndarray]) -> Columns:
    return {name: (values, np.ones(len(values))) for name, values in columns.items()}


def _measurement(name: str, site: str, of: Columns, pictures: np.ndarray, unit: str, seed: int) -> Measurement:
    cluster = numbered(pictures.tolist(), len(pictures))

    def spread(case: str) -> tuple[float, float | None, float | None]:
        part, whole = of[case]
        if name == "answers.right":
            return share_interval(part, cluster, seed)
        return ratio_interval(part, whole, cluster, seed)

    value, low, high = spread(TRAINED)
    known = {kind: Yardstick(*spread(case), method) for kind, (case, method) in _KNOWN.items() if case in of}
    clusters = int(cluster.max()) + 1
    flags = () if low is not None else (f"{clusters} pictures: no interval",)
    measured = Measurement(name, (site,), value, low, high, n=len(pictures), clusters=clusters,
                           method=f"{unit}; {BOOTSTRAP}", settings={"seed": seed}, flags=flags)  # fmt: skip
    return replace(measured, null=known.get("null"), ceiling=known.get("ceiling"), control=known.get("control"))
