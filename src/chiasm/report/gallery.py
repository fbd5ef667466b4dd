"""Which pictures the page shows, and their thumbnails, within a budget of pictures and bytes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chiasm.report.pictures import thumbnail

Row = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gallery:
    """`pictures` and `items` are JSON for report.js; `shown` of `total` pictures found room."""

    pictures: list[dict[str, Any]]
    items: list[dict[str, Any]]
    shown: int
    total: int


def build_gallery(folder: Path, rows: Sequence[Row], max_pictures: int, max_bytes: int) -> Gallery:
    """All rows of the chosen pictures. A picture that has gone from its place since is shown as missing."""
    by_picture: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_picture[row["index"]].append(row)
    chosen = _choose(rows, by_picture, max_pictures)
    pictures: list[dict[str, Any]] = []
    items: list[list[dict[str, Any]]] = []
    used = 0
    with ThreadPoolExecutor() as pool:
        for index, source in zip(chosen, pool.map(lambda i: _thumbnail(folder, by_picture[i][0]), chosen), strict=True):
            if pictures and used + len(source) > max_bytes:
                continue
            used += len(source)
            first = by_picture[index][0]
            size = first["size"] or (4, 3)
            wrong_first = sorted(by_picture[index], key=lambda row: row["right"] is not False)
            items.append([_item(row, len(pictures)) for row in wrong_first])
            pictures.append({"name": first["example"], "file": first["image"], "size": size, "source": source})
    return Gallery(pictures, list(in_turn(items)), len(pictures), len(by_picture))


def _choose(rows: Sequence[Row], by_picture: Mapping[int, Sequence[Row]], count: int) -> list[int]:
    """A picture for each kind and cause of error in turn, so that rare ones are there, then those without error."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        for error in row["errors"]:
            groups[error["kind"], error["cause"]].append(row["index"])
    chosen: dict[int, None] = {}
    for index in (*in_turn(list(groups.values())), *by_picture):
        if len(chosen) == count:
            break
        chosen[index] = None
    return list(chosen)


def in_turn(groups: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of every group, then the second of every group, and so on."""
    for place in range(max(map(len, groups), default=0)):
        yield from (group[place] for group in groups if place < len(group))


def _thumbnail(folder: Path, row: Row) -> str:
    return "" if row["size"] is None else thumbnail(folder / row["image"])[0]


def _item(row: Row, picture: int) -> dict[str, Any]:
    """A row with what the page shows of it. Boxes are [x1, y1, x2, y2, label] in pixels of the original."""
    task, parsed, truth = row["task"], row["parsed"], row["truth"]
    boxes = task in ("detect", "ground")
    answer = {
        "said": _names(task, parsed) if boxes else parsed,
        "raw": row["raw"] if row["raw"] != parsed else "",
        "problem": row["problem"],
        "notice": row["notice"],
        "right": row["right"],
        "errors": [[error["kind"], error["cause"], error["name"]] for error in row["errors"]],
        "predicted": _boxes(parsed, row["prompt"]) if boxes else [],
    }
    return {
        "id": row["id"],
        "picture": picture,
        "task": task,
        "prompt": row["prompt"],
        "truth": _truth(task, truth),
        "true": _boxes(truth, row["prompt"]) if boxes else [],
        "slices": {"kind": row["slices"]["kind"]} if "kind" in row["slices"] else {},
        "answers": [answer],
    }


def _truth(task: str, truth: Any) -> str | None:
    if truth is None:
        return None
    if task == "answer":
        return " / ".join(dict.fromkeys(truth)) or None
    if task == "caption":
        named = "" if truth["objects"] is None else f" [{', '.join(truth['objects']) or 'no objects'}]"
        return (truth["captions"][0] if truth["captions"] else "") + named or None
    if task in ("detect", "ground"):
        return _names(task, truth)
    return truth


def _names(task: str, objects: Sequence[Mapping[str, Any]]) -> str:
    """ "cup, 2 × lamp" for detections; an expression is known, so for grounding only the number of boxes counts."""
    if task == "ground":
        return "nothing" if not objects else "1 box" if len(objects) == 1 else f"{len(objects)} boxes"
    counts = Counter(item["name"] for item in objects)
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts.items()) or "nothing"


def _boxes(objects: Sequence[Mapping[str, Any]] | None, phrase: str) -> list[list[Any]]:
    return [[*item["box"], item.get("name", phrase)] for item in objects or () if item["box"] is not None]
