"""LPIPS through the user's own ``lpips`` package, whose trained weights decide the number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from chiasm.errors import ConfigError, ImageError

Network = Literal["alex", "vgg", "squeeze"]
"""Whose features are compared: alex is the usual one for reports, vgg the one to train with."""


def open_lpips(network: Network) -> Callable[[np.ndarray, np.ndarray], float]:
    """The learned perceptual distance of two pictures, uint8 (H, W, 3) of one size (Zhang et al. 2018, equation 1).

    At least 0, smaller is more alike. Raises ConfigError where the package or its weights are absent: Chiasm neither
    brings nor installs them; and, for each pair, ImageError for pictures too small for the network.
    """
    try:
        import lpips  # type: ignore[import-not-found]

        model = lpips.LPIPS(net=network, verbose=False)
    except ImportError as error:
        raise ConfigError(
            f"LPIPS needs the package lpips and with it torchvision, which are no part of Chiasm ({error}): "
            "pip install lpips, or leave LPIPS out"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"lpips can't load its weights of {network} ({error}); they are fetched once, online"
        ) from None
    model.requires_grad_(False)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        try:
            return float(model(lpips.im2tensor(a), lpips.im2tensor(b)).item())
        except RuntimeError as error:
            raise ImageError(f"lpips can't compare pictures of {a.shape[0]} x {a.shape[1]} pixels: {error}") from None

    return distance
