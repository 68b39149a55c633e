"""Show where a training step's time goes on a CPU, and what its products would take at the floor's rate.

    OMP_NUM_THREADS=1 python -m benchmarks.speed.step_profile

Width 64 at 64³, batches of 24, float32. Each line is a kind of operation of torch's profiler, its own time in one
step of some (the second of three where it is not asked otherwise), and its share. The floor is that of
`benchmarks.speed.training`.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.training import matrix_rate, multiply_adds, our_step
from rasgan import cli
from rasgan.training.devices import configure

CPU = torch.device("cpu")
PRODUCTS = ("convolution", "mkldnn", "addmm", "mm", "conv")  # parts of names: what the floor counts


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("width", 64), ("resolution", 64), ("batch", 24), ("steps", 3)):
        parser.add_argument(f"--{name}", type=cli.positive, default=default, help="(default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    configure(CPU)
    step = our_step(args.width, args.batch, args.resolution, CPU, "float32", False)
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(args.steps):
            step()
    events = [(event.key, event.self_cpu_time_total / 1e6 / args.steps) for event in found.key_averages()]
    total = sum(seconds for _, seconds in events)
    floor = args.batch * multiply_adds(args.width, args.resolution) / matrix_rate(CPU, "float32")
    products = sum(seconds for name, seconds in events if any(part in name for part in PRODUCTS))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| operation | ms a step | share |\n|---|---|---|")
    for name, seconds in sorted(events, key=lambda event: -event[1])[:14]:
        print(f"| {name} | {1e3 * seconds:.1f} | {seconds / total:.1%} |")
    print(f"| all products | {1e3 * products:.1f} | {products / total:.1%} |")
    print(f"| the floor | {1e3 * floor:.1f} | {floor / total:.1%} |")
    print(f"| the step | {1e3 * total:.1f} | 100.0% |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
