"""Geometry and spectra of features against what people use now, equal values first. The neighbours' peer needs
faiss-cpu."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from measure import Row, beside, compare, interleaved, options, publish

from chiasm.probe.neighbours import Neighbours, nearest_neighbours
from chiasm.probe.nulls import shifted_overlaps
from chiasm.probe.overlap import knor, matches
from chiasm.probe.space import Points, Space
from chiasm.probe.spectrum import token_energies

K = 100
SIZES = ((8_700, 1024), (8_700, 4096), (20_000, 1024), (20_000, 4096))
MEBIBYTE = 2**20
MEMORY = 256
"""MiB that blocks may take, where memory is measured."""


def features(n: int, width: int, seed: int = 0) -> np.ndarray:
    """(n, width) fp32 with a power-law spectrum, as pooled features have."""
    noise = np.random.default_rng(seed).standard_normal((n, width), dtype=np.float32)
    noise *= (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    return noise


def neighbours(vectors: np.ndarray, memory: int = 2**30) -> Neighbours:
    return nearest_neighbours(Points(Space("site", [str(i) for i in range(len(vectors))], vectors)), K, memory)


def neighbours_row(n: int, width: int, repeats: int) -> Row:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    vectors = features(n, width)
    lists: dict[str, np.ndarray] = {}  # of the last round

    def ours() -> None:
        lists["ours"] = neighbours(vectors).index

    def theirs() -> None:
        index = faiss.IndexFlatL2(width)
        index.add(vectors)
        found = index.search(vectors, K + 1)[1]
        lists["theirs"] = found[:, 1:]  # each is its own nearest

    # Half a minute long, 20,000 items are not compared once more to warm up.
    seconds = interleaved(repeats, ours, theirs, warm_up=n < 10_000)
    # Ours are exact in float64, faiss's in fp32: neighbours that are equally near to 7 digits may change places.
    alike = knor(matches(lists["ours"], lists["theirs"].astype(np.int32)))[-1]
    assert alike > 0.999, alike
    what = f"{K} nearest neighbours of {n:,} items, {width} wide"
    return beside(what, f"faiss-cpu {version('faiss-cpu')} flat", *seconds.T, aim=1)


def nulls_row(n: int, width: int, repeats: int) -> Row:
    vectors = features(n, width)
    noisy = vectors + 0.5 * features(n, width, seed=1)
    lists = neighbours(vectors).index, neighbours(noisy).index

    def curve_and_null() -> None:
        observed = knor(matches(*lists))
        null = shifted_overlaps(*lists, draws=1000)
        assert len(null) >= 1000
        assert (null.max(axis=0) < observed).all()

    what = f"overlap at k = 1 ... {K} and {n - 1:,} permutations of it, {n:,} items"
    return compare(
        what, f"one neighbour list, {width} wide", curve_and_null, lambda: neighbours(vectors), repeats, aim=1
    )


def spectrum_row(tokens: int, width: int, repeats: int, aim: float | None = None) -> Row:
    x = features(tokens, width)
    centred = torch.from_numpy(x - x.mean(axis=0))
    singular = torch.linalg.svdvals(centred).numpy()
    np.testing.assert_allclose(np.sqrt(token_energies(x))[:-1], singular[:-1], rtol=1e-4)
    what = f"spectrum of {tokens} x {width} tokens"
    return compare(
        what, "torch.linalg.svdvals", lambda: token_energies(x), lambda: torch.linalg.svdvals(centred), repeats, aim=aim
    )


def memory_row(n: int, width: int) -> Row:
    """In a process of its own, whose peak nothing else has raised."""
    command = [sys.executable, __file__, "--peak", str(n), str(width)]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    bound = MEMORY + n * (2 * K + 16) * 8 / MEBIBYTE
    return Row(f"memory for neighbours of {n:,} items, {width} wide, in blocks of {MEMORY} MiB", "MiB", peak, aim=bound)


def peak(n: int, width: int) -> None:
    """Print the MiB by which finding neighbours raises this process's peak, over the vectors themselves."""
    vectors = features(n, width)
    before = _resident("VmRSS")
    neighbours(vectors, MEMORY * MEBIBYTE)
    print(_resident("VmHWM") - before)


def _resident(name: str) -> float:
    """MiB that the process holds (VmRSS) or has held at most (VmHWM), by Linux."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        peak(int(sys.argv[2]), int(sys.argv[3]))
        return
    chosen = options(__doc__, repeats=3)
    rows = []
    if find_spec("faiss"):
        rows += [neighbours_row(n, width, chosen.repeats) for n, width in SIZES]
    rows += [
        nulls_row(8_700, 1024, chosen.repeats),
        spectrum_row(576, 4096, chosen.repeats, aim=4),
        spectrum_row(144, 3584, chosen.repeats),
        memory_row(50_000, 256),
    ]
    publish("probe", "Probes", "Random features with a power-law spectrum, fp32.", rows, chosen.json)


if __name__ == "__main__":
    main()
