"""Measure how long the scores of large sets take, and how much memory.

    python -m benchmarks.speed.evaluate
    python -m benchmarks.speed.evaluate --count 200 --resolution 32

Sample chairs take the part of generated, reference and training shapes. Timed are the cheap scores
that training logs, the generated set against the reference, and everything that `rasgan.evaluate` computes
with `--train`: three rows of scores, noise included, and all neighbors. Reading and generating are not.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.speed.common import peak_memory, sample_grids
from rasgan import cli, metrics
from rasgan.seeding import STATIC, rng_for

COUNT, RESOLUTION, QUICK = 1000, 64, 64


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=cli.positive, default=COUNT, help="shapes a set (default %(default)s)"
    )
    parser.add_argument(
        "--resolution", type=cli.positive, default=RESOLUTION, help="edge of the grids (default %(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    count, resolution = args.count, args.resolution
    generated, reference, training = (sample_grids(count, resolution, part * count) for part in range(3))
    static = metrics.static_noise(reference, rng_for(0, STATIC))
    measured: dict[str, Callable[[], object]] = {
        f"quick scores, {min(QUICK, count)} x {count}": lambda: metrics.quick_scores(
            generated[:QUICK], training
        ),
        f"scores, {count} x {count}": lambda: metrics.reference_scores(
            metrics.ShapeSet(generated), metrics.ShapeSet(reference)
        ),
        f"everything, {count} x {count} x {count}": lambda: metrics.score_sets(
            generated, reference, training, np.arange(count), static
        ),
    }
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; "
        f"sample chairs at {resolution}³, {np.mean(reference):.0%} of the grid occupied\n"
    )
    print("| | seconds | peak memory so far, GB |\n|---|---|---|")
    print(f"| the sets themselves | | {peak_memory() / 1e9:.1f} |")
    for name, compute in measured.items():
        start = time.perf_counter()
        compute()
        print(f"| {name} | {time.perf_counter() - start:.1f} | {peak_memory() / 1e9:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
