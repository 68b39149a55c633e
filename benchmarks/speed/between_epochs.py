"""Measure what a run writes between epochs, late in a long training, against the training itself.

    python -m benchmarks.speed.between_epochs
    python -m benchmarks.speed.between_epochs --width 8 --resolution 32 --shapes 48 --steps 2000

Width 64 at 64³, batches of 24 of 889 shapes, 92,500 steps of history: the last of the tutorial's 2,500
epochs on ModelNet10's chairs. What ten epochs write (`-sample 10 -graph 10 -graph3d 10 -save 10`) is divided
by the time of their steps, which are measured here as well, in turns with the writing.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.common import seconds
from benchmarks.speed.training import random_shapes
from rasgan import cli
from rasgan.export import plots
from rasgan.runs import RunFolder
from rasgan.training.checkpoints import Position
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.devices import choose_device, configure
from rasgan.training.history import History, save_csv, save_history
from rasgan.training.run import TrainingRun, begin

EPOCHS = 10  # between two times of writing
FAST_MS = 10  # a step on a fast GPU, where launches bound it


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="as for train_rasgan.py (default: %(default)s)")
    for name, default in (("width", 64), ("resolution", 64), ("batch", 24), ("shapes", 889), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=cli.positive, default=default, help="(default: %(default)s)")
    parser.add_argument("--steps", type=cli.positive, default=92_500, help="of history (default: 92,500)")
    parser.add_argument("--cpu-time", action="store_true",
        help="count this process's own time on the processor: for a machine with other work")  # fmt: skip
    return parser


def late_run(args: argparse.Namespace, base: Path) -> TrainingRun:
    """Begin a run in memory and give it a long history."""
    device = choose_device(args.device)
    configure(device)
    config = TrainConfig(width=args.width, batchsize=args.batch, resolution=args.resolution, seed=1)
    run = begin(RunFolder("late", base), config, Shapes(random_shapes(args.shapes, args.resolution), device))
    rng, steps = np.random.default_rng(0), np.arange(args.steps)
    columns = {
        "epoch": steps / run.steps_per_epoch,
        "loss_d": 1 + 0.3 * rng.standard_normal(len(steps)),
        "loss_g": 2 + 0.5 * rng.standard_normal(len(steps)),
        "loss_validation": np.nan * steps,
        "trained_d": steps % 2,
        "ratio": 1 + steps % 50,
        "rates": np.tile(run.rates(0), (len(steps), 1)),
    }
    run.history = History(np.column_stack(list(columns.values())))
    run.position = Position(*divmod(args.steps, run.steps_per_epoch))
    return run


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        run = late_run(args, Path(folder))
        fakes = run.step().fakes
        last = run.history.last()

        def ten_epochs_on(work: Callable[[], object]) -> Callable[[], object]:
            def longer() -> None:
                for _ in range(EPOCHS * run.steps_per_epoch):
                    run.history.append(last)
                work()

            return longer

        def steps() -> None:
            run.step()
            run.gan.generator.dense.bias[0].item()  # waits for the device

        parts: dict[str, Callable[[], object]] = {
            "a sample": lambda: run.save_grid(run.sample(fakes, 1)),
            "losses: .npy": lambda: save_history(run.folder.plots, run.history),
            "losses: history.csv": ten_epochs_on(lambda: save_csv(run.folder.history, run.history)),
            "losses: all with the graph": ten_epochs_on(run.draw_losses),
            "3D graph": lambda: plots.draw_scatter(run.folder.graphs / "1.png", run.sample(fakes, 1)),
            "checkpoint": lambda: run.save(2),
            "scores (--every)": run.score,
        }
        for work in parts.values():  # loads fonts and modules, writes the history's first rows
            work()
        clock = time.process_time if args.cpu_time else time.perf_counter
        *took, step = seconds([*parts.values(), steps], args.rounds, clock)
    took = dict(zip(parts, took, strict=True))
    written = sum(took[name] for name in ("a sample", "losses: all with the graph", "3D graph", "checkpoint"))
    training = EPOCHS * run.steps_per_epoch * step
    fast = EPOCHS * run.steps_per_epoch * FAST_MS / 1000
    device = f"{run.shapes.device}, {platform.machine()}, torch {torch.__version__}"
    print(f"{device}; a step takes {step:.3g} s\n")
    print(f"| ten epochs' | seconds | share of training | with steps of {FAST_MS} ms |\n|---|---|---|---|")
    for name, each in (*took.items(), ("all but scores", written)):
        print(f"| {name} | {each:.3f} | {each / training:.2%} | {each / fast:.1%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
