"""Which tokens of a picture are kept as a sample: the same ones whoever asks, in whatever order pictures come."""

from __future__ import annotations

import hashlib

import numpy as np


def sampled_places(seed: int, picture: str, tokens: int, count: int) -> np.ndarray:
    """Raster places of `count` of a picture's `tokens` tokens (all of them where it has no more), rising: int64.

    Every place has a pseudo-random key, a hash of the seed, the picture's content (`picture`, its SHA-256) and the
    place alone, and the smallest keys are taken. So sites with as many tokens keep the same places, a larger sample
    holds every smaller one, and nothing depends on other pictures or on who did the work.
    """
    keys = np.frombuffer(hashlib.shake_128(f"{seed}/{picture}".encode()).digest(8 * tokens), dtype="<u8")
    return np.sort(np.argsort(keys, kind="stable")[:count])
