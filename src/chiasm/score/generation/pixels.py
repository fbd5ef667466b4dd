"""Full-reference picture quality: PSNR, SSIM and MS-SSIM of two pictures of one size."""

from __future__ import annotations

import numpy as np

from chiasm.errors import ImageError

WINDOW = 11
SIGMA = 1.5
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all channels, infinite for equal pictures.

    Pictures are (H, W) or (H, W, channels), in [0, 255]. `where`, bool (H, W), limits it to a region; NaN where the
    region is empty. Raises ImageError for pictures of different shapes.
    """
    x, y = _as_channels(a, b)
    squared = (x - y) ** 2
    error = squared.mean() if where is None else squared[where].mean() if where.any() else np.nan
    return float(np.inf) if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity, at most 1, the mean over channels (Wang et al. 2004, equation 13).

    Gaussian window of 11 x 11 with sigma 1.5, population covariances, only windows that lie inside the picture. Shapes
    as in `psnr`. Raises ImageError for pictures of different shapes or smaller than the window.
    """
    return float(ssim_map(a, b).mean())


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM of each window inside the picture, (H - 10, W - 10, channels); the first is centred on pixel (5, 5)."""
    luminance, contrast = _terms(*_as_channels(a, b, smallest=WINDOW))
    return luminance * contrast


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Multi-scale SSIM, in [0, 1], the mean over channels (Wang, Simoncelli and Bovik 2003, equation 7).

    Five scales, each half the last by 2 x 2 means; negative terms count as 0, since their powers are not real. Shapes
    as in `psnr`. Raises ImageError for pictures of different shapes or with a side below 176 pixels.
    """
    smallest = WINDOW * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
    x, y = _as_channels(a, b, smallest)
    product = np.ones(x.shape[2])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, start=1):
        luminance, contrast = _terms(x, y)
        term = contrast if scale < len(MS_SSIM_WEIGHTS) else luminance * contrast
        product *= np.maximum(term.mean(axis=(0, 1)), 0) ** weight
        x, y = _halved(x), _halved(y)
    return float(product.mean())


def gaussian_filter(values: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """`values` (H, W, ...) under a Gaussian of `size` x `size`, where it fits: (H - size + 1, W - size + 1, ...)."""
    offsets = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    height, width = values.shape[0] - size + 1, values.shape[1] - size + 1
    rows = sum(weight * values[i : i + height] for i, weight in enumerate(kernel))
    return sum(weight * rows[:, i : i + width] for i, weight in enumerate(kernel))


def _terms(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance term, and contrast times structure, of each window."""
    mean_x, mean_y, xx, yy, xy = (gaussian_filter(v, SIGMA, WINDOW) for v in (x, y, x * x, y * y, x * y))
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    variances = xx - mean_x**2 + yy - mean_y**2
    return luminance, (2 * (xy - mean_x * mean_y) + _C2) / (variances + _C2)


def _halved(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    x = x[:height, :width]
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def _as_channels(a: np.ndarray, b: np.ndarray, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (H, W, channels)."""
    if a.shape != b.shape:
        raise ImageError(f"pictures of different shapes, {a.shape} and {b.shape}: bring them to one size first")
    if a.ndim not in (2, 3) or min(a.shape[:2]) < smallest:
        raise ImageError(f"expected (H, W) or (H, W, channels) with sides of at least {smallest}, got {a.shape}")
    return tuple(np.atleast_3d(np.asarray(picture, dtype=np.float64)) for picture in (a, b))  # type: ignore[return-value]
