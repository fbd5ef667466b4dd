"""Runs over shuffled options, brought back to the options as they were: a letter then means the same in both runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from chiasm.data.records import read_json
from chiasm.errors import DataError
from chiasm.score.result import Score

Orders = Mapping[str, Sequence[int]]
"""By item: position i showed option ``order[i]``, from 0, as `perturb.shuffled_options` gives it."""


def read_orders(path: Path | str) -> dict[str, list[int]]:
    """A JSON object ``{id: order}``. Raises DataError for an order that is none."""
    content = read_json(path, unique_keys=True)
    if not isinstance(content, dict):
        raise DataError(f'{path}: expected an object of ids and orders, such as {{"q1": [2, 0, 1]}}')
    for name, order in content.items():
        if not isinstance(order, list) or set(map(repr, order)) != {str(place) for place in range(len(order))}:
            raise DataError(f"{path}: the order of {name!r} is {order!r}, expected the numbers from 0, each once")
    return content


def unshuffled(score: Score, orders: Orders) -> Score:
    """`score` with the letters of parsed answers and truths as they were before the shuffle.

    Raises DataError for an item without an order and for an answer that is no letter of its options.
    """
    items = []
    for item in score.items:
        if item.id not in orders:
            raise DataError(f"item {item.id!r} has no order of options, so its letter can't be brought back")
        order = orders[item.id]
        items.append(replace(item, parsed=_back(item.parsed, order, item.id), truth=_back(item.truth, order, item.id)))
    return replace(score, items=tuple(items))


def _back(letter: Any, order: Sequence[int], item: str) -> str | None:
    if letter is None:
        return None
    shown = ascii_uppercase[: len(order)]
    if not isinstance(letter, str) or len(letter) != 1 or letter not in shown:
        raise DataError(f"item {item!r}: {letter!r} is none of the letters {', '.join(shown)} of its options")
    return ascii_uppercase[order[shown.index(letter)]]
