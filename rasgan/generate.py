"""Generate new shapes with a trained generator, or films that interpolate between shapes.

Writes .npy grids, .obj meshes and a picture of all shapes to savepoint/NAME/generated/EPOCH. The same seed
always gives the same shapes.

    python -m rasgan.generate --pretrained chairs --count 16
    python -m rasgan.generate -n chair-1 --count 16 --seed 7
    python -m rasgan.generate -n chair-1 --interpolate 3 8 --steps 24
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rasgan import cli
from rasgan.errors import UserError
from rasgan.export.batch import bar, describe_dropped, save_shape
from rasgan.export.gif import draw_film
from rasgan.export.mesh_files import write_obj
from rasgan.export.page import MOST_SHAPES as MOST_SHOWN
from rasgan.export.page import write_page
from rasgan.export.plots import contact_sheet
from rasgan.export.surface import surface_mesh
from rasgan.metrics import is_whole
from rasgan.runs import RunFolder, pretrained_names, pretrained_run
from rasgan.voxel_io import write_npy
from rasgan.voxels import is_occupied, largest_piece

if TYPE_CHECKING:  # not needed for --help, and slow to import
    from rasgan.networks import Generator
    from rasgan.training.checkpoints import Position

COUNT, SEED, STEPS = 10, 0, 24
FRAME_MS = 100
MOST_SHAPES = 1000
MOST_STEPS = MOST_SHOWN  # all frames of a film are in memory: 1 GB at 128³
TRIES = 50  # most shapes that --only-whole generates for each shape requested


def open_run(
    name: str | None, pretrained: str | None, epoch: int | None = None
) -> tuple[RunFolder, "Generator", "Position"]:
    """Return the run of -n or the model of --pretrained, its generator and its position."""
    from rasgan.training.checkpoints import load_generator

    run = RunFolder(name).trained() if pretrained is None else pretrained_run(pretrained)
    return run, *load_generator(run.checkpoints, epoch)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__, "python -m rasgan.generate")
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("-n", "--name", metavar="RUN", help="training run")
    source.add_argument("--pretrained", choices=pretrained_names(), help="pretrained model")
    cli.add_load_epoch(parser)
    text = f"number of shapes, at most {MOST_SHAPES} (default {COUNT})"
    add("--count", type=cli.number(int, at_least=1, at_most=MOST_SHAPES), help=text)
    add("--seed", type=cli.whole_number, help=f"each seed gives different shapes (default {SEED})")
    text = (
        "instead of separate shapes, generate a film from the first shape of seed A to that of seed B: a "
        ".gif, and its frames as an .npy batch. --steps replaces --count and --seed"
    )
    add("--interpolate", type=cli.whole_number, nargs=2, metavar=("A", "B"), help=text)
    text = f"number of frames of --interpolate, including both ends, at most {MOST_STEPS} (default {STEPS})"
    add("--steps", type=cli.number(int, at_least=2, at_most=MOST_STEPS), help=text)
    text = (
        "scale the generator's random input by T, above 0 and at most 1; lower values give more similar "
        "shapes (default 1)"
    )
    truncation = cli.number(float, above=0, at_most=1)
    add("--truncation", type=truncation, default=1.0, metavar="T", help=text)
    text = "keep only the largest connected component of each shape, and print how many voxels were dropped"
    add("--largest", action="store_true", help=text)
    text = (
        "keep generating until there are --count shapes that are a single connected component and stand "
        f"without tipping over; stops after {TRIES} times as many shapes"
    )
    add("--only-whole", action="store_true", help=text)
    text = (
        f"also write a web page, .html, that shows the shapes in 3D, at most {MOST_SHOWN}; with "
        "--interpolate, it has a slider from A to B"
    )
    add("--html", action="store_true", help=text)
    add("--no-obj", dest="obj", action="store_false", help="do not write meshes")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the shapes and a picture of them, or the film, to savepoint/NAME/generated."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.interpolate and (args.count is not None or args.seed is not None or args.largest):
        parser.error("--count, --seed and --largest cannot be combined with --interpolate")
    if args.load_epoch is not None and args.pretrained:
        parser.error("-le can only be used with -n")
    if args.steps is not None and not args.interpolate:
        parser.error("--steps can only be used with --interpolate; for separate shapes use --count")
    if args.only_whole and (args.interpolate or args.largest):
        parser.error("--only-whole cannot be combined with --interpolate or --largest")
    run, generator, position = open_run(args.name, args.pretrained, args.load_epoch)
    count = (args.steps or STEPS) if args.interpolate else (args.count or COUNT)
    cli.say(f"Generating {cli.counted(count, 'shape')} of {run.title(position)} ...")
    seeds = args.interpolate or [args.seed or SEED]
    truncated = "" if args.truncation == 1 else f"-truncation{args.truncation:g}"
    kept = "-largest" if args.largest else "-whole" if args.only_whole else ""
    stem = run.generated(position) / f"seed{'-to-'.join(map(str, seeds))}{truncated}{kept}"
    write = write_film if args.interpolate else write_shapes
    write(args, generator, count, stem)
    return 0


def write_shapes(args: argparse.Namespace, generator: "Generator", count: int, stem: Path) -> None:
    """Generate separate shapes and write a grid and a mesh of each and a sheet of all.

    Each shape is written before the next is generated, so that memory use does not grow with their number.
    """
    seed = args.seed or SEED
    numbers, shown, sizes = [], [], []
    for number, grid in new_shapes(generator, seed, count, args.truncation, args.only_whole):
        kept = keep_largest(grid) if args.largest else grid
        occupied, path = is_occupied(kept), save_shape(stem, number, kept)
        if args.obj and occupied.any():
            write_obj(path.with_suffix(".obj"), *surface_mesh(occupied))
        numbers.append(number)
        sizes.append((np.count_nonzero(is_occupied(grid)), np.count_nonzero(occupied)))
        if len(shown) < MOST_SHOWN:
            shown.append(occupied)
    if args.only_whole:
        report_discarded(numbers, count)
    if args.largest:
        cli.say(f"--largest {describe_dropped(sizes)}.")
    sheet = Path(f"{stem}.png")
    contact_sheet(sheet, shown, labels=[str(number) for number in numbers[: len(shown)]])
    which = "a picture of all" if len(shown) == len(numbers) else f"a picture of the first {len(shown)}"
    cli.say(f"{'Grids and meshes' if args.obj else 'Grids'} in {stem.parent}, {which} in {sheet}")
    if args.html:
        captions = [f"seed {seed}, {number}" for number in numbers[: len(shown)]]
        save_page(Path(f"{stem}.html"), shown, captions)
    if empty := sum(not size for _, size in sizes):
        cli.say(f"{empty} of the shapes are empty and have no mesh; train longer.")


def new_shapes(
    generator: "Generator", seed: int, count: int, truncation: float, only_whole: bool
) -> Iterable[tuple[int, np.ndarray]]:
    """Yield the number and the (n, n, n) grid of each new shape; seed and number determine the shape.

    With `only_whole`, shapes that are not `rasgan.metrics.is_whole` are rejected; the search ends after
    `TRIES` times `count` shapes, so there may be fewer than `count`. In Azadi et al., Discriminator rejection
    sampling, ICLR 2019, the discriminator decides instead.
    """
    from rasgan.sampling import decode_each, latent

    tries = TRIES * count if only_whole else count
    shapes = enumerate(decode_each(generator, (truncation * latent(seed, number) for number in range(tries))))
    if only_whole:
        whole = ((number, grid) for number, grid in shapes if is_whole(is_occupied(grid)))
        shapes = itertools.islice(whole, count)
    return bar(shapes, total=count)


def report_discarded(numbers: Sequence[int], count: int) -> None:
    """Print how many shapes --only-whole discarded. Raises UserError if none is left."""
    tried = numbers[-1] + 1 if len(numbers) == count else TRIES * count
    result = f"{len(numbers)} of {tried} generated shapes are in one piece and stand."
    if not numbers:
        raise UserError(f"{result} Train longer, or omit --only-whole.")
    cli.say(f"{result} The others were discarded.")


def keep_largest(grid: np.ndarray) -> np.ndarray:
    """Set the scores of all occupied voxels outside the largest component to 0: (n, n, n) to (n, n, n)."""
    occupied = is_occupied(grid)
    return np.where(occupied & ~largest_piece(occupied), np.float32(0), grid)


def write_film(args: argparse.Namespace, generator: "Generator", count: int, stem: Path) -> None:
    """Generate the shapes between two seeds and write them as a batch and as a film."""
    from rasgan.sampling import interpolate

    first, last = args.interpolate
    grids = interpolate(generator, first, last, count, args.truncation, bar)
    batch, film = Path(f"{stem}.npy"), Path(f"{stem}.gif")
    write_npy(batch, grids)
    captions = [f"seed {first} to {last}: {step / (count - 1):.0%}" for step in range(count)]
    swung = [*range(count), *range(count - 2, 0, -1)]  # forward and back
    frames = bar([is_occupied(grids[step]) for step in swung], "frames")
    draw_film(film, frames, [captions[step] for step in swung], FRAME_MS)
    cli.say(f"Film in {film}, its shapes in {batch}")
    if args.html:
        save_page(Path(f"{stem}.html"), grids, captions, is_film=True)


def save_page(path: Path, grids: Sequence[np.ndarray], captions: list[str], is_film: bool = False) -> None:
    """Write a page of captioned shapes and print its path."""
    title = f"{path.parents[2].name}, epoch {path.parent.name}, {path.stem}"
    write_page(path, title, [is_occupied(grid) for grid in grids], captions, is_film)
    cli.say(f"To view {cli.counted(len(grids), 'shape')} in 3D, open {path} in a browser")


if __name__ == "__main__":
    sys.exit(main())
