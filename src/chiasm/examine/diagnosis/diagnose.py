"""`chiasm diagnose`: answers, readouts and the verdict, step by step into a folder that a stopped run goes on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.images import open_image
from chiasm.errors import DataError
from chiasm.examine.diagnosis.answers import Said, ask
from chiasm.examine.diagnosis.estimate import NO_OBJECT, Readings
from chiasm.examine.diagnosis.examined import Examined
from chiasm.examine.diagnosis.folder import ITEMS, SUMMARY, begin, kept, write
from chiasm.examine.diagnosis.lessons import Captures, decoder_states, look, part_of, swapped
from chiasm.examine.diagnosis.stages import Diagnosis, diagnose_readings
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.question_readout import Ensemble, Lessons, Projection, Recipe, answer_classes, fit_readouts
from chiasm.score.location import size_class
from chiasm.types import Example, Question

REFERENCE = "reference"
Advance = Callable[[int], None]
Source = Callable[[Asked, dict[str, Projection], Advance], Lessons]
Steps = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a step of the work, by its name and number of parts; what it gives is called with how many parts are done."""


@dataclass(frozen=True)
class Plan:
    """How a diagnosis is made.

    sites       of the vision side, in order; the encoder's first, and "connector" among them
    lessons     other pictures with questions that the readouts learn from; None to learn from the diagnosed ones
                themselves, each fold from the others
    layer       a decoder layer that is read out as well, None for none; a negative one counts from the last
    reference   an encoder whose features show what can be read of these pictures at all
    examined    the model's answers to the diagnosed questions, where it has been examined; else it is asked
    """

    sites: tuple[str, ...] = ("encoder", "connector")
    lessons: Asked | None = None
    layer: int | None = None
    reference: Captures | None = None
    examined: Examined | None = None
    folds: int = 4
    batch: int = 16
    recipe: Recipe = field(default_factory=Recipe)
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Hits:
    """Of every question in order, the share of readouts that answer it right from its own picture, and from another's;
    `learnable` says whether its answer is one that they can give."""

    own: np.ndarray
    other: np.ndarray
    learnable: np.ndarray


def diagnose(
    model: VisionLanguageModel,
    asked: Asked,
    plan: Plan,
    folder: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    steps: Steps = lambda name, parts: nullcontext(lambda done: None),
    known: dict[str, Hits] | None = None,
) -> tuple[Diagnosis, Readings, Said]:
    """Where `model` lost the answers that it gave wrongly.

    With a `folder` each step is kept there, and the same call goes on after the last finished one; `identity` says what
    must be equal for that. `known` has hits that need not be found again (a site that a lesion leaves as it was) and
    gets those that are. Questions whose answer the readouts can't give are left out. Raises RunError for a folder of
    another diagnosis, DataError for a single picture and where there is nothing to learn from.
    """
    if len(asked.examples) < 2:
        raise DataError("one picture has no other to be held against; diagnose two at least, better hundreds")
    if folder is not None:
        begin(folder, identity or {})
    said = kept(folder, "answers", lambda: _asked(model, asked, plan, steps), _said_from)
    hits = {} if known is None else known
    sources = _sources(model, plan)
    for site, source in sources.items():
        if site not in hits:
            hits[site] = kept(folder, f"hits-{site}", partial(_read, source, site, asked, plan, steps), _hits_from)
    order = [site for site in sources if site != REFERENCE]
    everyone = np.logical_and.reduce([hits[site].learnable for site in hits])
    if not everyone.any():
        raise DataError("readouts could learn none of the answers: each is too rare in what they learn from; give more")
    readings = _readings(asked, said, hits, order, everyone)
    found = diagnose_readings(readings)
    if folder is not None:
        _finish(folder, asked, said, readings, found, everyone)
    return found, readings, said


def _asked(model: VisionLanguageModel, asked: Asked, plan: Plan, steps: Steps) -> Said:
    with steps("asking", len(asked.examples)) as advance:
        return ask(model, asked, plan.batch, plan.examined, advance)


def _sources(model: VisionLanguageModel, plan: Plan) -> dict[str, Source]:
    """Where features come from, by site."""

    def vision(looker: Captures, site: str) -> Source:
        return lambda asked, projections, advance: look(looker, asked, [site], plan.batch, projections, advance)[site]

    def decoder(layer: int) -> Source:
        return lambda asked, projections, advance: decoder_states(model, asked, layer, plan.batch, projections, advance)

    found = {site: vision(model, site) for site in plan.sites}
    if plan.layer is not None:
        found[f"decoder.{plan.layer}"] = decoder(plan.layer)
    if plan.reference is not None:
        found[REFERENCE] = vision(plan.reference, "encoder")
    return found


