"""The run folder on disk: manifest.json, samples.jsonl, summary.json, and images/ for pictures that have no file.

Rows are appended a batch of examples at a time. A killed run leaves whole lines and perhaps a torn last one; the batch
in which it ended is done again, since its rows may be incomplete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.errors import RunError

Row = dict[str, Any]

MANIFEST, SAMPLES, SUMMARY, IMAGES = "manifest.json", "samples.jsonl", "summary.json", "images"
IDENTITY = ("format", "chiasm", "dataset", "model", "scoring", "limit", "seed")
"""The parts of a manifest that must be equal for a run to go on; the others (batch, library versions) may differ."""


class RunFolder:
    """A run being written.

    Raises RunError if the folder holds another run (the message says what differs) or is damaged.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise RunError(f"{path} is a file; name a folder for the run") from None
        if (path / MANIFEST).exists():
            _check_same_run(path, read_manifest(path), manifest)
        elif (path / SAMPLES).exists():
            raise RunError(f"{path} has {SAMPLES} but no {MANIFEST}; name another folder, or empty this one")
        else:
            _write_json(path / MANIFEST, manifest)

    def resume(self, batch: int, examples: int) -> int:
        """Cut off what a killed run left unfinished and return the index of the first example to do.

        The result is a multiple of `batch` (so that batches are the same as without interruption), or `examples` if the
        run was finished.
        """
        samples = self.path / SAMPLES
        if (self.path / SUMMARY).exists():
            return examples
        if not samples.exists():
            return 0
        lines = list(_rows_with_length(samples))
        first = max((row["index"] for row, _ in lines), default=0) // batch * batch
        os.truncate(samples, sum(length for row, length in lines if row["index"] < first))
        return first

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows in one write, so that a kill tears at most the last line that reached the disk.

        Raises RunError for a row with a number that is not finite, which JSON can't hold.
        """
        lines = []
        for row in rows:
            try:
                lines.append(json.dumps(row, allow_nan=False) + "\n")
            except ValueError:
                raise RunError(
                    f"{row['id']}: the model returned a number that is not finite: {row['parsed']}"
                ) from None
        with open(self.path / SAMPLES, "ab") as file:
            file.write("".join(lines).encode("ascii"))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json, which makes the run finished."""
        _write_json(self.path / SUMMARY, summary)


def read_rows(folder: Path) -> list[Row]:
    """All rows of a run, without a torn last line. Raises RunError, naming the line, if another one is damaged."""
    if not (folder / SAMPLES).exists():
        raise RunError(f"{folder} has no {SAMPLES}; is it a run folder of `chiasm examine`?")
    return [row for row, _ in _rows_with_length(folder / SAMPLES)]


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a run folder. Raises RunError where it is missing or damaged."""
    return _read_json(folder / MANIFEST)


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json of a run folder. Raises RunError where it is missing or damaged."""
    return _read_json(folder / SUMMARY)


def _rows_with_length(samples: Path) -> Iterator[tuple[Row, int]]:
    with open(samples, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
                row["index"]
            except (ValueError, TypeError, KeyError):
                raise RunError(f"{samples}:{number} is not a row of a run; examine again into another folder") from None
            yield row, len(line)


def _check_same_run(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differences = [
        f"{where}: {before!r} there, {now!r} now"
        for key in IDENTITY
        for where, before, now in _differences(key, old.get(key), json.loads(json.dumps(new.get(key))))
    ]
    if differences:
        raise RunError(f"{path} holds another run ({'; '.join(differences)}); name another folder, or delete this one")


def _differences(where: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(f"{where}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield where, old, new


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except NotADirectoryError:
        raise RunError(f"{path.parent} is a file, expected a run folder of `chiasm score --out` or `examine`") from None
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing; is {path.parent} a finished run of `chiasm score --out` or `examine`?"
        ) from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); delete {path.parent} and examine again") from None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    """In place of the old file in one step: a reader sees the old one or the new one, whole."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(unfinished, path)
