"""Measure the scatter plots: one figure for all, a new figure for each, and the original's way.

    python -m benchmarks.speed.graph
    python -m benchmarks.speed.graph -f SampleChairs/chair/train

Without `-f`, twelve sample chairs are drawn. Everything runs in one process, the ways in turns.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy starts its threads

import numpy as np

from benchmarks.speed.common import sample_grids
from rasgan import cli
from rasgan.export.batch import folder_grids, shapes_in
from rasgan.export.canvas import mpl
from rasgan.export.plots import DPI, MARKER_SIZE, SCATTER_INCHES, ScatterPlots
from rasgan.voxels import OCCUPIED_ABOVE, surface_points

CHAIRS, ROUNDS = 12, 3


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-f", "--folder", type=Path, help="folder of voxel files to draw instead")
    parser.add_argument("--count", type=cli.positive, default=CHAIRS, help="shapes (default %(default)s)")
    parser.add_argument("--rounds", type=cli.positive, default=ROUNDS, help="turns (default %(default)s)")
    return parser


def draw_as_the_original(path: Path, scores: np.ndarray) -> None:
    """Draw one plot as the original does: test voxel after voxel, make a figure by pyplot, save it."""
    from matplotlib import pyplot as plt  # noqa: TID251 - what is measured

    occupied = np.pad(scores > OCCUPIED_ABOVE, 1).astype(int)
    surface = [
        (i, k, j)
        for i, j, k in np.argwhere(occupied)
        if occupied[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].sum() < 27
    ]
    x, y, z = np.array(surface).reshape(-1, 3).T - 1
    figure = plt.figure(figsize=SCATTER_INCHES, dpi=DPI)
    axes = figure.add_subplot(projection="3d")
    axes.scatter(x, y, z, c=z, cmap="viridis", marker=".", s=MARKER_SIZE)
    axes.set(xlim=(0, len(scores)), ylim=(0, len(scores)), zlim=(0, len(scores)))
    figure.savefig(path)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    mpl.use("Agg")
    if args.folder:
        grids = [shape.read() for shape in shapes_in(folder_grids(args.folder))[: args.count]]
    else:
        grids = sample_grids(args.count)
    plots = ScatterPlots()
    ways: dict[str, Callable[[Path, np.ndarray], None]] = {
        "one figure": plots.draw,
        "new figures": lambda path, grid: ScatterPlots().draw(path, grid),
        "original": draw_as_the_original,
    }
    took = {way: np.full((args.rounds, len(grids)), np.nan) for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "plot.png")
        for draw in ways.values():  # loads fonts and modules
            draw(target, grids[0])
        for turn in range(args.rounds):
            for number, grid in enumerate(grids):
                for way, draw in ways.items():
                    start = time.perf_counter()
                    draw(target, grid)
                    took[way][turn, number] = time.perf_counter() - start
    sizes = [len(surface_points(grid)) for grid in grids]
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"matplotlib {mpl.__version__}; {len(grids)} grids of {grids[0].shape[0]}³ with "
        f"{min(sizes)} to {max(sizes)} surface voxels, {args.rounds} turns\n"
    )
    print("| seconds a picture | median | slowest | original / this |\n|---|---|---|---|")
    for way, seconds in took.items():
        best = seconds.min(axis=0)  # of the turns: other work on the machine only ever adds
        ratio = statistics.median(took["original"].min(axis=0) / best)
        print(f"| {way} | {np.median(best):.3f} | {best.max():.3f} | {ratio:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
