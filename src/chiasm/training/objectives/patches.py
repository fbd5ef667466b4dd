"""Dense supervision of a vision encoder where the truth is known to the pixel: what is under each patch?

Each patch token says which object covers it (or none), that object's attributes and the box of its visible part, as
in anchor-free detection (FCOS, Tian et al. 2019); the mean of all tokens says the scene. A few minutes of this give
an encoder that sees, which training through answers alone would take hours to reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.data.images import open_image
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.vlm import VLM
from chiasm.types import Dataset, Example, Object

ABSENT = -100
COVERED = 0.2
"""Share of a patch that an object must cover to be its answer."""


@dataclass(frozen=True)
class PatchBatch:
    """pixels (B, 3, H, W); scene (B,); name (B*T,), 0 for background; attributes (keys, B*T), ABSENT where there is
    none; boxes (objects' patches, 4) xyxy in [0, 1] for the patches in `covered`."""

    pixels: Tensor
    scene: Tensor
    name: Tensor
    attributes: Tensor
    covered: Tensor
    boxes: Tensor


class Patches(nn.Module):
    """Heads on E_pre and their losses. Needs a dataset with masks; names and attribute values are taken from its first
    `survey` examples."""

    def __init__(self, model: VLM, dataset: Dataset, survey: int = 1000):
        super().__init__()
        if dataset.object_names is None or dataset.scene_names is None:
            raise ConfigError(f"{dataset.name} has no closed lists of objects and scenes, which 'patches' needs")
        self._model = (model,)  # in a tuple, so that its parameters are not counted as the heads'
        self.dataset = dataset
        self.names = {name: i + 1 for i, name in enumerate(dataset.object_names)}
        self.scenes = {name: i for i, name in enumerate(dataset.scene_names)}
        self.attributes = _survey(dataset, survey)
        width = model.encoder.width
        self.scene_head = nn.Linear(width, len(self.scenes))
        self.name_head = nn.Linear(width, len(self.names) + 1)
        self.attribute_heads = nn.ModuleList(nn.Linear(width, len(v)) for v in self.attributes.values())
        self.box_head = nn.Linear(width, 4)
        self.weights = {"scene": 0.2, "name": 1.0, "box": 0.5, **{f"attribute {key}": 0.5 for key in self.attributes}}
        self.to(model.encoder.positions.device)

    def prepare(self, places: Sequence[tuple[int, int]]) -> PatchBatch:
        examples = [self.dataset[i] for _, i in places]
        pixels = self._model[0].encoder.preprocess([open_image(e.image, name=e.id) for e in examples])
        return self.truth(examples, pixels)

    def truth(self, examples: Sequence[Example], pixels: Tensor) -> PatchBatch:
        """The batch of examples whose pictures are preprocessed."""
        grid = self._model[0].encoder.grid(*pixels.shape[2:])
        owners = np.concatenate([_owners(e, grid) for e in examples])
        objects = [o for e in examples for o in e.objects or ()]
        first = np.cumsum([0] + [len(e.objects or ()) for e in examples])
        tokens = grid[0] * grid[1]
        # Object numbers run through the batch, so that one table look-up answers every patch.
        owners = np.where(owners >= 0, owners + np.repeat(first[:-1], tokens), len(objects))
        names = np.array([_code(self.names, o.name, e) for e in examples for o in e.objects or ()] + [0])
        values = np.array(
            [
                [codes.get(o.attributes.get(key, ""), ABSENT) for o in objects] + [ABSENT]
                for key, codes in self.attributes.items()
            ],
            np.int64,
        ).reshape(len(self.attributes), len(objects) + 1)
        boxes = np.array([_unit_box(o) for o in objects]).reshape(-1, 4)
        covered = np.flatnonzero(owners < len(objects))
        scenes = np.array([_code(self.scenes, e.scene, e) for e in examples])
        wanted = (scenes, names[owners], values[:, owners], covered, boxes[owners[covered]].astype(np.float32))
        return PatchBatch(pixels, *(torch.from_numpy(array).to(pixels.device) for array in wanted))

    def counts(self, batch: PatchBatch) -> dict[str, int]:
        per_attribute = (batch.attributes != ABSENT).sum(1).tolist()
        return {
            "scene": len(batch.scene),
            # Per object patch, as in RetinaNet (Lin et al. 2017): most patches are background and soon easy.
            "name": len(batch.covered),
            "box": len(batch.covered),
            **{f"attribute {key}": n for key, n in zip(self.attributes, per_attribute, strict=True)},
        }

    def losses(self, batch: PatchBatch) -> dict[str, Tensor]:
        return self.read(self._model[0].encoder(batch.pixels), batch)

    def read(self, features: Features, batch: PatchBatch) -> dict[str, Tensor]:
        """The losses of the encoder's output for `batch.pixels`."""
        tokens = features.tokens
        per_picture = tokens.view(len(batch.scene), -1, tokens.shape[-1])
        losses = {
            "scene": F.cross_entropy(self.scene_head(per_picture.mean(1)).float(), batch.scene, reduction="sum"),
            "name": F.cross_entropy(self.name_head(tokens).float(), batch.name, reduction="sum"),
        }
        for key, head, wanted in zip(self.attributes, self.attribute_heads, batch.attributes, strict=True):
            losses[f"attribute {key}"] = F.cross_entropy(
                head(tokens).float(), wanted, ignore_index=ABSENT, reduction="sum"
            )
        rows, columns = features.grids[0]
        reach = self.box_head(F.embedding(batch.covered, tokens)).float()
        losses["box"] = box_loss(
            _centers(rows, columns).to(reach.device)[batch.covered % (rows * columns)] + reach, batch.boxes
        )
        return losses


def box_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Summed L1 plus 1 - GIoU (Rezatofighi et al. 2019) of xyxy boxes (n, 4) in [0, 1]. A predicted box may come out
    inverted early in training; its area then counts as zero."""
    overlap = (torch.minimum(predicted[:, 2:], truth[:, 2:]) - torch.maximum(predicted[:, :2], truth[:, :2])).clamp(0)
    hull = torch.maximum(predicted[:, 2:], truth[:, 2:]) - torch.minimum(predicted[:, :2], truth[:, :2])
    intersection, hull_area = overlap.prod(1), hull.clamp(1e-6).prod(1)
    union = (
        (predicted[:, 2:] - predicted[:, :2]).clamp(0).prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - intersection
    )
    giou = intersection / union.clamp(1e-6) - (hull_area - union) / hull_area
    return (predicted - truth).abs().sum() * 5 + (1 - giou).sum()


def _centers(rows: int, columns: int) -> Tensor:
    """Patch centres as boxes without extent, (rows * columns, 4) in [0, 1], raster order."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.stack([x, y, x, y], -1).flatten(0, 1)


def _owners(example: Example, grid: tuple[int, int]) -> np.ndarray:
    """Index of the object that covers most of each patch, (rows * columns,), -1 for background."""
    if example.objects is None or any(o.mask is None for o in example.objects):
        raise DataError(f"{example.id}: 'patches' needs the mask of every object")
    if not example.objects:
        return np.full(grid[0] * grid[1], -1)
    masks = np.stack([o.mask for o in example.objects if o.mask is not None])
    n, height, width = masks.shape
    if height % grid[0] or width % grid[1]:
        raise DataError(f"{example.id}: masks of {width} x {height} can't be cut into {grid[1]} x {grid[0]} patches")
    patches = masks.reshape(n, grid[0], height // grid[0], grid[1], width // grid[1])
    share = patches.mean((2, 4)).reshape(n, -1)
    return np.where(share.max(0) >= COVERED, share.argmax(0), -1)


def _code(codes: Mapping[str, int], name: str | None, example: Example) -> int:
    if name is None or name not in codes:
        raise DataError(f"{example.id}: {name!r} is not in the dataset's own list: {', '.join(codes)}")
    return codes[name]


def _unit_box(thing: Object) -> np.ndarray:
    """xyxy in [0, 1] of the visible part."""
    assert thing.box is not None
    assert thing.mask is not None
    height, width = thing.mask.shape
    return np.divide(thing.box.as_tuple(), (width, height, width, height))


def _survey(dataset: Dataset, count: int) -> dict[str, dict[str, int]]:
    """Attribute key -> value -> code, over the first examples."""
    found: dict[str, set[str]] = {}
    for i in range(min(count, len(dataset))):
        for thing in dataset[i].objects or ():
            for key, value in thing.attributes.items():
                found.setdefault(key, set()).add(value)
    return {key: {value: i for i, value in enumerate(sorted(values))} for key, values in sorted(found.items())}
