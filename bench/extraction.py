"""What taking features adds to the forward of a model's vision side, in time by the clock and on the processor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from measure import Row, beside, options, publish
from PIL import Image
from torch import nn

from chiasm.data.images import open_image
from chiasm.models.encoders import ViT
from chiasm.models.features import Features
from chiasm.models.nn.linear import Linear
from chiasm.probe.extract import Extraction
from chiasm.probe.pictures import PictureFiles
from chiasm.probe.vision_side import MAIN_SITES, VisionSide, open_vision_side

BATCH = 16
NOTES = """Photos of 640 x 480 px. The peer opens them, and runs the same preprocessing and forward on the same batches,
keeping nothing; ours hashes them too, and writes a whole store."""
SAMPLED = 2
"""Tokens sampled of each picture, as in a store of 8,000: a small store would write more than many do."""


class VitAndMlp(nn.Module):
    """CLIP ViT-B/16's sizes and LLaVA's connector, 2048 wide, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = ViT(size=224, patch=16, width=768, depth=12, heads=12)
        self.norm = nn.LayerNorm(768)
        self.mlp = nn.Sequential(Linear(768, 2048), nn.GELU(), Linear(2048, 2048))
        self.eval().requires_grad_(False)

    def sites(self) -> tuple[str, ...]:
        return MAIN_SITES

    def capture(self, images: Sequence[Image.Image], sites: Sequence[str]) -> dict[str, Features]:
        e_pre = self.vit(self.vit.preprocess(images))
        if tuple(sites) == ("encoder",):
            return {"encoder": e_pre}
        normed = replace(e_pre, tokens=self.norm(e_pre.tokens), site="connector.in")
        e_post = replace(e_pre, tokens=self.mlp(normed.tokens), site="connector")
        return dict(zip(MAIN_SITES, (e_pre, normed, e_post), strict=True))


def extraction_rows(pictures: int, repeats: int) -> list[Row]:
    vit = VisionSide("ViT-B/16 at 224 px and a connector 2048 wide", VitAndMlp(), "random", {})
    tiny = open_vision_side("chiasm-tiny")
    # Covariances of a wide connector and the spectra of a small model take a share of their own: shown, without an aim.
    return [
        *_rows(vit, ("encoder",), pictures, repeats, aim=0.91),
        *_rows(vit, MAIN_SITES, pictures, repeats, aim=None),
        *_rows(tiny, MAIN_SITES, 4 * pictures, repeats, aim=None),
    ]


def _rows(side: VisionSide, sites: tuple[str, ...], pictures: int, repeats: int, aim: float | None) -> list[Row]:
    """By the clock and by the processor."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [_photo(Path(folder) / f"{number}.jpg", number) for number in range(pictures)]
        stores = (Path(folder) / f"store{number}" for number in count())

        def ours() -> None:
            files = PictureFiles(paths)
            work = Extraction(side, files, next(stores), sites=sites, batch=BATCH, sample=SAMPLED * pictures)
            work.run()
            work.finish()

        def theirs() -> None:
            for start in range(0, pictures, BATCH):
                side.capture([open_image(path) for path in paths[start : start + BATCH]], sites)

        seconds = np.array([[_seconds(call) for call in (ours, theirs)] for _ in range(repeats + 1)])[1:]
    what = f"{' and '.join(sites)} of {pictures} photos into a store"
    return [
        beside(f"{what}, {clock}", f"{side.name}, nothing kept", *seconds[..., i].T, amount=pictures,
               unit="pictures/s", aim=aim)
        for i, clock in enumerate(("wall clock", "processor time"))
    ]  # fmt: skip


def _seconds(call: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and on all processors together."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def _photo(path: Path, seed: int) -> Path:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def main() -> None:
    chosen = options(__doc__, repeats=3)
    publish("extraction", "Extraction", NOTES, extraction_rows(128, chosen.repeats), chosen.json)


if __name__ == "__main__":
    main()
