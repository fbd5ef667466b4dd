"""What taking features adds to the forward of the encoder."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import torch
from measure import Row, compare
from PIL import Image

from chiasm.data.images import open_image
from chiasm.models.encoders import ViT
from chiasm.models.features import Features
from chiasm.probe.extract import Extraction
from chiasm.probe.pictures import PictureFiles
from chiasm.probe.vision_side import VisionSide

BATCH = 16


class Encoder:
    """CLIP ViT-B/16's sizes with random weights, as a model with one site."""

    def __init__(self) -> None:
        self.vit = ViT(size=224, patch=16, width=768, depth=12, heads=12).eval().requires_grad_(False)

    def sites(self) -> tuple[str, ...]:
        return ("encoder",)

    def capture(self, images: list[Image.Image], sites: tuple[str, ...]) -> dict[str, Features]:
        with torch.no_grad():
            return {"encoder": self.vit(self.vit.preprocess(images))}


def extraction_row(pictures: int, repeats: int) -> Row:
    encoder = Encoder()
    side = VisionSide("ViT-B/16", encoder, "random", {})
    with tempfile.TemporaryDirectory() as folder:
        paths = [_photo(Path(folder) / f"{number}.jpg", number) for number in range(pictures)]
        stores = (Path(folder) / f"store{number}" for number in count())

        def ours() -> None:
            work = Extraction(side, PictureFiles(paths), next(stores), batch=BATCH)
            work.run()
            work.finish()

        def theirs() -> None:
            for start in range(0, pictures, BATCH):
                encoder.capture([open_image(path) for path in paths[start : start + BATCH]], ("encoder",))

        what = f"features of {pictures} photos into a store"
        peer = "ViT-B/16 at 224 px over them, nothing kept"
        return compare(what, peer, ours, theirs, repeats, amount=pictures, unit="pictures/s", aim=0.91)


def _photo(path: Path, seed: int) -> Path:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return path
