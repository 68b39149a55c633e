"""Show where a training step's time goes on one CPU core, beside its products at the floor's rate.

    python -m benchmarks.speed.step_profile

Width 64 at 64³, batches of 24, float32. A line is a kind of operation by torch's profiler, of convolutions
those with weights of one shape: its own time in a step and its share. The step and the floor, which is that
of `benchmarks.speed.training`, are measured without the profiler, by the processor's clock of this process.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.common import seconds
from benchmarks.speed.training import multiply_adds, our_step
from rasgan import cli

WEIGHTS = {"mkldnn_convolution": 1, "_convolution": 1, "convolution_backward": 2}
"""Which input of these operations is the layer's kernel. The second works out transposed ones itself."""
DENSE = ("addmm", "mm")
LINES, EDGE = 16, 2048


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("width", 64), ("resolution", 64), ("batch", 24), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=cli.positive, default=default, help="(default: %(default)s)")
    return parser


def kind(event: FunctionEventAvg) -> str:
    """Name an operation; a convolution by the shape of its kernel too."""
    name = event.key.removeprefix("aten::")
    if name not in WEIGHTS or len(event.input_shapes) <= WEIGHTS[name]:
        return name
    return f"{name}, {'x'.join(map(str, event.input_shapes[WEIGHTS[name]]))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    torch.set_num_threads(1)
    a, b = torch.randn(2, EDGE, EDGE)
    step = our_step(args.width, args.batch, args.resolution, torch.device("cpu"), "float32", False)
    step()
    product, a_step = seconds([lambda: a @ b, step], args.rounds, time.process_time)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        step()
    own: dict[str, float] = defaultdict(float)
    for event in found.key_averages(group_by_input_shape=True):
        own[kind(event)] += event.self_cpu_time_total
    total = sum(own.values())
    products = sum(each for name, each in own.items() if name.split(",")[0] in (*WEIGHTS, *DENSE))
    floor = args.batch * multiply_adds(args.width, args.resolution) * product / EDGE**3
    print(f"one thread, torch {torch.__version__}\n\n| operation | s a step | share |\n|---|---|---|")
    for name, each in sorted(own.items(), key=lambda item: -item[1])[:LINES]:
        print(f"| {name} | {a_step * each / total:.3f} | {each / total:.1%} |")
    print(f"| all products | {a_step * products / total:.3f} | {products / total:.1%} |")
    print(f"| the step | {a_step:.3f} | 100.0% |")
    print(f"| the floor | {floor:.3f} | {floor / a_step:.1%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
