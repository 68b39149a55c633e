"""New shapes from a trained generator, and films from one of them to another.

Example::

    python -m rasgan.generate --pretrained chairs --count 16
    python -m rasgan.generate -n chair-1 --count 16 --seed 7
    python -m rasgan.generate -n chair-1 --interpolate 3 8 --steps 24
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rasgan import cli, seeding
from rasgan.export import films, plots
from rasgan.export.objfile import write_obj
from rasgan.files import atomic_path
from rasgan.networks import LATENT_SIZE, Generator
from rasgan.runs import RunFolder, pretrained_names, pretrained_run
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.training.config import TrainConfig
from rasgan.training.state import inference
from rasgan.voxels import is_occupied, surface_mesh

COUNT, SEED, STEPS = 10, 0, 24
FRAME_MS = 100
MOST_ON_SHEET = 100
MOST_SHAPES = 1000  # at a time: they are all held in memory


def latents(seed: int, count: int) -> Tensor:
    """Draw z for `count` shapes: (count, LATENT_SIZE). Row i depends on `seed` and i alone."""
    rngs = [seeding.rng_for(seed, seeding.GENERATED, i) for i in range(count)]
    return torch.stack([seeding.noise(rng, LATENT_SIZE) for rng in rngs])


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Go from one vector to another along an arc: spherical interpolation.

    The direction turns evenly from that of `a` to that of `b`, and the length changes evenly. Normal noise
    of many dimensions lies close to a sphere, so all points of the arc are as likely as its ends; those of a
    straight line are too short.

    Parameters
    ----------
    a, b : (d,) array
        Not zero. Between opposite vectors there are many arcs; one is chosen, always the same.
    t : (k,) array
        0 gives `a` and 1 gives `b`, exactly.

    Returns
    -------
    points : (k, d) array of the dtype of `a`

    Notes
    -----
    K. Shoemake. Animating rotation with quaternion curves. SIGGRAPH 1985.
    """
    t = np.asarray(t, dtype=np.float64)[:, None]
    length_a, length_b = np.linalg.norm(a.astype(np.float64)), np.linalg.norm(b.astype(np.float64))
    start, end = a / length_a, b / length_b
    across = end - (start @ end) * start
    if np.linalg.norm(across) < 1e-9:  # parallel or opposite: any direction across will do
        across = np.eye(len(a))[np.abs(start).argmin()]
        across -= (start @ across) * start
    across /= np.linalg.norm(across)
    angle = np.arctan2(end @ across, end @ start)
    length = (1 - t) * length_a + t * length_b
    points = (length * (np.cos(t * angle) * start + np.sin(t * angle) * across)).astype(a.dtype)
    # rounding must not move the ends
    return np.where(t == 0, a, np.where(t == 1, b, points))


@torch.no_grad()
def decode(generator: nn.Module, z: Tensor) -> np.ndarray:
    """Turn (k, LATENT_SIZE) into (k, n, n, n) float32 scores. Batch norm uses its running statistics.

    One shape at a time: in a batch, a shape's last bits would depend on its company.
    """
    device = next(generator.parameters()).device
    with inference(generator):
        grids = [generator(row.to(device)).squeeze(1).float().cpu() for row in z.split(1)]
    return torch.cat(grids).contiguous().numpy()


def generate(generator: nn.Module, seed: int, count: int, truncation: float = 1.0) -> np.ndarray:
    """Generate `count` shapes, (count, n, n, n) float32 scores.

    Shape i depends on `seed`, i and `truncation` alone: a larger count adds shapes and changes none.
    `truncation`, above 0 and at most 1, scales z: towards 0 all shapes become one.
    """
    return decode(generator, truncation * latents(seed, count))


def interpolate(
    generator: nn.Module, first: int, last: int, steps: int, truncation: float = 1.0
) -> np.ndarray:
    """Generate `steps` shapes (two or more) from the first shape of one seed to that of another.

    The ends equal, bit for bit, what `generate` gives for these seeds.
    """
    a, b = (truncation * latents(seed, 1)[0] for seed in (first, last))
    z = slerp(a.numpy(), b.numpy(), np.linspace(0, 1, steps))
    return decode(generator, torch.from_numpy(z))


def load_generator(folder: Path, epoch: int | None = None) -> tuple[Generator, Position]:
    """Rebuild the generator of a checkpoint (the averaged one where the run kept it), and where it stood."""
    position = checkpoints.choose_position(folder, epoch)
    state = checkpoints.load_checkpoint(folder, position)
    with checkpoints.understood(checkpoints.weights_path(folder, position)):
        settings = TrainConfig(**state["settings"])
        generator = Generator(settings.width, settings.resolution, settings.output)
        generator.load_state_dict(state.get("averaged", state["generator"]))
    return generator.eval(), position


def save_shapes(folder: Path, grids: np.ndarray, seed: int, truncation: float = 1.0) -> list[Path]:
    """Write each shape to ``folder/seedSEED-I.npy``; I counts from 0."""
    name = f"seed{seed}{_truncated(truncation)}"
    paths = [folder / f"{name}-{i:02d}.npy" for i in range(len(grids))]
    for path, grid in zip(paths, grids, strict=True):
        _save_npy(path, grid)
    return paths


