"""Where an edit changed the picture: the changed pixels against the mask it was asked to stay in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.errors import DataError, ImageError
from chiasm.score.bootstrap import summarise
from chiasm.score.generation.pixels import WINDOW, psnr, ssim_map
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score

CHANGED = 16
"""A pixel is changed if a channel moved by more than this, of 255: above what a good JPEG does to it."""


@dataclass(frozen=True, slots=True)
class MaskAgreement:
    """Two masks as areas: IoU and Dice in [0, 1], both 1 where both masks are empty.

    `inside` is the share of the changed pixels that lie in the asked mask, `covered` the share of the asked mask that
    changed; NaN with nothing to divide.
    """

    iou: float
    dice: float
    inside: float
    covered: float


def changed_pixels(before: np.ndarray, after: np.ndarray, threshold: float = CHANGED) -> np.ndarray:
    """Bool (H, W): where any channel of (H, W, channels), in [0, 255], moved by more than `threshold`.

    Raises ImageError for pictures of different shapes.
    """
    if before.shape != after.shape or before.ndim != 3:
        raise ImageError(f"expected two pictures (H, W, channels) of one shape, got {before.shape} and {after.shape}")
    return np.abs(before.astype(np.float64) - after).max(axis=2) > threshold


def mask_agreement(changed: np.ndarray, asked: np.ndarray) -> MaskAgreement:
    """`changed` against `asked`, both bool (H, W). Raises ImageError for other shapes or types."""
    if changed.shape != asked.shape or changed.dtype != bool or asked.dtype != bool:
        raise ImageError(f"masks must be bool of one shape, got {changed.shape} and {asked.shape} of {asked.dtype}")
    both, either = int((changed & asked).sum()), int((changed | asked).sum())
    changed_area, asked_area = int(changed.sum()), int(asked.sum())
    return MaskAgreement(
        iou=both / either if either else 1.0,
        dice=2 * both / (changed_area + asked_area) if either else 1.0,
        inside=both / changed_area if changed_area else math.nan,
        covered=both / asked_area if asked_area else math.nan,
    )


def region_ssim(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Mean SSIM of the windows whose center lies in `where`, bool (H, W); NaN where there is none.

    A window reaches five pixels beyond its center, so an edit shows that far outside its mask.
    """
    border = WINDOW // 2
    chosen = where[border:-border, border:-border]
    return float(ssim_map(a, b)[chosen].mean()) if chosen.any() else math.nan


def score_edits(edits: Iterable[tuple[str, np.ndarray, np.ndarray, np.ndarray]], threshold: float = CHANGED) -> Score:
    """Localisation of edits: (id, before, after, asked mask), pictures (H, W, channels) in [0, 255], mask bool (H, W).

    iou, dice, inside and covered as in `MaskAgreement`; ssim_outside and psnr_outside say how well the rest was kept
    (1 and infinite at best), ssim_inside how little the asked region changed. Means over edits; a mean leaves out the
    edits for which its number is undefined or infinite, and a note counts them. Raises ImageError naming the edit, and
    DataError for a repeated id.
    """
    items: dict[str, Item] = {}
    for name, before, after, asked in edits:
        if name in items:
            raise DataError(f"a second edit with the id {name!r}")
        try:
            numbers = _numbers(before, after, asked, threshold)
        except ImageError as error:
            raise ImageError(f"edit {name!r}: {error}") from None
        statistics = {"edits": 1.0}
        for key, number in numbers.items():
            defined = math.isfinite(number)
            statistics |= {f"{key}_sum": number if defined else 0.0, f"{key}_n": float(defined)}
        items[name] = Item(name, name, None, None, None, statistics)
    rows = tuple(items.values())
    values = summarise(rows, measures(rows))
    notes = ["Where nothing was asked and nothing changed, IoU and Dice are 1."]
    for key in _KEYS:
        if left_out := sum(row.statistics[f"{key}_n"] == 0 for row in rows):
            notes.append(f"{key} is undefined or infinite for {left_out} of {len(rows)} edits, which it leaves out.")
    return Score("edit localisation", f"changed by more than {threshold:g} of 255", values, rows, tuple(notes))


def _numbers(before: np.ndarray, after: np.ndarray, asked: np.ndarray, threshold: float) -> dict[str, float]:
    agreement = mask_agreement(changed_pixels(before, after, threshold), asked)
    return {
        "iou": agreement.iou,
        "dice": agreement.dice,
        "inside": agreement.inside,
        "covered": agreement.covered,
        "ssim_outside": region_ssim(before, after, ~asked),
        "ssim_inside": region_ssim(before, after, asked),
        "psnr_outside": psnr(before, after, ~asked),
    }


_KEYS = ("iou", "dice", "inside", "covered", "ssim_outside", "ssim_inside", "psnr_outside")


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_edits`. How little the asked region changed is neither good nor bad."""
    found = {key: ratio(f"{key}_sum", f"{key}_n") for key in _KEYS}
    found["ssim_inside"] = replace(found["ssim_inside"], better=None)
    found["psnr_outside"] = replace(found["psnr_outside"], most=math.inf)
    return found