def _read(source: Source, site: str, asked: Asked, plan: Plan, steps: Steps) -> Hits:
    """Features at a site, readouts trained on them, and what they answer."""
    projections: dict[str, Projection] = {}

    def features(of: Asked, name: str) -> Lessons:
        with steps(f"{site}: {name}", len(of.examples)) as advance:
            return source(of, projections, advance)

    if plan.lessons is not None:
        lessons = features(plan.lessons, "looking at the lessons")
        tests = features(asked, "looking")
        classes = answer_classes(lessons)
        return _hits(_trained(lessons, classes, plan, site, steps), tests, classes)
    tests = features(asked, "looking")
    classes = answer_classes(tests)
    folds = np.arange(len(tests.questions)) % plan.folds
    if site.startswith("decoder."):  # there the rows are questions, and those of one picture stay together
        folds = np.repeat(np.arange(len(asked.questions)) % plan.folds, [len(group) for group in asked.questions])
    rows: list[list[tuple[float, float]]] = [[] for _ in tests.questions]
    for fold in range(plan.folds):
        held = np.flatnonzero(folds == fold).tolist()
        if not held:
            continue
        rest = np.flatnonzero(folds != fold).tolist()
        ensemble = _trained(part_of(tests, rest), classes, plan, f"{site} {fold + 1}/{plan.folds}", steps)
        part = part_of(tests, held)
        for row, own, other in zip(held, ensemble.hits(part), ensemble.hits(swapped(part)), strict=True):
            rows[row] = list(zip(own, other, strict=True))
    flat = np.array([pair for row in rows for pair in row]).reshape(-1, 2)
    return Hits(flat[:, 0], flat[:, 1], _learnable(tests, classes))


def _trained(lessons: Lessons, classes: Sequence[str], plan: Plan, name: str, steps: Steps) -> Ensemble:
    with steps(f"{name}: readouts", plan.recipe.epochs * len(plan.seeds)) as advance:
        return fit_readouts(lessons, classes, plan.recipe, plan.seeds, lambda: advance(1))


def _hits(ensemble: Ensemble, tests: Lessons, classes: Sequence[str]) -> Hits:
    own, other = (
        np.array([hit for row in ensemble.hits(lessons) for hit in row]) for lessons in (tests, swapped(tests))
    )
    return Hits(own, other, _learnable(tests, classes))


def _learnable(tests: Lessons, classes: Sequence[str]) -> np.ndarray:
    known = set(classes)
    return np.array([bool(known & set(accepted)) for group in tests.answers for accepted in group])


def _readings(asked: Asked, said: Said, hits: Mapping[str, Hits], order: Sequence[str], chosen: np.ndarray) -> Readings:
    reference = hits.get(REFERENCE)
    return Readings(
        image=asked.pictures()[chosen],
        kind=asked.kinds()[chosen],
        right=said.right[chosen],
        blind=said.blind[chosen],
        hit={site: hits[site].own[chosen] for site in order},
        absent={site: hits[site].other[chosen] for site in order},
        sites=tuple(order),
        reference=None if reference is None else np.stack([reference.own, reference.other], axis=1)[chosen],
        size=_sizes(asked, chosen),
    )


def _sizes(asked: Asked, chosen: np.ndarray) -> np.ndarray | None:
    """The size of the object that each chosen question is about, of the largest where any of several will do."""
    sides: dict[str, tuple[int, int]] = {}

    def size(example: Example, question: Question) -> str:
        boxes = [example.objects[i].box for i in question.about] if example.objects else []
        placed = [box for box in boxes if box is not None]
        if not placed:
            return NO_OBJECT
        if example.id not in sides:
            sides[example.id] = open_image(example.image, name=example.id).size
        return size_class(max(placed, key=lambda box: box.area), sides[example.id])

    found = asked.column(size)[chosen]
    return found if (found != NO_OBJECT).any() else None


def _said_from(columns: Mapping[str, Any]) -> Said:
    return Said(columns["text"], *(np.array(columns[key]) for key in ("right", "blind", "logprob", "logprob_blind")))


def _hits_from(columns: Mapping[str, Any]) -> Hits:
    return Hits(**{key: np.array(value) for key, value in columns.items()})


def _finish(folder: Path, asked: Asked, said: Said, readings: Readings, found: Diagnosis, chosen: np.ndarray) -> None:
    ids = asked.column(lambda example, question: question.id)[chosen]
    texts = asked.column(lambda example, question: question.text)[chosen]
    truths = [accepted for group in asked.accepted for accepted in group]
    lines = []
    for row, at in enumerate(np.flatnonzero(chosen).tolist()):
        line: dict[str, Any] = {
            "id": ids[row], "image": readings.image[row], "kind": readings.kind[row], "question": texts[row],
            "truth": truths[at], "said": said.text[at], "right": bool(readings.right[row]),
            "right_blind": bool(readings.blind[row]),
            "hits": {site: round(float(readings.hit[site][row]), 3) for site in readings.sites},
            "logprob": round(float(said.logprob[at]), 4), "logprob_blind": round(float(said.logprob_blind[at]), 4),
        }  # fmt: skip
        if readings.size is not None:
            line["object_size"] = readings.size[row]
        if not readings.right[row]:
            line["verdict"] = found.verdict[row]
            line["probability"] = [round(float(p), 3) for p in found.probability[row]]
        lines.append(json.dumps(line, ensure_ascii=False))
    write(folder / ITEMS, "\n".join(lines) + "\n")
    summary = {
        "questions": len(chosen), "left_out": int((~chosen).sum()), "sites": list(readings.sites),
        "kinds": [asdict(kind) for kind in found.kinds], "sizes": [asdict(size) for size in found.sizes],
    }  # fmt: skip
    write(folder / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
