"""PIQE: how distorted a picture looks, without a reference and without training (Venkatanath et al. 2015)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from chiasm.errors import ImageError
from chiasm.score.generation.pixels import gaussian_filter

BLOCK = 16
SEGMENT = 6
ACTIVE = 0.1
IMPAIRED = 0.1


def piqe(picture: np.ndarray) -> float:
    """How distorted a picture (H, W) or (H, W, 3), values in [0, 255], looks: in [0, 100], smaller is better.

    Colour becomes grey by the Rec. 601 weights, rounded. The grey is stretched to a largest value of 255 and padded by
    reflection to whole blocks. A picture without an active block scores 100. Raises ImageError for other shapes.
    """
    grey = _grey(picture)
    brightest = grey.max()
    if brightest > 0:
        grey = np.round(255 * (grey / brightest))
    padding = [(0, -side % BLOCK) for side in grey.shape]
    grey = np.pad(grey, padding, mode="symmetric")

    blocks = _blocks(_contrast_normalised(grey))
    variance = blocks.var(axis=(2, 3), ddof=1)
    active = variance > ACTIVE
    artifacts = active & _has_flat_edge(blocks)
    noise = active & _is_noisy(blocks, np.sqrt(variance))
    distortion = (artifacts * (1 - variance) + noise * variance).sum()
    return float(100 * (distortion + 1) / (active.sum() + 1))


def _grey(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 3 and picture.shape[2] == 3 and picture.size:
        return np.round(picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
    if picture.ndim == 2 and picture.size:
        return picture.astype(np.float64)
    raise ImageError(f"expected a picture of shape (H, W) or (H, W, 3), got {picture.shape}")


def _contrast_normalised(grey: np.ndarray) -> np.ndarray:
    """Mean-subtracted, contrast-normalised luminance under a 7 x 7 Gaussian of sigma 7/6."""
    padded = np.pad(grey, 3, mode="edge")
    mean = gaussian_filter(padded, 7 / 6, 7)
    deviation = np.sqrt(np.abs(gaussian_filter(padded * padded, 7 / 6, 7) - mean * mean))
    return (grey - mean) / (deviation + 1)


def _blocks(values: np.ndarray) -> np.ndarray:
    """(rows of blocks, columns of blocks, 16, 16)."""
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    return values.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)


def _has_flat_edge(blocks: np.ndarray) -> np.ndarray:
    """Whether any run of six pixels along one of a block's four edges hardly varies, as at compression borders."""
    edges = np.stack([blocks[:, :, 0], blocks[:, :, -1], blocks[:, :, :, 0], blocks[:, :, :, -1]])
    runs = sliding_window_view(edges, SEGMENT, axis=-1)
    return (runs.std(axis=-1, ddof=1) < IMPAIRED).any(axis=(0, -1))


def _is_noisy(blocks: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Whether a block's deviation is more than twice its contrast to the ratio of center to surround."""
    center = blocks[..., 7:9]
    # The reference takes columns 8 and 10, not 8 and 9, out of the surround; kept, so that the numbers compare.
    surround = np.delete(blocks, [7, 9], axis=-1)
    center_deviation, surround_deviation = (part.std(axis=(2, 3), ddof=1) for part in (center, surround))
    none = np.zeros_like(deviation)
    ratio = np.divide(center_deviation, surround_deviation, out=none.copy(), where=surround_deviation > 0)
    larger = np.maximum(deviation, ratio)
    beta = np.divide(np.abs(deviation - ratio), larger, out=none.copy(), where=larger > 0)
    return deviation > 2 * beta
