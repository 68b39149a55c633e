"""New shapes from a trained generator.

Example::

    python -m rasgan.generate -n chair-1 --count 16 --seed 7
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rasgan import checkpoints, cli, figures, randomness
from rasgan.checkpoints import Position
from rasgan.files import atomic_path
from rasgan.networks import LATENT_SIZE, Generator
from rasgan.runs import RunFolder
from rasgan.settings import Settings
from rasgan.training import inference

BATCH = 16  # shapes generated at once; bounds the memory, changes no shape


@torch.no_grad()
def generate(generator: nn.Module, seed: int, count: int) -> np.ndarray:
    """Generate `count` shapes, (count, n, n, n) float32 scores.

    Shape i depends on `seed` and i alone: a larger count adds shapes and changes none. Batch norm uses its
    running statistics.
    """
    device = next(generator.parameters()).device
    z = torch.stack(
        [
            randomness.noise(randomness.rng_for(seed, randomness.GENERATED, i), LATENT_SIZE)
            for i in range(count)
        ]
    )
    with inference(generator):
        grids = [generator(part.to(device)).squeeze(1).float().cpu() for part in z.split(BATCH)]
    return torch.cat(grids).contiguous().numpy()


def load_generator(folder: Path, epoch: int | None = None) -> tuple[Generator, Position]:
    """Rebuild the generator of a checkpoint (the averaged one where the run kept it), and where it stood."""
    position = checkpoints.choose_position(folder, epoch)
    state = checkpoints.load_checkpoint(folder, position)
    settings = Settings(**state["settings"])
    generator = Generator(settings.width, settings.resolution, settings.output)
    generator.load_state_dict(state.get("averaged", state["generator"]))
    return generator.eval(), position


def save_shapes(folder: Path, grids: np.ndarray, seed: int) -> list[Path]:
    """Write each shape to ``folder/seedSEED-I.npy``; I counts from 0."""
    paths = [folder / f"seed{seed}-{i:02d}.npy" for i in range(len(grids))]
    for path, grid in zip(paths, grids, strict=True):
        with atomic_path(path) as temporary:
            np.save(temporary, grid)
    return paths


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m rasgan.generate",
        description="Generate new shapes from a training run.",
        allow_abbrev=False,
    )
    parser.add_argument("-n", "--name", required=True, help="name of the training run")
    parser.add_argument(
        "-le",
        "--load_epoch",
        "--load-epoch",
        type=cli.whole_number,
        help="epoch to take (default: the newest)",
    )
    parser.add_argument("--count", type=cli.positive, default=10, help="how many shapes (default 10)")
    parser.add_argument(
        "--seed", type=cli.whole_number, default=0, help="other seeds, other shapes (default 0)"
    )
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the shapes and one picture of them below savepoint/NAME/generated."""
    args = build_parser().parse_args(argv)
    run = RunFolder(args.name)
    generator, position = load_generator(run.checkpoints, args.load_epoch)
    grids = generate(generator, args.seed, args.count)
    folder = run.generated(position)
    save_shapes(folder, grids, args.seed)
    sheet = folder / f"seed{args.seed}.png"
    figures.contact_sheet(sheet, grids)
    cli.say(f"{len(grids)} shapes of epoch {position} in {folder}, their picture in {sheet}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
