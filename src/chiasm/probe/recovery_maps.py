"""Where in a picture recovery fails: the error of each token's reconstruction, in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chiasm.models.features import Features
from chiasm.probe.shown_file import PICTURES, write_shown
from chiasm.probe.standard import of_pictures
from chiasm.probe.store_pictures import QUALITY, SIDE

EACH = 3
"""Pictures from each end, and from the middle, of the order by error."""


def token_errors(reconstructed: Features, wanted: Features, test: Sequence[int]) -> list[np.ndarray]:
    """Of each test picture the mean squared error of every token, features standardised by the other pictures: 0 where
    it is recovered, about 1 where the mean token would do as well. (rows, columns) each.

    `wanted` are all pictures, `reconstructed` those of `test`, in that order.
    """
    held = set(test)
    standard = of_pictures(wanted, [i for i in range(len(wanted)) if i not in held])
    varying = max(int(standard.varies.sum()), 1)
    pairs = zip(standard(reconstructed).split(), standard(wanted.select(test)).split(), strict=True)
    errors = [(a - b).double().square().sum(dim=1) / varying for a, b in pairs]
    return [error.reshape(grid).numpy() for error, grid in zip(errors, reconstructed.grids, strict=True)]


def write_recovery_maps(
    folder: Path,
    reconstructed: Mapping[str, Features],
    wanted: Features,
    test: Sequence[int],
    ids: Sequence[str],
    images: Any,
) -> Path:
    """For each reconstructor the maps of the test pictures that it recovers worst, of median ones and of the best, and
    the pictures themselves, into `folder`. `ids` are of all pictures; `images([i, ...])` opens some."""
    rows = []
    for name, features in reconstructed.items():
        errors = token_errors(features, wanted, test)
        order = np.argsort([-error.mean() for error in errors], kind="stable").tolist()
        middle = max(0, len(order) // 2 - EACH // 2)
        chosen = list(dict.fromkeys([*order[:EACH], *order[middle : middle + EACH], *order[-EACH:]]))
        for place in chosen:
            index = int(test[place])
            rows.append(
                {
                    "reconstructor": name,
                    "site": wanted.site,
                    "id": ids[index],
                    "file": f"recovered-{index:06d}.jpg",
                    "error": np.round(errors[place], 4).tolist(),
                }
            )
            _save(images([index])[0], folder / PICTURES / f"recovered-{index:06d}.jpg")
    return write_shown(folder, "recovery maps", rows)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    image.save(path, "JPEG", quality=QUALITY)
