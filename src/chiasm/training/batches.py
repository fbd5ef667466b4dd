"""Which examples a step sees: a pure function of the step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any

import numpy as np


def indices(step: int, batch: int, size: int, seed: int) -> list[tuple[int, int]]:
    """(epoch, example) for each place in a step's batch. Every epoch is a new shuffle of all `size` examples."""
    numbers = range(step * batch, (step + 1) * batch)
    shuffles = {epoch: _shuffle(size, seed, epoch) for epoch in {n // size for n in numbers}}
    return [(n // size, int(shuffles[n // size][n % size])) for n in numbers]


_last_shuffle: tuple[tuple[int, int, int], np.ndarray] | None = None


def _shuffle(size: int, seed: int, epoch: int) -> np.ndarray:
    global _last_shuffle
    key = (size, seed, epoch)
    if _last_shuffle is None or _last_shuffle[0] != key:
        _last_shuffle = key, np.random.default_rng([seed, epoch]).permutation(size)
    return _last_shuffle[1]


def prefetched(make: Callable[[int], Any], start: int, stop: int, depth: int = 2) -> Generator[Any]:
    """`make(step)` for each step, prepared by a thread up to `depth` steps ahead. Its exceptions surface here; closing
    the generator ends the thread."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: tuple[Any, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.5)
            except queue.Full:
                continue

    def work() -> None:
        for step in range(start, stop):
            if stopped.is_set():
                return
            try:
                made = make(step)
            except BaseException as error:
                return offer((None, error))
            offer((made, None))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            made, error = ready.get()
            if error is not None:
                raise error
            yield made
    finally:
        stopped.set()
        thread.join()
