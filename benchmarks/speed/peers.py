"""Measure our training step against the way in which public PyTorch voxel GANs write theirs.

    python -m benchmarks.speed.peers
    python -m benchmarks.speed.peers --quick

Their channels and batches at 32³, as their own files state them, and narrower ones. Two forms are common:
noise to 2³ and five transposed convolutions (512-256-128-64), and noise to 4³ and four (256-128-64). Both are
written anew here in their manner: torch's layers in the default layout, convolutions without biases,
probabilities from a sigmoid, binary cross-entropy (BCELoss), Adam, both updates a step. Ours is
the step of `train_rasgan.py` with the tutorial's loss, its channels from 4³ on theirs. All run in this
process, in turns; the fastest step of each counts.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.speed.common import seconds
from benchmarks.speed.training import our_step, random_shapes
from rasgan import cli
from rasgan.networks import LATENT_SIZE
from rasgan.training.devices import choose_device, configure

RESOLUTION = 32


class Case(NamedTuple):
    """One form of their networks at one size."""

    channels: tuple[int, ...]  # of the generator's hidden grids, coarse to fine; the last is of 16³
    batch: int

    @property
    def our_width(self) -> int:
        """Channels at 4³."""
        return self.channels[-3]


CASES = (
    Case((512, 256, 128, 64), 32),
    Case((256, 128, 64), 64),
    Case((128, 64, 32), 32),
    Case((128, 64, 32), 64),
    Case((64, 32, 16), 32),
    Case((64, 32, 16), 64),
)
QUICK = tuple(Case(case.channels, case.batch // 8) for case in CASES[:3] + CASES[4:5])


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("--device", default="auto", help="as for train_rasgan.py (default: %(default)s)")
    parser.add_argument("--rounds", type=cli.positive, default=5, help="turns (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="batches of an eighth, for a look in a minute")
    text = "count this process's own time on the processor: for a machine with other work"
    parser.add_argument("--cpu-time", action="store_true", help=text)
    return parser


def their_networks(channels: Sequence[int]) -> tuple[nn.Module, nn.Module]:
    """Make a generator of (N, 200, 1, 1, 1) noise and a discriminator of (N, 1, 32, 32, 32) probabilities."""
    from_4 = len(channels) == 3  # 1³ to 4³ by a kernel of 4; else to 2³ by one of stride 2
    ends = {"stride": 1} if from_4 else {"stride": 2, "padding": 1}
    up: list[nn.Module] = [nn.ConvTranspose3d(LATENT_SIZE, channels[0], 4, bias=False, **ends)]
    down: list[nn.Module] = []
    for c_in, c_out in zip(channels, [*channels[1:], 1], strict=True):
        up += [nn.BatchNorm3d(c_in), nn.ReLU(), nn.ConvTranspose3d(c_in, c_out, 4, 2, 1, bias=False)]
    for c_in, c_out in zip([1, *channels[:0:-1]], channels[::-1], strict=True):
        down += [nn.Conv3d(c_in, c_out, 4, 2, 1, bias=False), nn.BatchNorm3d(c_out), nn.LeakyReLU(0.2)]
    down += [nn.Conv3d(channels[0], 1, 4, bias=False, **ends), nn.Sigmoid()]
    return nn.Sequential(*up, nn.Sigmoid()), nn.Sequential(*down)


def their_step(case: Case, device: torch.device) -> Callable[[], None]:
    """Prepare their loop; the returned function takes one step."""
    generator, discriminator = (network.to(device) for network in their_networks(case.channels))
    optimizer_g = torch.optim.Adam(generator.parameters(), 0.0025, (0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 0.00001, (0.5, 0.999))
    shapes = torch.from_numpy(random_shapes(8 * case.batch, RESOLUTION)).float().unsqueeze(1)
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(case.batch, device=device), torch.zeros(case.batch, device=device)

    def noise() -> Tensor:
        return torch.randn(case.batch, LATENT_SIZE, 1, 1, 1, device=device)

    def step() -> None:
        reals = shapes[torch.randperm(len(shapes))[: case.batch]].to(device)
        optimizer_d.zero_grad()
        loss_real = criterion(discriminator(reals).view(-1), ones)
        loss_d = loss_real + criterion(discriminator(generator(noise())).view(-1), zeros)
        loss_d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss_g = criterion(discriminator(generator(noise())).view(-1), ones)
        loss_g.backward()
        optimizer_g.step()
        loss_d.item(), loss_g.item()

    return step


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = build_parser().parse_args(argv)
    device = choose_device(args.device)
    configure(device)
    clock = time.process_time if args.cpu_time else time.perf_counter
    cores = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{device}, {platform.machine()}, {cores}; {RESOLUTION}³, float32\n")
    print("| generator's channels | batch | theirs, s a step | ours | theirs / ours |\n|---|---|---|---|---|")
    for case in QUICK if args.quick else CASES:
        ours = our_step(case.our_width, case.batch, RESOLUTION, device, "float32")
        steps = (their_step(case, device), ours)
        for step in steps:  # the first is slower
            step()
        theirs, ours = seconds(steps, 2 if args.quick else args.rounds, clock)
        channels = "-".join(map(str, case.channels))
        cells = (channels, case.batch, f"{theirs:.3g}", f"{ours:.3g}", f"{theirs / ours:.2f}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
