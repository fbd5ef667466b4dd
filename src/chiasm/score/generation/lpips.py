"""LPIPS through the user's own ``lpips`` package, whose trained weights decide the number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chiasm.errors import ConfigError


def lpips_distances(pairs: Iterable[tuple[np.ndarray, np.ndarray]], network: str = "alex") -> list[float]:
    """Learned perceptual distance of each pair of pictures, uint8 (H, W, 3) of one size (Zhang et al. 2018).

    At least 0, smaller is more alike. `network` is alex (the usual one for reports), vgg or squeeze; name it beside
    the number. Raises ConfigError where the package is absent: Chiasm neither brings nor downloads its weights.
    """
    try:
        import lpips  # type: ignore[import-not-found]
    except ImportError as error:
        raise ConfigError(
            f"LPIPS needs the package lpips and its weights, which are not part of Chiasm ({error}); pip install lpips"
        ) from None
    model = lpips.LPIPS(net=network, verbose=False)
    model.eval()
    return [float(model(lpips.im2tensor(a), lpips.im2tensor(b)).item()) for a, b in pairs]