def _save_npy(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, array)


def save_meshes(paths: Sequence[Path], grids: Sequence[np.ndarray]) -> int:
    """Write the closed surface of each shape as .obj; return how many were empty and have none."""
    empty = 0
    for path, grid in zip(paths, grids, strict=True):
        occupied = is_occupied(grid)
        if occupied.any():
            write_obj(path.with_suffix(".obj"), *surface_mesh(occupied))
        else:
            empty += 1
    return empty


def _truncated(truncation: float) -> str:
    """Mark the names of truncated shapes, which are others than those of the seed alone."""
    return "" if truncation == 1 else f"-truncation{truncation:g}"


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m rasgan.generate",
        description="Generate new shapes from a training run: .npy grids, .obj meshes, one picture of all. "
        "They go to savepoint/NAME/generated/EPOCH. The same seed gives the same shapes every time.",
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("-n", "--name", help="name of the training run")
    source.add_argument(
        "--pretrained",
        choices=pretrained_names(),
        help="instead, a model that comes with the project; nothing needs to be trained",
    )
    cli.add_load_epoch(parser)
    parser.add_argument(
        "--count",
        type=cli.between(cli.whole_number, 1, MOST_SHAPES),
        help=f"how many shapes, {MOST_SHAPES} at most (default {COUNT}); another seed makes others",
    )
    parser.add_argument("--seed", type=cli.whole_number, help=f"other seeds, other shapes (default {SEED})")
    parser.add_argument(
        "--interpolate",
        type=cli.whole_number,
        nargs=2,
        metavar=("A", "B"),
        help="instead, change the first shape of seed A into that of seed B: one .gif, and its frames as one "
        ".npy batch; takes --steps in place of --count and --seed",
    )
    parser.add_argument(
        "--steps",
        type=cli.between(cli.whole_number, 2, MOST_SHAPES),
        help=f"frames of --interpolate, both ends included (default {STEPS})",
    )
    parser.add_argument(
        "--truncation",
        type=_up_to_one,
        default=1.0,
        metavar="T",
        help="scale the generator's random input by T, above 0 and at most 1: the lower, the more alike the "
        "shapes (default 1)",
    )
    parser.add_argument("--no-obj", dest="obj", action="store_false", help="write no meshes")
    return parser


def _up_to_one(text: str) -> float:
    number = cli.positive_real(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"must be at most 1: {text}")
    return number


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the shapes and one picture of them, or the film, below savepoint/NAME/generated."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.interpolate and (args.count is not None or args.seed is not None):
        parser.error("--interpolate names its own seeds and takes --steps; leave --count and --seed out")
    if args.load_epoch is not None and args.pretrained:
        parser.error("-le goes with -n; a --pretrained model has one epoch")
    if args.steps is not None and not args.interpolate:
        parser.error("--steps goes with --interpolate; --count says how many shapes")
    run = pretrained_run(args.pretrained) if args.pretrained else RunFolder(args.name)
    generator, position = load_generator(run.checkpoints, args.load_epoch)
    folder = run.generated(position)
    write = write_film if args.interpolate else write_shapes
    write(args, generator, folder, position)
    return 0


def write_shapes(args: argparse.Namespace, generator: Generator, folder: Path, position: Position) -> None:
    """Generate independent shapes: a grid and a mesh of each, and a sheet of all."""
    seed = SEED if args.seed is None else args.seed
    grids = generate(generator, seed, args.count or COUNT, args.truncation)
    paths = save_shapes(folder, grids, seed, args.truncation)
    sheet = folder / f"seed{seed}{_truncated(args.truncation)}.png"
    plots.contact_sheet(sheet, grids[:MOST_ON_SHEET])
    empty = save_meshes(paths, grids) if args.obj else 0
    shown = "their picture" if len(grids) <= MOST_ON_SHEET else f"a picture of the first {MOST_ON_SHEET}"
    cli.say(f"{len(grids)} shapes of epoch {position} in {folder}, {shown} in {sheet}")
    if empty:
        cli.say(f"{empty} of them empty: no voxel is occupied, so there is no mesh; train longer.")


def write_film(args: argparse.Namespace, generator: Generator, folder: Path, position: Position) -> None:
    """Generate the shapes between two seeds: a batch of all of them and a film."""
    first, last = args.interpolate
    grids = interpolate(generator, first, last, args.steps or STEPS, args.truncation)
    name = f"seed{first}-to-{last}{_truncated(args.truncation)}"
    batch, film = folder / f"{name}.npy", folder / f"{name}.gif"
    _save_npy(batch, grids)
    captions = [f"seed {first} to {last}: {share:.0%}" for share in np.linspace(0, 1, len(grids))]
    films.draw_film(film, is_occupied(grids), captions, FRAME_MS)
    cli.say(f"{len(grids)} shapes of epoch {position} in {batch}, the film in {film}")


if __name__ == "__main__":
    sys.exit(main())
