"""RefCOCO, RefCOCO+ and RefCOCOg: the box or mask that a referring expression means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chiasm.data.box_text import DIALECTS, codec
from chiasm.data.boxes import giou_matrix, iou_matrix
from chiasm.data.records import by_id, paired, records
from chiasm.errors import DataError, ParseError
from chiasm.score.bootstrap import summarise
from chiasm.score.location import location_cause, size_class
from chiasm.score.measure import Measure, ratio, share
from chiasm.score.regions.masks import overlap
from chiasm.score.regions.refcoco_files import UNIT_NAMES, UNITS, Expression, Unit, read_expressions
from chiasm.score.regions.rle import decode
from chiasm.score.result import Item, Score, Value
from chiasm.types import Box

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
TEXT_KEYS = ("prediction", "answer", "text", "response")
BoxOrder = Literal["xywh", "xyxy"]

_ACCURACIES: dict[str, str] = {f"acc@{threshold}": f"iou>={threshold}" for threshold in (0.5, 0.1, 0.3, 0.7, 0.9)}


def score_refcoco(
    refs: Path | str,
    instances: Path | str,
    predictions: Path | str,
    *,
    split: str | None = None,
    box_order: BoxOrder = "xywh",
    text_dialect: str | None = None,
    missing: Literal["error", "wrong"] = "error",
    replicates: int = 2000,
    seed: int = 0,
) -> Score:
    """acc@.5 (and .1, .3, .7, .9), mean IoU, mean GIoU and centre hit of boxes; or acc, mIoU and cIoU of masks.

    `refs` and `instances` as `read_expressions` reads them. `predictions` is JSON or JSON lines; its key `sent_id`,
    `ref_id` or `ann_id` says what one prediction is for. A row holds a "segmentation" as in COCO, a "bbox" in pixels in
    `box_order`, or a model's text under "prediction", "answer", "text" or "response" in `text_dialect` (a name of
    `chiasm.data.box_text.DIALECTS`). Of several boxes in a text the first counts, and the item's rule says so. A text
    that can't be read is wrong, never a zero box: its IoU is 0 and its GIoU -1, the lowest there are.

    IoU is that of continuous areas; refer's own script counts pixels with the last one inclusive, and differs in the
    third digit. mIoU is the mean of each expression's IoU, cIoU the sum of intersections over the sum of unions.
    Raises DataError for files that can't be read or do not fit each other.
    """
    rows = list(records(predictions))
    if not rows:
        raise DataError(f"{predictions}: no predictions")
    unit = _unit(predictions, rows[0][1])
    answers = by_id(predictions, rows, unit, "prediction")
    truth = read_expressions(refs, instances, unit, split)
    paired(truth.keys(), answers.keys(), refs, predictions, missing)
    masks = any("segmentation" in row for row in answers.values())
    score_one = _mask_item if masks else _box_item
    items = tuple(
        score_one(f"{predictions}: {unit} {key}", key, expression, answers.get(key), box_order, text_dialect)
        for key, expression in truth.items()
    )
    values = summarise(items, measures(items), ("split", "size", "category"), replicates, seed)
    values += () if masks else _whole_pictures(list(truth.values()))
    return Score(
        "refcoco",
        f"one prediction a {UNIT_NAMES[unit]}; continuous IoU",
        values,
        items,
        _notes(items, box_order, answers),
    )


def _unit(path: Path | str, row: Mapping[str, Any]) -> Unit:
    for unit in UNITS:
        if unit in row:
            return unit
    raise DataError(f"{path}: predictions need a key {', '.join(UNITS[:-1])} or {UNITS[-1]}; found {', '.join(row)}")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_refcoco`, for boxes or for masks."""
    found = {name: share(statistic, "expressions") for name, statistic in _ACCURACIES.items()}
    if any("union" in item.statistics for item in items):
        found["mIoU"] = ratio("iou", "expressions")
        found["cIoU"] = Measure(lambda sums: sums["intersection"] / sums["union"], "expressions")
    else:
        found |= {"mean IoU": ratio("iou", "expressions"), "mean GIoU": ratio("giou", "expressions")}
        found["centre hit"] = share("centre", "expressions")
    found["unparsed"] = share("unparsed", "expressions", better=None)
    return found


def _whole_pictures(truth: Sequence[Expression]) -> tuple[Value, ...]:
    """What the box of the whole picture would score as the answer to every expression."""
    ious = [float(iou_matrix([Box(0, 0, *expression.size)], [expression.box])[0, 0]) for expression in truth]
    statistics = [_statistics(iou, None) for iou in ious]
    return tuple(
        Value(
            f"baseline.whole_picture.{name}",
            sum(row[statistic] for row in statistics) / len(statistics),
            len(statistics),
            method="baseline",
        )
        for name, statistic in (_ACCURACIES | {"mean IoU": "iou"}).items()
    )


