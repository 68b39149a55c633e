"""Train on voxels of value 1 and on Binvox's bytes, 0 and 255, and compare what becomes of both.

    python -m benchmarks.studies.occupied -d SampleChairs/chair/train

The original fed Binvox's bytes to the discriminator as they are. Both runs here have the tutorial's recipe,
its learning rates, one seed and the same shapes. Stopped, the same command goes on. Every tenth epoch is
measured on 32 generated shapes: occupied voxels, diversity (the mean IoU distance of all pairs), the share
of steps that trained the discriminator. Writes a table to standard output and the curves to a PNG.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import train_rasgan
from rasgan import cli, sampling
from rasgan.export.canvas import Figure
from rasgan.export.plots import smooth
from rasgan.files import atomic_path
from rasgan.metrics import ShapeSet
from rasgan.runs import RunFolder
from rasgan.training import checkpoints
from rasgan.training.history import History
from rasgan.voxel_folders import read_grids
from rasgan.voxels import is_occupied

VALUES = (1, 255)
SAMPLES = 32
INTERVAL = 10  # epochs
LOSSES = (("loss_d", "discriminator", "#3b6fb6"), ("loss_g", "generator", "#d9772b"))


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("-d", "--data", type=Path, required=True, help="folder of .raw grids")
    add("-e", "--epochs", type=int, default=80)
    add("--width", type=int, default=64)
    add("--resolution", type=int, default=64)
    add("--seed", type=int, default=0)
    add("-o", "--output", type=Path, default=Path("occupied.png"), help="the curves")
    return parser


def run_name(value: int, args: argparse.Namespace) -> str:
    """Name the run of one cell."""
    return f"occupied-{value}-{args.resolution}-{args.seed}"


def train(value: int, args: argparse.Namespace) -> int:
    """Train one run to its end, or go on with it."""
    run = RunFolder(run_name(value, args))
    sizes = ["--width", str(args.width), "--resolution", str(args.resolution), "--seed", str(args.seed)]
    command = ["-n", run.name, "-d", str(args.data), "-e", str(args.epochs), "--occupied", str(value)]
    chores = ["-save", str(INTERVAL), "-graph", "1000", "-graph3d", "1000", "-sample", str(INTERVAL)]
    if checkpoints.saved_positions(run.checkpoints):
        chores.append("-l")
    return train_rasgan.main([*command, *sizes, *chores])


def measure(value: int, args: argparse.Namespace) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return (k, 4): epoch, occupied voxels, diversity and share of steps that trained D; and the history."""
    run = RunFolder(run_name(value, args))
    rows = []
    for epoch in range(INTERVAL, args.epochs + 1, INTERVAL):
        generator, position = checkpoints.load_generator(run.checkpoints, epoch)
        shapes = is_occupied(sampling.generate(generator, seed=1, count=SAMPLES))
        saved = checkpoints.load_checkpoint(run.checkpoints, position)
        history = History.read(run.history, saved.history).columns()
        recent = history["epoch"] >= epoch - INTERVAL
        rows.append(
            (epoch, shapes.sum() / SAMPLES, ShapeSet(shapes).diversity, history["trained_d"][recent].mean())
        )
    return np.array(rows), history


def draw(path: Path, results: dict[int, tuple], data: tuple[float, float]) -> None:
    """Draw losses, occupied voxels and diversity of both runs."""
    figure = Figure((12, 6.4), dpi=100, layout="constrained")
    axes = figure.subplots(2, 3, sharey="col")  # both runs on one scale
    for row, (value, (measured, history)) in enumerate(results.items()):
        for name, label, color in LOSSES:
            axes[row, 0].plot(history["epoch"], smooth(history[name]), color=color, label=label)
        for column, (index, title) in enumerate(((1, "occupied voxels"), (2, "diversity")), start=1):
            axes[row, column].plot(measured[:, 0], measured[:, index], color="#4c9a6a", label="generated")
            axes[row, column].axhline(data[index - 1], color="#8a8a94", linestyle="--", label="data")
            axes[row, column].set_title(f"occupied = {value}: {title}")
        axes[row, 0].set_title(f"occupied = {value}: losses, smoothed")
        for panel in axes[row]:
            panel.set_xlabel("epoch")
            panel.grid(alpha=0.3)
            panel.legend(frameon=False)
    for panel in axes[0, 1:]:
        panel.set_ylim(bottom=0)  # now that both rows are drawn
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def main(argv: Sequence[str] | None = None) -> int:
    """Train both runs, print the table, draw the curves."""
    args = build_parser().parse_args(argv)
    for value in VALUES:
        if train(value, args):
            return 1
    shapes, _ = read_grids(args.data, args.resolution)
    chosen = np.random.default_rng(1).permutation(len(shapes))[:SAMPLES]
    reals = shapes[chosen]
    data = reals.sum() / SAMPLES, ShapeSet(reals).diversity
    results = {value: measure(value, args) for value in VALUES}
    print(
        f"\n{len(shapes)} shapes at {args.resolution}³, width {args.width}, seed {args.seed}; "
        f"{platform.machine()}, torch {torch.__version__}\n"
    )
    print("| occupied | epoch | loss_D | loss_G | D trained | voxels | diversity |\n" + "| --- " * 7 + "|")
    for value, (measured, history) in results.items():
        for epoch, voxels, spread, trained in measured:
            recent = (history["epoch"] >= epoch - INTERVAL) & (history["epoch"] < epoch)
            losses = " | ".join(f"{history[name][recent].mean():.2f}" for name, _, _ in LOSSES)
            print(f"| {value} | {epoch:.0f} | {losses} | {trained:.0%} | {voxels:,.0f} | {spread:.2f} |")
    print(f"| data | | | | | {data[0]:,.0f} | {data[1]:.2f} |")
    draw(args.output, results, data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
