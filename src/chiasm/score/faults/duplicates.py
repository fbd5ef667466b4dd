"""One mistake made many times: the same wrong answer to the same question, the same object seen where it is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.score.answers import normalise
from chiasm.score.faults.fault import Fault
from chiasm.score.result import Item, Score


@dataclass(frozen=True, slots=True)
class Cluster:
    """Faults of one kind that are the same but for the picture. `said` is the wrong answer or the object's name."""

    kind: str
    prompt: str
    said: str
    items: tuple[str, ...]


def duplicate_errors(score: Score, faults: Sequence[Fault], at_least: int = 2) -> tuple[Cluster, ...]:
    """Clusters of `at_least` faults, largest first. Case, punctuation, articles and number words make no difference.

    Without a prompt (captions, detections) a cluster is of one name. Wrong places for an expression are no cluster,
    since the same words mean another thing in another picture.
    """
    items = {item.id: item for item in score.items}
    clusters: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    shown: dict[tuple[str, str, str], tuple[str, str]] = {}
    for fault in faults:
        item = items[fault.item]
        if fault.kind == "unparsed" or (fault.kind == "wrong_location" and item.prompt):
            continue
        said = _said(fault, item)
        key = fault.kind, normalise(item.prompt), normalise(said)
        clusters[key].append(fault.item)
        shown.setdefault(key, (item.prompt, said))
    large = sorted((key for key in clusters if len(clusters[key]) >= at_least), key=lambda key: -len(clusters[key]))
    return tuple(Cluster(key[0], *shown[key], tuple(clusters[key])) for key in large)


def _said(fault: Fault, item: Item) -> str:
    if isinstance(item.parsed, str) or fault.kind == "wrong_answer":
        return item.parsed if isinstance(item.parsed, str) else str(item.prediction)
    detected = item.prediction or item.truth
    return detected["name"] if isinstance(detected, dict) and "name" in detected else fault.detail