def _box_item(
    where: str, key: str, expression: Expression, row: Mapping[str, Any] | None, order: BoxOrder, dialect: str | None
) -> Item:
    box, rule, problem = _read_box(where, row, expression, order, dialect)
    iou = float(iou_matrix([box], [expression.box])[0, 0]) if box else 0.0
    giou = float(giou_matrix([box], [expression.box])[0, 0]) if box else -1.0
    slices = _slices(expression)
    if box and iou < 0.5:
        slices["reason"] = "wrong location"
        slices["cause"] = location_cause(box, expression.box, expression.others, expression.size)
    elif not box:
        slices["reason"] = "unparsed"
    return Item(
        id=key,
        image=expression.image,
        prediction=row,
        parsed=box.as_tuple() if box else None,
        truth={"text": expression.text, "box": expression.box.as_tuple()},
        statistics=_statistics(iou, problem)
        | {"giou": giou, "centre": float(box is not None and _centre_in(box, expression.box))},
        rule=rule,
        problem=problem,
        slices=slices,
        prompt=expression.text,
    )


def _mask_item(
    where: str, key: str, expression: Expression, row: Mapping[str, Any] | None, _order: BoxOrder, _dialect: str | None
) -> Item:
    try:
        true = decode(expression.segmentation, expression.size)
        predicted = np.zeros_like(true) if row is None else decode(row.get("segmentation"), expression.size)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    intersection, union = overlap(predicted, true)
    iou = intersection / union if union else 1.0
    problem = None if row is not None else "no prediction"
    slices = _slices(expression)
    if iou < 0.5:
        slices["reason"] = "wrong location" if predicted.any() else "missed"
    return Item(
        id=key,
        image=expression.image,
        prediction=row,
        parsed={"pixels": int(predicted.sum())},
        truth={"text": expression.text, "box": expression.box.as_tuple(), "pixels": int(true.sum())},
        statistics=_statistics(iou, problem) | {"intersection": float(intersection), "union": float(union)},
        problem=problem,
        slices=slices,
        prompt=expression.text,
    )


def _read_box(
    where: str, row: Mapping[str, Any] | None, expression: Expression, order: BoxOrder, dialect: str | None
) -> tuple[Box | None, str, str | None]:
    """The box or None, the rule that read it, and the problem where there is no box."""
    if row is None:
        return None, "none", "no prediction"
    if "bbox" in row:
        return _numbers_as_box(where, row["bbox"], order), f"bbox as {order}", None
    key = next((key for key in TEXT_KEYS if key in row), None)
    if key is None or not isinstance(row[key], str):
        raise DataError(f"{where}: no 'bbox', 'segmentation' or text under {', '.join(TEXT_KEYS)}")
    if dialect is None:
        raise DataError(f"{where}: boxes are written as text; say in which dialect: {', '.join(DIALECTS)}")
    try:
        found = codec(dialect, expression.size).parse(row[key], expression.size)
    except ParseError as error:
        return None, dialect, str(error)
    if not found:
        return None, dialect, "the text says that there is no box"
    return found[0][1], dialect if len(found) == 1 else f"{dialect}, first of {len(found)} boxes", None


def _numbers_as_box(where: str, numbers: Any, order: BoxOrder) -> Box:
    """Raises DataError, since a file of numbers that are no box is damaged, where a text would be a wrong answer."""
    if (
        not isinstance(numbers, list)
        or len(numbers) != 4
        or any(type(value) not in (int, float) or not math.isfinite(value) for value in numbers)
    ):
        raise DataError(f"{where}: bbox is {numbers!r}, expected four finite numbers")
    left, top, third, fourth = map(float, numbers)
    right, bottom = (left + third, top + fourth) if order == "xywh" else (third, fourth)
    if right < left or bottom < top:
        raise DataError(f"{where}: bbox {numbers} is inverted as {order}; is it in the other order?")
    return Box(left, top, right, bottom)


def _statistics(iou: float, problem: str | None) -> dict[str, float]:
    hits = {f"iou>={threshold}": float(iou >= threshold) for threshold in THRESHOLDS}
    return {"expressions": 1.0, "iou": iou, "unparsed": float(problem is not None)} | hits


def _centre_in(predicted: Box, true: Box) -> bool:
    x, y = predicted.center
    return true.x1 <= x <= true.x2 and true.y1 <= y <= true.y2


def _slices(expression: Expression) -> dict[str, str]:
    slices = {"size": size_class(expression.box, expression.size)}
    return slices | {key: value for key in ("split", "category") if (value := getattr(expression, key))}


def _notes(items: tuple[Item, ...], order: BoxOrder, answers: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    if without := sum(item.problem is not None for item in items):
        first = next(item.problem for item in items if item.problem)
        notes.append(
            f"{without} of {len(items)} predictions are missing or unparsed and count as wrong; first: {first}"
        )
    other: BoxOrder = "xyxy" if order == "xywh" else "xywh"
    as_read = np.mean([item.statistics["iou"] for item in items])
    as_other = np.mean([_iou_in_order(item, answers.get(item.id), other) for item in items])
    if as_other > as_read + 0.1:
        notes.append(
            f"Read as {other} instead of {order}, mean IoU would be {as_other:.3f}: check the order of numbers."
        )
    return tuple(notes)


def _iou_in_order(item: Item, row: Mapping[str, Any] | None, order: BoxOrder) -> float:
    if row is None or "bbox" not in row:
        return 0.0
    try:
        box = _numbers_as_box("", row["bbox"], order)
    except DataError:
        return 0.0
    return float(iou_matrix([box], [Box(*item.truth["box"])])[0, 0])
