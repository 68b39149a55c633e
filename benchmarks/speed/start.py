"""Measure how the time to the first step of a training depends on the number of grids.

    OMP_NUM_THREADS=1 python -m benchmarks.speed.start
    OMP_NUM_THREADS=1 python -m benchmarks.speed.start --counts 1000 --format .npy --folder SLOW_DISK

Each start is a new process that runs `train_rasgan.py` with a narrow network. The first one reads all grids,
the second one maps the cache that the first one wrote. The files are links to a few different sample chairs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from benchmarks.speed.common import peak_memory, sample_grids
from rasgan import cli
from rasgan.voxel_io import write_raw

COUNTS, DIFFERENT = (100, 1000, 10_000), 100


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--counts", type=cli.positive, nargs="+", default=COUNTS, help="grids (default %(default)s)")
    add("--resolution", type=cli.positive, default=64, help="edge of the grids (default %(default)s)")
    add("--folder", type=Path, help="where to write the grids (default: the system's temporary folder)")
    return parser


def write_grids(folder: Path, count: int, args: argparse.Namespace) -> None:
    """Write sample chairs, then link to them until there are `count` files."""
    folder.mkdir()
    made = [folder / f"{number}.raw" for number in range(min(count, DIFFERENT))]
    for path, grid in zip(made, sample_grids(len(made), args.resolution), strict=True):
        write_raw(path, grid)
    for number in range(len(made), count):
        os.link(made[number % len(made)], folder / f"{number}.raw")


def measure_start(folder: Path, resolution: int) -> dict[str, float]:
    """Start a training in a new process; return its CPU time in seconds and peak memory in bytes."""
    code = f"from benchmarks.speed import start; start.start({str(folder)!r}, {resolution})"
    lines = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(lines.splitlines()[-1])


def start(folder: str, resolution: int) -> None:
    """Start a training and print, instead of its first step, the time and memory used so far."""
    import train_rasgan
    from rasgan.training import loop

    def fit(*_: object) -> bool:
        print(json.dumps({"seconds": time.process_time(), "memory": peak_memory()}))
        return False

    options = f"-n start -b 4 --width 8 --device cpu --resolution {resolution}".split()
    with tempfile.TemporaryDirectory() as place, mock.patch.object(loop, "fit", fit):
        os.chdir(place)
        with mock.patch.object(train_rasgan.cli, "say"):
            train_rasgan.main([*options, "-d", folder])
        os.chdir("/")  # Windows cannot remove the current folder of a process


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    print("| grids | first start, CPU s | later | first, peak MB | later | cache MB |\n" + "|---" * 6 + "|")
    for count in args.counts:
        with tempfile.TemporaryDirectory(dir=args.folder) as place:
            folder = Path(place, "grids")
            write_grids(folder, count, args)
            first, later = (measure_start(folder, args.resolution) for _ in range(2))
            cached = sum(path.stat().st_size for path in folder.glob(".rasgan-*"))
        seconds = f"{first['seconds']:.1f} | {later['seconds']:.1f}"
        memory = f"{first['memory'] / 1e6:,.0f} | {later['memory'] / 1e6:,.0f}"
        print(f"| {count} | {seconds} | {memory} | {cached / 1e6:,.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
