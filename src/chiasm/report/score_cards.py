"""Scored items as the page shows them: what was asked, what each model said, what is true, and why it is wrong.

A card is JSON for gallery.js. Boxes are [x1, y1, x2, y2, label, style, score] in pixels of the original and errors
[kind, cause, name, score], where only detections have a score and only theirs a style.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.examine.slice_run import REASONS
from chiasm.report.score_runs import Run
from chiasm.score.captioning.chair import Vocabulary
from chiasm.score.faults import Fault
from chiasm.score.faults.places import LOOSE
from chiasm.score.regions.coco_reasons import IGNORED
from chiasm.score.result import Item

MAX_BOXES = 60_000
LONGEST_TEXT = 2000

Card = dict[str, Any]


class ItemCards:
    """A card an item."""

    def __init__(self) -> None:
        self._vocabulary = Vocabulary()

    def card(self, unit: str, items: Sequence[Item], picture: int | None) -> Card:
        [item] = items
        prompt, truth, true = item.prompt, _text(item.truth), []
        if _is_region(item.truth):
            prompt, truth = prompt or str(item.truth.get("text", "")), "1 box"
            true = [[*_rounded(item.truth["box"]), ""]]
        slices = {key: label for key, label in item.slices.items() if key not in REASONS}
        return _card(unit, picture, prompt, truth, true, slices)

    def answer(self, run: Run, items: Sequence[Item], faults: Sequence[Fault]) -> Card:
        [item] = items
        said, read, boxes = _text(item.prediction), _text(item.parsed), []
        if _is_region(item.truth):
            if "iou" in item.statistics and isinstance(item.parsed, Sequence):
                boxes = [[*_rounded(item.parsed), f"IoU {item.statistics['iou']:.2f}"]]
            said, read = "1 box" if boxes else read or "nothing", ""
        score = run.item_scores.get(item.id)
        wrong = any(fault.cause != LOOSE for fault in faults)
        return {
            "said": said,
            "parts": self._parts(run, item, faults),
            "read": "" if read == said else read,
            "score": None if score in (None, 0, 1) else round(score, 3),
            "problem": item.problem,
            "right": False if wrong else True if run.has_faults else None,
            "errors": [[fault.kind, fault.cause, fault.detail] for fault in faults],
            "predicted": boxes,
        }

    def _parts(self, run: Run, item: Item, faults: Sequence[Fault]) -> list[tuple[str, bool]] | None:
        """A caption in pieces, each with whether it is a hallucinated word; None where words can't be told."""
        wrong = {fault.detail for fault in faults if fault.kind == "hallucination"}
        if run.score.task != "chair" or not wrong or not isinstance(item.prediction, str):
            return None
        parts, end = [], 0
        for name, start, stop in self._vocabulary.spans(item.prediction):
            if name in wrong:
                parts += [(item.prediction[end:start], False), (item.prediction[start:stop], True)]
                end = stop
        return [part for part in (*parts, (item.prediction[end:], False)) if part[0]]


class DetectionCards:
    """A card a picture, with those boxes of the detectors that fit into the page: the surest."""

    def __init__(self, runs: Sequence[Run]) -> None:
        scores = sorted(item.parsed["score"] for run in runs for item in run.score.items if item.parsed)
        self._least = scores[-MAX_BOXES] if len(scores) > MAX_BOXES else 0.0

    def card(self, unit: str, items: Sequence[Item], picture: int | None) -> Card:
        """Each true object once, although several detections may be about it."""
        found: dict[tuple[Any, ...], None] = {}
        for item in items:
            if item.truth is not None:
                ignored = item.prediction is None and item.slices["reason"] == IGNORED
                style = "ignored" if ignored else "true"
                found[*_rounded(item.truth["box"]), item.truth["name"], style] = None
        counts = Counter(box[4] for box in found).most_common()
        names = ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts)
        return _card(unit, picture, "", names or "nothing", [list(box) for box in found], {})

    def answer(self, run: Run, items: Sequence[Item], faults: Sequence[Fault]) -> Card:
        by_id = {item.id: item for item in items}
        boxes = []
        for item in items:
            if item.parsed and item.parsed["score"] >= self._least:
                style = "ignored" if item.slices["reason"] == IGNORED else "predicted"
                overlap = f" IoU {item.statistics['iou']:.2f}" if item.statistics.get("iou") else ""
                label = f"{item.parsed['name']} {item.parsed['score']:.2f}{overlap}"
                boxes.append([*_rounded(item.parsed["box"]), label, style, round(item.parsed["score"], 4)])
        errors = []
        for fault in faults:
            parsed = by_id[fault.item].parsed
            if parsed is None or parsed["score"] >= self._least:
                errors.append([fault.kind, fault.cause, fault.detail, parsed and round(parsed["score"], 4)])
        boxes.sort(key=lambda box: box[6])
        return {"said": "", "problem": None, "right": not faults, "errors": errors, "predicted": boxes}


def _card(
    unit: str, picture: int | None, prompt: str, truth: str, true: list[list[Any]], slices: Mapping[str, str]
) -> Card:
    return {
        "id": unit, "picture": picture, "task": "", "prompt": prompt, "truth": truth, "true": true, "slices": slices,
    }  # fmt: skip


def _is_region(truth: Any) -> bool:
    return isinstance(truth, Mapping) and "box" in truth


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(end, 1) for end in box]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        counts = Counter(value).items()
        text = " / ".join(entry if count == 1 else f"{entry} × {count}" for entry, count in counts)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
