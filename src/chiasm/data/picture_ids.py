"""Which picture of a folder an id of an annotation file means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from chiasm.data.images import list_images
from chiasm.errors import DataError

_LAST_NUMBER = re.compile(r"(\d+)$")


def pictures_by_id(folder: Path | str, ids: Iterable[str]) -> dict[str, Path]:
    """The picture of every id below `folder`.

    An id is a file's name, its name without suffix, or the number that name ends in: COCO's 139 is 000000000139.jpg and
    COCO_val2014_000000000139.jpg. Raises DataError for an id that no picture or more than one has.
    """
    by_name: dict[str, list[Path]] = {}
    by_number: dict[str, list[Path]] = {}
    for path in list_images([folder]):
        for name in dict.fromkeys((path.name, path.stem)):
            by_name.setdefault(name, []).append(path)
        if number := _LAST_NUMBER.search(path.stem):
            by_number.setdefault(str(int(number[1])), []).append(path)
    found, absent = {}, []
    for name in ids:
        paths = by_name.get(name) or by_number.get(name, [])
        if len(paths) > 1:
            raise DataError(f"{folder}: the id {name!r} could be {paths[0].name} or {paths[1].name}")
        if paths:
            found[name] = paths[0]
        else:
            absent.append(name)
    if absent:
        shown = ", ".join(map(repr, absent[:5]))
        raise DataError(f"{folder} has no picture for {len(absent)} ids ({shown}{', ...' * (len(absent) > 5)})")
    return found
