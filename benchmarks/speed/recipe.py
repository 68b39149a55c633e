"""Measure what this project's additions to the stable recipe cost: seconds per step with and without them.

    python -m benchmarks.speed.recipe -d SampleChairs/chair/train

Two runs of the same size take turns, step by step, so that other work on the machine affects both alike. The
first third of the steps, when shapes have most loose voxels to repair, is reported on its own.
"""

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.studies.cells import PLAIN
from rasgan import cli
from rasgan.runs import RunFolder
from rasgan.training.config import PRECISIONS, new_config
from rasgan.training.dataset import Shapes, measured_mirror
from rasgan.training.devices import choose_device, configure
from rasgan.training.run import begin
from rasgan.voxel_folders import read_grids


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("-d", "--data", type=Path, required=True, help="folder of voxel grids")
    add("--width", type=int, default=64, help="channels of the generator's first grid (default %(default)s)")
    add("--resolution", type=int, default=64, help="edge of the grids (default %(default)s)")
    add(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="floating-point format (default %(default)s)",
    )
    add("--steps", type=int, default=60, help="steps of each run (default %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train both runs and print a table."""
    args = build_parser().parse_args(argv)
    device = choose_device("auto")
    configure(device)
    shapes = Shapes(read_grids(args.data, args.resolution)[0], device)
    size = {"width": args.width, "resolution": args.resolution, "batchsize": 16, "grow_epochs": (), "seed": 0}
    configs = {"plain": new_config("stable", {**size, **PLAIN})}
    configs["stable"], _ = measured_mirror(new_config("stable", size), shapes)
    runs = {
        name: begin(RunFolder(name), config, shapes, precision=args.precision)
        for name, config in configs.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.steps):
        for name, run in runs.items():
            start = time.perf_counter()
            run.step()
            seconds[name].append(time.perf_counter() - start)
    third = args.steps // 3
    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{args.precision}\n"
    )
    print("| steps | plain s | stable s | ratio |\n| --- | --- | --- | --- |")
    for title, part in (
        (f"1 to {third}", slice(third)),
        (f"{third + 1} to {args.steps}", slice(third, None)),
    ):
        plain, stable = (statistics.median(seconds[name][part]) for name in ("plain", "stable"))
        print(f"| {title} | {plain:.3f} | {stable:.3f} | {stable / plain:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
