"""Datasets by a short text, as given on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from chiasm.data.formats.coco import Coco
from chiasm.data.formats.daquar import Daquar
from chiasm.data.formats.flickr8k import Flickr8k
from chiasm.data.formats.photos import Photos
from chiasm.data.formats.questions import Questions
from chiasm.data.suggest import did_you_mean
from chiasm.errors import ConfigError
from chiasm.types import Dataset


@dataclass(frozen=True)
class Source:
    """How to open one kind of dataset: its class, what it is opened on (`default` if nothing is said), and its options
    with their types."""

    open: Callable[..., Dataset]
    subject: str
    options: Mapping[str, Callable[[str], Any]]
    default: str = ""


def _scenes(split: str, **options: Any) -> Dataset:
    from chiasm.data.worlds.scenes import Scenes  # draws its sprites when imported

    return Scenes(split, **options)


DATASETS: dict[str, Source] = {
    "scenes": Source(_scenes, "SPLIT", {"seed": int, "size": int, "count": int}, default="train"),
    "daquar": Source(Daquar, "FOLDER", {"split": str, "part": str}),
    "flickr8k": Source(Flickr8k, "FOLDER", {"split": str}),
    "coco": Source(Coco, "FOLDER", {"split": str}),
    "questions": Source(Questions, "FILE", {"images": str}),
    "photos": Source(Photos, "FOLDER", {}),
}


def open_dataset(spec: str) -> Dataset:
    """The dataset that `spec` names: ``NAME:WHAT?option=value&option=value`` or simply a folder of photos.

    ``scenes``, ``scenes:test?count=200&size=96``, ``daquar:FOLDER?part=heldout``, ``flickr8k:FOLDER?split=dev``,
    ``coco:FOLDER?split=val2017``, ``questions:FILE?images=FOLDER``, ``photos:FOLDER``. The options are the keyword
    arguments of the classes in `DATASETS`. Raises ConfigError for unknown names and options, DataError or ImageError
    for what can't be read.
    """
    if spec and Path(spec).expanduser().is_dir():
        return Photos(spec)
    name, colon, rest = spec.partition(":")
    if not colon and name not in DATASETS:
        hint = did_you_mean(name, DATASETS) if "/" not in name else ""
        raise ConfigError(f"{spec}: neither a folder of photos nor a dataset{hint}")
    if name not in DATASETS:
        raise ConfigError(f"{spec}: no dataset is called {name!r}{did_you_mean(name, DATASETS)}")
    source = DATASETS[name]
    subject, _, query = rest.partition("?")
    subject = subject or source.default
    if not subject:
        raise ConfigError(f"{spec}: say what to open: {name}:{source.subject}")
    return source.open(subject, **parse_options(spec, query, source.options))


def parse_options(spec: str, query: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The options of ``?key=value&key=value``. Raises ConfigError for unknown, repeated and malformed ones."""
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise ConfigError(f"{spec}: no option {key!r}{did_you_mean(key, known) if known else ''}")
        if key in options:
            raise ConfigError(f"{spec}: option {key!r} is given twice")
        try:
            options[key] = known[key](value)
        except ValueError:
            raise ConfigError(f"{spec}: {key}={value} is not a whole number") from None
    return options
