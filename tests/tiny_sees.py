"""The vision side of a model small enough to be worked out by hand, and pictures of several sizes for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from chiasm.models.features import Features
from chiasm.probe.vision_side import VisionSide

PATCH = 4
SIZES = ((16, 12), (8, 8), (12, 20), (4, 8), (20, 20))


class PatchMeans:
    """Tokens are sums of a patch's pixels, three colours wide. "connector.in" leaves them as they are, "connector" is 5
    wide and keeps every second row of tokens, at least one."""

    def __init__(self) -> None:
        self.weight = torch.linspace(-1, 1, 15).view(3, 5)

    def sites(self) -> tuple[str, ...]:
        return ("encoder.0", "encoder", "connector.in", "connector")

    def capture(self, images: Sequence[Image.Image], sites: Sequence[str]) -> dict[str, Features]:
        found: dict[str, list[torch.Tensor]] = {site: [] for site in self.sites()}
        grids = []
        for image in images:
            pixels = torch.from_numpy(np.array(image)).float() / 255
            rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
            patches = pixels.view(rows, PATCH, columns, PATCH, 3).sum((1, 3))
            grids.append((rows, columns))
            for site in ("encoder", "connector.in"):
                found[site].append(patches.flatten(0, 1))
            found["encoder.0"].append(patches.flatten(0, 1) ** 2 + 3)
            found["connector"].append((patches[::2].flatten(0, 1) @ self.weight).tanh())
        halved = tuple((-(-rows // 2), columns) for rows, columns in grids)
        return {
            site: Features(torch.cat(found[site]), halved if site == "connector" else tuple(grids), site)
            for site in sites
        }


def side(model: PatchMeans | None = None, weights: str = "w") -> VisionSide:
    return VisionSide("patches", model or PatchMeans(), weights, {"patch": PATCH})


def write_pictures(folder: Path, count: int) -> Path:
    """PNGs 000.png, 001.png, ... of random pixels."""
    folder.mkdir()
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
