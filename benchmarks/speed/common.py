"""What the measurements share: sample chairs, Binvox's own grids, the clock, the memory."""

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
    """Voxelize sample chairs of the seeds from `first_seed` on: (count, n, n, n) bool."""
    made = np.empty((count, *(resolution,) * 3), dtype=bool)
    for number, grid in enumerate(made):
        grid[...] = voxelize(*make_chair(np.random.default_rng(first_seed + number)), resolution, "solid")
    return made


def golden_grid(path: Path) -> np.ndarray:
    """Read a packed grid of Binvox's, NAME.raw.gz: (64, 64, 64) bool."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(64, 64, 64) > 0


def seconds(
    works: Sequence[Callable[[], object]], repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the fastest of a few runs of each, in seconds of a clock; they take turns."""
    fastest = [math.inf] * len(works)
    for _ in range(repeats):
        for number, work in enumerate(works):
            start = clock()
            work()
            fastest[number] = min(fastest[number], clock() - start)
    return fastest


def peak_memory() -> float:
    """Return the most memory that this process has held, in bytes; NaN where the system does not tell."""
    if sys.platform == "win32":
        return math.nan
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
