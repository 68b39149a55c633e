"""Compare a training step with a plain PyTorch loop and with the machine's rate of matrix products.

    python -m benchmarks.speed.training
    python -m benchmarks.speed.training --device cuda --case 512x24 --precision float32 bf16

The plain loop trains the same networks on the same losses, written as in public 3D-GAN repositories: torch's
layers in the default layout, float32, and every gradient computed whether it is needed or not. The floor is
the time that the multiply-adds of the step would take at the fastest rate of a large matrix product on this
machine, in the same precision. Each measurement runs in its own process, in turns, so that other load on the
machine affects all alike; the fastest step of each counts. Both networks train on every step.

It fails if the outputs of the plain networks differ from those of ours.
"""

import argparse
import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.speed.common import peak_memory
from rasgan import cli
from rasgan.networks import LATENT_SIZE, Discriminator, Generator
from rasgan.runs import RunFolder
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.devices import choose_device, configure
from rasgan.training.resuming import begin

ROOT = Path(__file__).resolve().parents[2]
CASES = {"cpu": ["512x4", "64x24"], "cuda": ["512x24", "64x24"]}
HEADINGS = (
    "width x batch",
    "precision",
    "plain s",
    "ours s",
    "floor s",
    "share of the floor's rate",
    "times faster than plain",
    "images a second",
    "peak memory, plain MB",
    "ours MB",
    "first step after s",
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--device", default="auto", help="as for train_rasgan.py (default: %(default)s)")
    add("--case", nargs="+", metavar="WIDTHxBATCH", help="sizes to train (default: two sizes)")
    add("--precision", nargs="+", default=["float32"], help="precision of our step (default: float32)")
    add("--resolution", type=int, default=64, help="edge of the grids (default: 64)")
    add("--seconds", type=float, default=12, help="minimum time for measuring steps (default: %(default)s)")
    add("--rounds", type=int, default=2, help="number of turns, of which the fastest counts")
    add("--worker", help=argparse.SUPPRESS)  # one measurement, as JSON on stdout
    return parser


def plain_networks(width: int, resolution: int) -> tuple[nn.Module, nn.Module]:
    """Build both networks from torch's layers, in the order of ours, with weights from N(0, 0.02)."""
    levels = int(math.log2(resolution // 4))
    channels = [width >> level for level in range(levels)]
    up: list[nn.Module] = [nn.Linear(LATENT_SIZE, width * 64), nn.Unflatten(1, (width, 4, 4, 4))]
    down: list[nn.Module] = [nn.Conv3d(1, channels[-1], 4, 2, 1), nn.LeakyReLU(0.2)]
    for c_in, c_out in zip(channels, [*channels[1:], 1], strict=True):
        up += [nn.BatchNorm3d(c_in), nn.ReLU(), nn.ConvTranspose3d(c_in, c_out, 4, 2, 1)]
    for c_out, c_in in zip(channels[-2::-1], channels[:0:-1], strict=True):
        down += [nn.Conv3d(c_in, c_out, 4, 2, 1), nn.BatchNorm3d(c_out), nn.LeakyReLU(0.2)]
    networks = nn.Sequential(*up), nn.Sequential(*down, nn.Flatten(), nn.Linear(width * 64, 1))
    for network in networks:
        for parameter in network.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.02)
    return networks


def check_equal(width: int, resolution: int) -> None:
    """Copy our weights into the plain networks and compare the outputs of both."""
    ours = Generator(width, resolution), Discriminator(width, resolution)
    z = torch.randn(2, LATENT_SIZE)
    for mine, plain, x in zip(ours, plain_networks(width, resolution), (z, ours[0](z).detach()), strict=True):
        norms = [module for module in plain if isinstance(module, nn.BatchNorm3d)]
        layers = [module for module in plain if module not in norms and list(module.parameters())]
        our_layers = [module for module in mine.modules() if "weight" in module._parameters]
        our_layers = [module for module in our_layers if not isinstance(module, nn.BatchNorm3d)]
        for target, source in zip(layers + norms, our_layers + list(mine.norms), strict=True):
            target.load_state_dict(source.state_dict())
        torch.testing.assert_close(plain(x).flatten(), mine(x).flatten(), rtol=1e-3, atol=1e-5)


def multiply_adds(width: int, resolution: int) -> int:
    """Count the necessary multiply-adds per shape in a step that trains both networks.

    The generator runs twice forward and once backward; the discriminator four times forward, twice backward
    for its weights and inputs, and once for its inputs only. A backward pass costs as much as a forward pass
    for the weights, and again for the inputs if gradients flow through them.
    """
    pairs = [(width >> level, width >> (level + 1)) for level in range(int(math.log2(resolution // 4)) - 1)]
    grids = [8 << level for level in range(len(pairs))]
    middle = sum(64 * a * b * (edge // 2) ** 3 for (a, b), edge in zip(pairs, grids, strict=True))
    voxels = 64 * pairs[-1][1] * (resolution // 2) ** 3  # the one-channel layer of both networks
    dense_g, dense_d = LATENT_SIZE * width * 64, width * 64
    generator = (2 + 1 + 1) * (middle + voxels) + (2 + 1) * dense_g
    discriminator = (4 + 2 * 2 + 1) * (middle + dense_d) + (4 + 2 + 1) * voxels
    return generator + discriminator


def matrix_rate(device: torch.device, precision: str) -> float:
    """Measure the fastest matrix product, in multiply-adds per second."""
    dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[precision]
    best = 0.0
    for n in (1024, 2048, 4096, 8192) if device.type == "cuda" else (1024, 2048, 3072):
        a, b = torch.randn(2, n, n, device=device, dtype=dtype)
        for _ in range(6):
            start = now(device)
            repeats = 10 if device.type == "cuda" else 1
            for _ in range(repeats):
                a @ b
            best = max(best, repeats * n**3 / (now(device) - start))
    return best


def plain_step(width: int, batch: int, resolution: int, device: torch.device) -> Callable[[], None]:
    """Prepare the plain loop; return a function that trains for one step."""
    generator, discriminator = (network.to(device) for network in plain_networks(width, resolution))
    optimizer_g = torch.optim.Adam(generator.parameters(), 0.002, (0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 0.00005, (0.5, 0.999))
    reals = torch.from_numpy(random_shapes(8 * batch, resolution)).float().unsqueeze(1)

    def loss(c_one: Tensor, c_other: Tensor) -> Tensor:
        return softplus(c_other.mean() - c_one).mean() + softplus(c_other - c_one.mean()).mean()

    def draw() -> tuple[Tensor, Tensor]:
        z = torch.randn(batch, LATENT_SIZE, device=device)
        return reals[torch.randperm(len(reals))[:batch]].to(device), z

    def step() -> None:
        real, z = draw()
        discriminator.zero_grad()
        fake = generator(z)
        loss_d = loss(discriminator(real), discriminator(fake.detach()))
        loss_d.backward()
        optimizer_d.step()
        real, z = draw()
        generator.zero_grad()
        loss_g = loss(discriminator(generator(z)), discriminator(real))
        loss_g.backward()
        optimizer_g.step()
        loss_d.item(), loss_g.item()

    return step


def our_step(
    width: int, batch: int, resolution: int, device: torch.device, precision: str
) -> Callable[[], None]:
    """Prepare our training in memory; return a function that trains for one step."""
    settings = TrainConfig(width=width, batchsize=batch, resolution=resolution, gate=False, seed=1)
    shapes = Shapes(random_shapes(8 * batch, resolution), device)
    return begin(RunFolder("bench"), settings, shapes, precision=precision).step


def random_shapes(count: int, resolution: int) -> np.ndarray:
    """Make boxes of all sizes: (count, n, n, n)."""
    rng = np.random.default_rng(0)
    occupied = np.zeros((count, *(resolution,) * 3), dtype=bool)
    for slot in occupied:
        (x, y, z), (u, v, w) = np.sort(rng.integers(0, resolution, (2, 3)), axis=0)
        slot[x : u + 1, y : v + 1, z : w + 1] = True
    return occupied


def now(device: torch.device) -> float:
    """Return the time after the device has finished its work."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter()


def fastest(step: Callable[[], object], device: torch.device, at_least: float) -> float:
    """Return the time of the fastest step, measured for `at_least` so many seconds after a warm-up step."""
    step()
    best, since = math.inf, now(device)
    while now(device) - since < at_least:
        start = now(device)
        step()
        best = min(best, now(device) - start)
    return best


def measure(what: str, case: str, args: argparse.Namespace) -> dict:
    """Make one measurement in this process."""
    device = choose_device(args.device)
    configure(device)
    width, batch = (int(part) for part in case.split("x"))
    kind, precision = what.split("-")
    if kind == "floor":
        return {"seconds": batch * multiply_adds(width, args.resolution) / matrix_rate(device, precision)}
    if kind == "plain":
        step = plain_step(width, batch, args.resolution, device)
    else:
        step = our_step(width, batch, args.resolution, device, precision)
    step()
    first = now(device)
    best = fastest(step, device, args.seconds)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_memory()
    return {"seconds": best, "first": first - args.started, "peak": peak}


def in_own_process(what: str, case: str, args: argparse.Namespace) -> dict:
    """Run `measure` in a new process."""
    options = ["--device", args.device, "--resolution", str(args.resolution), "--case", case]
    options += ["--seconds", str(args.seconds)]
    command = [sys.executable, "-m", "benchmarks.speed.training", "--worker", what, *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all cases in turns and print a table."""
    started = time.perf_counter()
    args = build_parser().parse_args(argv)
    args.started = started
    if args.worker:
        print(json.dumps(measure(args.worker, args.case[0], args)))
        return 0
    device = choose_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    print(f"{device} ({name}), {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| " + " | ".join(HEADINGS) + " |\n" + "| --- " * len(HEADINGS) + "|")
    for case in args.case or CASES[device.type]:
        width, batch = (int(part) for part in case.split("x"))
        check_equal(min(width, 32), args.resolution)
        whats = ["plain-float32", *(f"{kind}-{p}" for p in args.precision for kind in ("ours", "floor"))]
        runs = [{what: in_own_process(what, case, args) for what in whats} for _ in range(args.rounds)]
        best = {what: min((run[what] for run in runs), key=itemgetter("seconds")) for what in whats}
        for precision in args.precision:
            kinds = (whats[0], f"ours-{precision}", f"floor-{precision}")
            plain, ours, floor = (best[what] for what in kinds)
            seconds = ours["seconds"]
            cells = [
                case,
                precision,
                f"{plain['seconds']:.4g}",
                f"{seconds:.4g}",
                f"{floor['seconds']:.4g}",
                f"{floor['seconds'] / seconds:.0%}",
                f"{plain['seconds'] / seconds:.2f}",
                f"{batch / seconds:.3g}",
                f"{plain['peak'] / 1e6:,.0f}",
                f"{ours['peak'] / 1e6:,.0f}",
                f"{ours['first']:.1f}",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
