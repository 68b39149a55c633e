"""Helpers of the benchmarks: sample chairs, grids of Binvox, timing, memory."""

import gzip
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rasgan.data.sample_chairs import make_chair
from rasgan.data.voxelize import voxelize


def sample_grids(count: int, resolution: int = 64, first_seed: int = 0) -> np.ndarray:
    """Voxelize sample chairs with seeds from `first_seed` on: (count, n, n, n) bool."""
    grids = np.empty((count, *(resolution,) * 3), dtype=bool)
    for number, grid in enumerate(grids):
        grid[...] = voxelize(*make_chair(np.random.default_rng(first_seed + number)), resolution, "solid")
    return grids


def golden_grid(path: Path) -> np.ndarray:
    """Read a grid written by Binvox, NAME.raw.gz: (64, 64, 64) bool."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(64, 64, 64) > 0


def seconds(
    works: Sequence[Callable[[], object]], repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the fastest of a few runs of each function, in seconds; they are run in turns."""
    fastest = [math.inf] * len(works)
    for _ in range(repeats):
        for number, work in enumerate(works):
            start = clock()
            work()
            fastest[number] = min(fastest[number], clock() - start)
    return fastest


def peak_memory() -> float:
    """Return the peak memory of this process in bytes, or NaN if the system does not report it."""
    if sys.platform == "win32":
        return math.nan
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
