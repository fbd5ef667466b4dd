"""Captions from features: what a model writes from E_post as it is, reconstructed, or damaged.

Every case is read beside three others: the model's own E_post put back (ceiling; what changes all the same is the noise
floor), another picture's (null) and the mean token of all pictures in every place (control: nothing of the picture).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.captured import Captured, connected
from chiasm.probe.forced import Change, changes, forced
from chiasm.probe.perturb import Perturb, tokens_masked
from chiasm.probe.perturb_effects import mean_token

INTACT, PUT_BACK, ANOTHER, MEAN = "intact", "put back", "another picture", "mean token"
YARDSTICKS = (PUT_BACK, ANOTHER, MEAN)
LIMIT = 64


@dataclass(frozen=True)
class Case:
    """n captions written from changed features, and by picture, (n,) each:

    distortion    "cosine": mean cosine between a token of E_post before and after; "mse": mean squared difference;
                  nothing where the number of tokens has changed
    logprob_drop, kl   of the intact caption, as in `forced.Change`
    """

    captions: list[str]
    distortion: dict[str, np.ndarray]
    logprob_drop: np.ndarray
    kl: np.ndarray


@dataclass(frozen=True)
class Captions:
    """Of n pictures. `tokens` (n,) counts the intact caption's, `cluster` (n,) numbers groups of pictures that are not
    independent; `references` may be empty. `refused` says why the model could not be given a case."""

    ids: list[str]
    references: list[tuple[str, ...]]
    cluster: np.ndarray
    intact: list[str]
    tokens: np.ndarray
    cases: Mapping[str, Case] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def caption_from_features(
    model: VisionLanguageModel,
    captured: Captured,
    cluster: np.ndarray,
    cases: Mapping[str, Perturb],
    *,
    prompt: str | None = None,
    limit: int = LIMIT,
    batch: int = 16,
    advance: Callable[[int], None] = lambda cases: None,
) -> Captions:
    """Greedy captions of at most `limit` tokens from E_post of every picture, intact and in each of `cases` and of
    `YARDSTICKS`. `captured` must have the site "connector"; `advance` is called with the cases done of each batch.

    Raises ConfigError for a model that was not taught to write captions where no prompt is given, DataError for fewer
    than two pictures.
    """
    if prompt is None and "caption" not in model.dialect.prompts:
        raise ConfigError("this model was not taught to write captions; say with which prompt it is to be asked")
    prompt = prompt or model.dialect.prompts["caption"]
    e_post = captured.features["connector"]
    if len(e_post) < 2:
        raise DataError("one picture has no other to be compared with; give at least two")
    own: list[str] = []
    tokens: list[int] = []
    rows: dict[str, list[_Row]] = {}
    refused: dict[str, str] = {}
    every = _with_yardsticks(cases, captured)
    for part in torch.arange(len(e_post)).split(batch):
        chosen = part.tolist()
        with torch.inference_mode():
            intact = model.connect(model.encode(captured.images(chosen)))
            prompts = [[prompt]] * len(chosen)
            texts = [[answer.text] for (answer,) in model.generate(intact, prompts, limit=limit)]
            before = forced(model, intact, prompts, texts)
            stored = e_post.select(chosen)
            for name, change in every.items():
                changed = change(stored, [captured.ids[i] for i in chosen])
                given = replace(changed, tokens=changed.tokens.to(intact.tokens))
                try:
                    after = forced(model, given, prompts, texts)
                    written = [answer.text for (answer,) in model.generate(given, prompts, limit=limit)]
                except ConfigError as error:
                    if given.grids == intact.grids:
                        raise
                    refused[name] = str(error)
                else:
                    of_caption = [change for (change,) in changes(before, after)]
                    found = zip(written, _distortions(intact, given), of_caption, strict=True)
                    rows.setdefault(name, []).extend(found)
                advance(1)
        own += [text for (text,) in texts]
        tokens += [len(row) for (row,) in before.logits]
    return Captions(
        captured.ids,
        [example.captions for example in captured.examples],
        cluster,
        own,
        np.array(tokens),
        {name: _case(found) for name, found in rows.items() if name not in refused},
        refused,
    )


def some_pictures(captured: Captured, which: Sequence[int]) -> Captured:
    """The pictures with the given numbers."""
    return Captured(
        tuple(captured.examples[i] for i in which),
        tuple(captured.clusters[i] for i in which),
        captured.thumbnails[list(which)],
        {site: features.select(which) for site, features in captured.features.items()},
    )


def write_captions(captions: Captions, folder: Path) -> dict[str, Path]:
    """`folder`/CASE.json, {id: caption}, for the intact captions and for every case."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {INTACT: captions.intact} | {name: case.captions for name, case in captions.cases.items()}
    paths = {name: folder / f"{name.replace(' ', '-')}.json" for name in written}
    for name, texts in written.items():
        content = json.dumps(dict(zip(captions.ids, texts, strict=True)), indent=1, ensure_ascii=False)
        paths[name].write_text(content + "\n", "utf-8")
    return paths


def round_trip(model: VisionLanguageModel, reconstructed: Features, ids: Sequence[str], batch: int = 16) -> Perturb:
    """E_post in place of which stands what the connector makes of a reconstructed E_pre; `ids` are its pictures."""
    with torch.inference_mode():
        tokens = connected(model, reconstructed, batch).split()
    place = {name: number for number, name in enumerate(ids)}
    return lambda features, names: replace(features, tokens=torch.cat([tokens[place[name]] for name in names]))


_Row = tuple[str, dict[str, float], Change]


def _with_yardsticks(cases: Mapping[str, Perturb], captured: Captured) -> dict[str, Perturb]:
    e_post = captured.features["connector"]
    place = {name: number for number, name in enumerate(captured.ids)}
    next_like = _next_of_same_grid(e_post)
    return {
        PUT_BACK: lambda features, names: features,
        ANOTHER: lambda features, names: e_post.select([next_like[place[name]] for name in names]),
        MEAN: tokens_masked(1.0, mean_token(e_post)),
        **cases,
    }


def _next_of_same_grid(features: Features) -> list[int]:
    """For each picture the next one with the same grid; itself where there is none."""
    by_grid: dict[tuple[int, int], list[int]] = {}
    for picture, grid in enumerate(features.grids):
        by_grid.setdefault(grid, []).append(picture)
    following = {a: b for group in by_grid.values() for a, b in zip(group, group[1:] + group[:1], strict=True)}
    return [following[picture] for picture in range(len(features))]


def _distortions(before: Features, after: Features) -> list[dict[str, float]]:
    """Of each picture; see `Case`."""
    if before.grids != after.grids:
        return [{} for _ in before.grids]
    pairs = [(a.double(), b.double()) for a, b in zip(before.split(), after.split(), strict=True)]
    return [
        {
            "cosine": float(torch.nn.functional.cosine_similarity(a, b, dim=1).mean()),
            "mse": float((a - b).square().mean()),
        }
        for a, b in pairs
    ]


def _case(rows: Sequence[_Row]) -> Case:
    written, distortions, of_caption = zip(*rows, strict=True)
    distortion = {kind: np.array([one[kind] for one in distortions]) for kind in distortions[0]}
    drops, kls, _ = zip(*of_caption, strict=True)
    return Case(list(written), distortion, np.array(drops), np.array(kls))
