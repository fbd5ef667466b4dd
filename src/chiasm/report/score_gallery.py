"""Which scored items the page shows, with their pictures where these are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chiasm.report.gallery import Gallery, in_turn
from chiasm.report.pictures import find_pictures, thumbnail
from chiasm.report.score_cards import DetectionCards, ItemCards
from chiasm.report.score_runs import Run
from chiasm.score.faults import Fault
from chiasm.score.regions.coco_reasons import FOUND

MAX_CARDS = 6000


def score_gallery(runs: Sequence[Run], images: Path | None, max_pictures: int, max_bytes: int) -> Gallery:
    """A card an item, or for detections a card a picture, with what every run says.

    Every cause of fault comes first, then what scored lowest in the first run. At most `MAX_CARDS` cards,
    `max_pictures` of them with a picture, `max_bytes` of picture in all.
    """
    items = [_by_unit(run, [(item.id, item) for item in run.score.items]) for run in runs]
    faults = [_by_unit(run, [(fault.item, fault) for fault in run.faults]) for run in runs]
    asked = {unit: members for of_run in reversed(items) for unit, members in of_run.items()}
    scores = runs[0].item_scores
    chosen = _choose(sorted(asked, key=lambda unit: scores.get(unit, 0.0)), faults)
    names = [asked[unit][0].image for unit in chosen]
    annotations = [path for run in runs for role in ("truth", "instances") for path in run.files(role).values()]
    files = find_pictures(names, images, dict.fromkeys(annotations))
    pictures, place = _pictures(names, files, max_pictures, max_bytes)
    cards = DetectionCards(runs) if runs[0].is_detection else ItemCards()
    shown = []
    for unit, name in zip(chosen, names, strict=True):
        answers = [
            cards.answer(run, of_run[unit], faulty.get(unit, [])) if unit in of_run else None
            for run, of_run, faulty in zip(runs, items, faults, strict=True)
        ]
        shown.append(cards.card(unit, asked[unit], place.get(name)) | {"answers": answers})
    return Gallery(pictures, shown, len(shown), len(asked))


def _by_unit(run: Run, entries: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for name, entry in entries:
        found[run.unit(name)].append(entry)
    return found


def _choose(units: Sequence[str], faults: Sequence[Mapping[str, Sequence[Fault]]]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for of_run in faults:
        for unit, found in of_run.items():
            for fault in found:
                groups[fault.kind, fault.cause].append(unit)
    return list(dict.fromkeys((*in_turn(list(groups.values())), *units)))[:MAX_CARDS]


def _pictures(
    names: Sequence[str], files: Mapping[str, Path], max_pictures: int, max_bytes: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Thumbnails in the order of the cards, and where in the list each picture is."""
    wanted = [name for name in dict.fromkeys(names) if name in files][:max_pictures]
    pictures: list[dict[str, Any]] = []
    place: dict[str, int] = {}
    used = 0
    with ThreadPoolExecutor() as pool:
        for name, (source, size) in zip(wanted, pool.map(lambda name: thumbnail(files[name]), wanted), strict=True):
            if not size or (pictures and used + len(source) > max_bytes):
                continue
            used += len(source)
            place[name] = len(pictures)
            pictures.append({"name": name, "file": str(files[name]), "size": size, "source": source})
    return pictures, place


def best_threshold(run: Run) -> float:
    """The score from which on a detector's boxes have the best F1 at IoU .5, over all classes together; 0 for other
    tasks. Below it lie the many boxes that only average precision asks for."""
    if not run.is_detection:
        return 0.0
    scored = [(item.parsed["score"], item.slices["reason"] == FOUND) for item in run.score.items if item.parsed]
    objects = sum(item.statistics.get("objects", 0.0) for item in run.score.items)
    best, best_f1, found = 0.0, -1.0, 0
    for place, (score, right) in enumerate(sorted(scored, reverse=True), start=1):
        found += right
        f1 = 2 * found / (place + objects)
        if f1 > best_f1:
            best, best_f1 = score, f1
    return best
