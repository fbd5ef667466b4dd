"""Bradley-Terry strengths of systems from pairwise preferences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chiasm.errors import DataError
from chiasm.score.bootstrap import FEWEST_IMAGES, small_sample_level, summarise
from chiasm.score.intervals import percentile_interval, resampled_sums
from chiasm.score.judgement.preference_files import Preference, Preferences, read_preferences
from chiasm.score.measure import share
from chiasm.score.result import Item, Score, Value

_TOLERANCE = 1e-9
_UNDEFINED_REPLICATES = 0.025


def bradley_terry(wins: np.ndarray, steps: int = 10_000) -> np.ndarray:
    """Log strengths (..., systems) of win counts (..., systems, systems), with mean 0; a tie is half a win for both.

    The odds that i beats j are ``exp(strength[i] - strength[j])``. NaN where no finite strengths exist, because some
    systems never lost to any of the others. By minorisation-maximisation (Hunter 2004, equation 3), up to `steps`.
    """
    wins = np.asarray(wins, dtype=np.float64)
    games = wins + wins.swapaxes(-1, -2)
    won = wins.sum(axis=-1)
    defined = _connected(wins)
    strengths = np.ones(won.shape)
    for _ in range(steps):
        rates = games / (strengths[..., :, None] + strengths[..., None, :])
        with np.errstate(divide="ignore", invalid="ignore"):
            new = won / rates.sum(axis=-1)
            new /= np.exp(np.log(new).mean(axis=-1, keepdims=True))
        new = np.where(defined[..., None], new, 1.0)
        converged = np.abs(new - strengths).max() < _TOLERANCE
        strengths = new
        if converged:
            break
    return np.where(defined[..., None], np.log(strengths), np.nan)


def score_preferences(source: Path | str | Sequence[Preference], replicates: int = 1000, seed: int = 0) -> Score:
    """Strength (log odds, mean 0) and win rate (ties half) of each system, and how often the left one was preferred.

    `source` is a file as for `read_preferences` or its rows. Whole items are resampled. A strength has no interval
    where more than 2.5 % of the resamples have none, since its limit is then infinite. Where no finite strengths exist
    there are none, and a note names the systems that never lost to the others. Raises DataError as `read_preferences`
    does, and for no rows.
    """
    given = read_preferences(source) if isinstance(source, str | Path) else Preferences(tuple(source))
    rows = given.rows
    if not rows:
        raise DataError("no preferences")
    systems = sorted({name for row in rows for name in (row.left, row.right)})
    place = {name: i for i, name in enumerate(systems)}
    item_of: dict[str, int] = {}
    wins = np.zeros((len({row.item for row in rows}), len(systems), len(systems)))
    for row in rows:
        index = item_of.setdefault(row.item, len(item_of))
        for winner, loser in ((row.left, row.right), (row.right, row.left)):
            wins[index, place[winner], place[loser]] += 0.5 if row.winner is None else float(row.winner == winner)
    total = wins.sum(axis=0)
    notes = (*given.notes, *(() if _connected(total) else (_unconnected(total, systems),)))
    sums = resampled_sums(wins.reshape(len(wins), -1), replicates, seed).reshape(-1, len(systems), len(systems))
    point, spread = bradley_terry(total), bradley_terry(sums)
    items = tuple(_item(number, row) for number, row in enumerate(rows))
    strengths = [
        _strength(name, point[i], spread[:, i], int(total[i].sum() + total[:, i].sum()), len(wins))
        for i, name in enumerate(systems)
    ]
    rates = [value for name in systems for value in _win_rate(name, rows, seed)]
    shares = summarise(items, {"left_share": share("left", "decided", better=None)}, seed=seed)
    return Score("preferences", "Bradley-Terry, ties half", (*strengths, *rates, *shares), items, notes)


def _item(number: int, row: Preference) -> Item:
    statistics = {"decided": float(row.winner is not None), "left": float(row.winner == row.left)}
    return Item(f"{row.item}/{number}", row.item, row.winner, row.winner, (row.left, row.right), statistics)


def _win_rate(name: str, rows: Sequence[Preference], seed: int) -> tuple[Value, ...]:
    items = []
    for row in rows:
        if name in (row.left, row.right):
            won = 0.5 if row.winner is None else float(row.winner == name)
            statistics = {"games": 1.0, "won": won}
            items.append(Item(row.item, row.item, None, None, None, statistics, slices={"system": name}))
    return summarise(items, {"win_rate": share("won", "games")}, ["system"], seed=seed)[1:]


def _strength(name: str, value: float, spread: np.ndarray, games: int, items: int) -> Value:
    where, interval = ("system", name), None
    if np.isnan(value):
        return Value("strength", None, games, method="none: not finite", slice=where)
    if items >= FEWEST_IMAGES and np.isnan(spread).mean() <= _UNDEFINED_REPLICATES:
        interval = percentile_interval(spread, small_sample_level(items))
    if interval is None:
        return Value("strength", float(value), games, method="none: too few comparisons", slice=where)
    return Value("strength", float(value), games, *interval, "bootstrap by item", where)


def _connected(wins: np.ndarray) -> np.ndarray:
    """Whether every system beat every other directly or through others, which finite strengths need (Ford 1957)."""
    return np.asarray(_reaches(wins).all(axis=(-1, -2)))


def _reaches(wins: np.ndarray) -> np.ndarray:
    systems = wins.shape[-1]
    reaches = (wins > 0) | np.eye(systems, dtype=bool)
    for _ in range(max(1, systems - 1).bit_length()):
        reaches = (reaches.astype(np.float32) @ reaches.astype(np.float32)) > 0
    return reaches


def _unconnected(wins: np.ndarray, systems: Sequence[str]) -> str:
    beaten = _reaches(wins).sum(axis=0)
    best = [name for name, by in zip(systems, beaten, strict=True) if by == beaten.min()]
    return (
        f"no finite strengths: {', '.join(best)} never lost to, or never met, the other systems; collect comparisons "
        "that link them or use the win rate"
    )
