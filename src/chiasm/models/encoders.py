"""Vision encoders. An encoder owns its picture size, its normalisation and its patch grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from chiasm.errors import ConfigError
from chiasm.models.features import Features, Grid
from chiasm.models.nn.attention import Everything
from chiasm.models.nn.blocks import EncoderBlock
from chiasm.models.nn.linear import Linear


class ViT(nn.Module):
    """Vision transformer without a class token (SigLIP's tower; Zhai et al. 2023).

    `size` is the side in pixels of the square that pictures are resized to; `forward` takes any multiple of `patch`,
    interpolating the learned 2-D positions. Pixels are scaled to [-1, 1].
    """

    def __init__(
        self,
        size: int = 96,
        patch: int = 8,
        width: int = 256,
        depth: int = 6,
        heads: int = 4,
        hidden: int | None = None,
        eps: float = 1e-6,
    ):
        super().__init__()
        if size % patch:
            raise ConfigError(f"encoder: size {size} is not a multiple of patch {patch}")
        self.size, self.patch, self.width = size, patch, width
        self.side = size // patch
        self.embed = Linear(3 * patch * patch, width)
        self.positions = nn.Parameter(torch.randn(self.side * self.side, width) * 0.02)
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, hidden or 4 * width, eps) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps)

    def grid(self, height: int, width: int) -> Grid:
        """Rows and columns of tokens for pixels (3, height, width)."""
        if height % self.patch or width % self.patch:
            raise ConfigError(f"pixels of {width} x {height} are not whole patches of {self.patch}")
        return height // self.patch, width // self.patch

    def preprocess(self, images: Sequence[Image.Image | np.ndarray]) -> Tensor:
        """RGB pictures (PIL, or uint8 arrays (height, width, 3)) of any size -> pixels (pictures, 3, size, size) in
        [-1, 1]. Resizing ignores the aspect ratio, so boxes in [0, 1] stay as they are. Raises ConfigError where there
        is no picture or one is not RGB."""
        if not len(images):
            raise ConfigError("there are no pictures to encode")
        arrays = []
        for number, image in enumerate(images):
            shape = image.shape if isinstance(image, np.ndarray) else (*image.size[::-1], len(image.getbands()))
            if len(shape) != 3 or shape[2] != 3:
                raise ConfigError(f"picture {number} is not RGB: {shape}; chiasm.data.images.open_image makes it so")
            if isinstance(image, np.ndarray) and image.shape[:2] != (self.size, self.size):
                image = Image.fromarray(image)
            if isinstance(image, Image.Image):
                image = image.resize((self.size, self.size), Image.Resampling.BICUBIC, reducing_gap=3.0)
            arrays.append(np.asarray(image))
        pixels = torch.from_numpy(np.stack(arrays)).to(self.positions.device)
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

    def forward(self, pixels: Tensor | Sequence[Tensor]) -> Features:
        """pixels (pictures, 3, height, width), or a list of (3, height, width) of several sizes."""
        if isinstance(pixels, Tensor):
            grid = self.grid(pixels.shape[2], pixels.shape[3])
            return Features(self._encode(pixels, grid), (grid,) * len(pixels), "encoder")
        grids = tuple(self.grid(p.shape[1], p.shape[2]) for p in pixels)
        encoded: list[Tensor] = [pixels[0]] * len(pixels)
        for grid in set(grids):
            members = [i for i, g in enumerate(grids) if g == grid]
            together = self._encode(torch.stack([pixels[i] for i in members]), grid)
            for i, tokens in zip(members, together.split(grid[0] * grid[1]), strict=True):
                encoded[i] = tokens
        return Features(torch.cat(encoded), grids, "encoder")

    def _encode(self, pixels: Tensor, grid: Grid) -> Tensor:
        rows, columns = grid
        patches = (
            pixels.view(len(pixels), 3, rows, self.patch, columns, self.patch)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(len(pixels), rows * columns, -1)
        )
        x = (self.embed(patches) + self._positions(grid)).flatten(0, 1)
        attend = Everything(rows * columns)
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, attend)
        return self.norm(x)

    def _positions(self, grid: Grid) -> Tensor:
        if grid == (self.side, self.side):
            return self.positions
        square = self.positions.view(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        resized = F.interpolate(square, grid, mode="bicubic", align_corners=False, antialias=True)
        return resized.permute(0, 2, 3, 1).reshape(grid[0] * grid[1], -1)


ENCODERS = {"vit": ViT}
