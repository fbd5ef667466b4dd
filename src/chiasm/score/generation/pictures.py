"""PSNR, SSIM, MS-SSIM, LPIPS and PIQE of folders of generated pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from chiasm.data.images import list_images, open_image
from chiasm.data.records import paired
from chiasm.errors import ConfigError, DataError, ImageError
from chiasm.score.bootstrap import summarise
from chiasm.score.generation.lpips import Network, open_lpips
from chiasm.score.generation.piqe import piqe
from chiasm.score.generation.pixels import MS_SSIM_WEIGHTS, WINDOW, ms_ssim, psnr, ssim
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score


def score_pictures(generated: Path | str, references: Path | str | None = None, lpips: Network | None = None) -> Score:
    """PIQE of every picture below `generated`; with `references`, PSNR, SSIM and MS-SSIM as well, and with the network
    `lpips` also LPIPS by its features.

    Pictures are paired by file name without suffix and must have one size: nothing is resized in silence. Means over
    pictures. MS-SSIM leaves out pictures too small for it and PSNR pairs that are equal (it is infinite for them); a
    note counts them. Raises DataError for names that don't pair up, ImageError for pictures that can't be compared, and
    ConfigError for LPIPS without references or without the package.
    """
    if lpips is not None and references is None:
        raise ConfigError("LPIPS compares each picture with a reference; name the folder of references (--gt)")
    distance = open_lpips(lpips) if lpips is not None else None
    made = by_stem(list_images([generated]))
    true = by_stem(list_images([references])) if references is not None else {}
    if references is not None:
        paired([*true], [*made], references, generated)
    items = tuple(_item(name, path, true.get(name), distance) for name, path in sorted(made.items()))
    values = summarise(items, measures(items))
    notes = []
    if references is not None:
        equal = sum(item.statistics["psnr_n"] == 0 for item in items)
        small = sum(item.statistics["ms_ssim_n"] == 0 for item in items)
        if equal:
            notes.append(f"{equal} pictures equal their reference; their PSNR is infinite and left out of its mean.")
        if small:
            notes.append(f"{small} pictures are too small for MS-SSIM and left out of it.")
    dialect = "RGB, Gaussian window 11, sigma 1.5" + (f", LPIPS by {lpips}" if lpips else "")
    return Score("pictures", dialect, values, items, tuple(notes))


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Paths by file name without suffix. Raises DataError where two have the same."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} have the same name without suffix; which one is meant?")
        found[path.stem] = path
    return found


def _item(
    name: str, path: Path, reference: Path | None, distance: Callable[[np.ndarray, np.ndarray], float] | None
) -> Item:
    picture = np.asarray(open_image(path, name=name))
    statistics = {"piqe": piqe(picture), "piqe_n": 1.0}
    if reference is not None:
        true = np.asarray(open_image(reference, name=name))
        if picture.shape != true.shape:
            raise DataError(f"{name!r}: {picture.shape[:2]} pixels, its reference {true.shape[:2]}; resize one of them")
        ratio = psnr(picture, true)
        statistics |= {"psnr": ratio, "psnr_n": 1.0} if math.isfinite(ratio) else {"psnr": 0.0, "psnr_n": 0.0}
        if min(picture.shape[:2]) < WINDOW:
            raise DataError(f"{name!r}: {picture.shape[:2]} pixels are fewer than SSIM's window of {WINDOW} x {WINDOW}")
        statistics |= {"ssim": ssim(picture, true), "ssim_n": 1.0}
        fits = min(picture.shape[:2]) >= WINDOW * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
        statistics |= {"ms_ssim": ms_ssim(picture, true) if fits else 0.0, "ms_ssim_n": float(fits)}
        if distance is not None:
            try:
                statistics |= {"lpips": distance(picture, true), "lpips_n": 1.0}
            except ImageError as error:
                raise ImageError(f"{name!r}: {error}") from None
    return Item(name, name, str(path), None, None if reference is None else str(reference), statistics)


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_pictures`: PIQE alone, where there are no references."""
    found = {
        "psnr": ratio("psnr", "psnr_n", most=math.inf),
        "ssim": ratio("ssim", "ssim_n"),
        "ms_ssim": ratio("ms_ssim", "ms_ssim_n"),
        "lpips": ratio("lpips", "lpips_n", "lower", most=math.inf),
        "piqe": ratio("piqe", "piqe_n", "lower", most=100.0),
    }
    return {name: measure for name, measure in found.items() if measure.count in items[0].statistics}
