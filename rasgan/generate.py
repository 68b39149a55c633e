"""Generate new shapes from a trained generator, and films from one to another.

Writes .npy grids, .obj meshes and one picture of all to savepoint/NAME/generated/EPOCH. The same seed
always gives the same shapes.

    python -m rasgan.generate --pretrained chairs --count 16
    python -m rasgan.generate -n chair-1 --count 16 --seed 7
    python -m rasgan.generate -n chair-1 --interpolate 3 8 --steps 24
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from rasgan import cli
from rasgan.export import plots
from rasgan.export.batch import spread
from rasgan.export.gif import draw_film
from rasgan.export.mesh_files import write_obj
from rasgan.export.page import MOST_SHAPES as MOST_ON_PAGE
from rasgan.export.page import write_page
from rasgan.export.surface import surface_mesh
from rasgan.runs import RunFolder, pretrained_names, pretrained_run
from rasgan.voxel_io import write_npy
from rasgan.voxels import is_occupied, largest_piece

if TYPE_CHECKING:  # torch is imported where it is needed: not for --help
    from rasgan.networks import Generator
    from rasgan.training.checkpoints import Position

COUNT, SEED, STEPS = 10, 0, 24
FRAME_MS = 100
MOST_ON_SHEET = 100
MOST_SHAPES = 1000  # at a time: they are all held in memory


def save_shapes(stem: Path, grids: np.ndarray) -> list[Path]:
    """Write each shape to ``STEM-I.npy``; I counts from 0."""
    paths = [Path(f"{stem}-{i:02d}.npy") for i in range(len(grids))]
    for path, grid in zip(paths, grids, strict=True):
        write_npy(path, grid)
    return paths


def save_meshes(paths: Sequence[Path], grids: np.ndarray) -> int:
    """Write the closed surface of each shape as .obj; return how many were empty and have none."""
    full = [(path, grid) for path, grid in zip(paths, is_occupied(grids), strict=True) if grid.any()]
    for path, grid in bar(full, "meshes"):
        write_obj(path.with_suffix(".obj"), *surface_mesh(grid))
    return len(paths) - len(full)


def save_sheet(path: Path, grids: Sequence[np.ndarray]) -> None:
    """Draw shapes side by side, each with its number: the I of `save_shapes`."""
    plots.contact_sheet(path, grids, labels=[str(number) for number in range(len(grids))])


def open_run(
    name: str | None, pretrained: str | None, epoch: int | None = None
) -> tuple[RunFolder, "Generator", "Position"]:
    """Return the run that -n names, or the model that --pretrained names, its generator and its position."""
    from rasgan.sampling import load_generator

    run = RunFolder(name).trained() if pretrained is None else pretrained_run(pretrained)
    return run, *load_generator(run.checkpoints, epoch)


def bar(items: Iterable, what: str = "shapes") -> tqdm:
    """Wrap `items` in a progress bar, which shows only where stderr is a terminal."""
    return tqdm(items, desc=what, leave=False, disable=None)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__, "python -m rasgan.generate")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("-n", "--name", metavar="RUN", help="training run")
    text = "instead of a run, a model that comes with the project"
    source.add_argument("--pretrained", choices=pretrained_names(), help=text)
    cli.add_load_epoch(parser)
    text = f"number of shapes, {MOST_SHAPES} at most (default {COUNT})"
    parser.add_argument("--count", type=cli.number(int, at_least=1, at_most=MOST_SHAPES), help=text)
    text = f"each seed gives different shapes (default {SEED})"
    parser.add_argument("--seed", type=cli.whole_number, help=text)
    text = (
        "instead, a film from the first shape of seed A to that of seed B: one .gif, and its frames as one "
        ".npy batch; its length is --steps, and --count and --seed are not used"
    )
    parser.add_argument("--interpolate", type=cli.whole_number, nargs=2, metavar=("A", "B"), help=text)
    parser.add_argument(
        "--steps",
        type=cli.number(int, at_least=2, at_most=MOST_SHAPES),
        help=f"frames of --interpolate, both ends included (default {STEPS})",
    )
    parser.add_argument(
        "--truncation",
        type=cli.number(float, above=0, at_most=1),
        default=1.0,
        metavar="T",
        help="scale the generator's random input by T, above 0 and at most 1: the lower, the more alike the "
        "shapes (default 1)",
    )
    parser.add_argument(
        "--largest",
        action="store_true",
        help="keep only the largest connected piece of each shape, and tell how many voxels went",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help=f"write one page too, .html, in which the shapes, {MOST_ON_PAGE} at most, turn and zoom in any "
        "browser; of --interpolate with a slider from A to B",
    )
    parser.add_argument("--no-obj", dest="obj", action="store_false", help="write no meshes")
    return parser


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
    run, generator, position = open_run(args.name, args.pretrained, args.load_epoch)
    count = (args.steps or STEPS) if args.interpolate else (args.count or COUNT)
    cli.say(f"Generating {cli.counted(count, 'shape')} of {run.title(position)} ...")
    seeds = args.interpolate or [args.seed or SEED]
    truncated = "" if args.truncation == 1 else f"-truncation{args.truncation:g}"
    largest = "-largest" if args.largest else ""
    stem = run.generated(position) / f"seed{'-to-'.join(map(str, seeds))}{truncated}{largest}"
    write = write_film if args.interpolate else write_shapes
    write(args, generator, count, stem)
    return 0


def write_shapes(args: argparse.Namespace, generator: "Generator", count: int, stem: Path) -> None:
    """Generate independent shapes: a grid and a mesh of each, and a sheet of all."""
    from rasgan.sampling import generate

    grids = generate(generator, args.seed or SEED, count, args.truncation, bar)
    if args.largest:
        grids = tell_dropped(grids)
    paths, sheet = save_shapes(stem, grids), Path(f"{stem}.png")
    save_sheet(sheet, grids[:MOST_ON_SHEET])
    empty = save_meshes(paths, grids) if args.obj else 0
    shown = "their picture" if len(grids) <= MOST_ON_SHEET else f"a picture of the first {MOST_ON_SHEET}"
    cli.say(f"{'Grids and meshes' if args.obj else 'Grids'} in {stem.parent}, {shown} in {sheet}")
    if args.html:
        captions = [f"seed {args.seed or SEED}, {i}" for i in range(min(count, MOST_ON_PAGE))]
        save_page(Path(f"{stem}.html"), grids[: len(captions)], captions)
    if empty:
        cli.say(f"{empty} of them empty: no voxel is occupied, so there is no mesh; train longer.")


def save_page(path: Path, grids: np.ndarray, captions: Sequence[str], is_film: bool = False) -> None:
    """Write the page of some shapes, each with its caption, and print where it is."""
    title = f"{path.parents[2].name}, epoch {path.parent.name}, {path.stem}"
    write_page(path, title, is_occupied(grids), captions, is_film)
    cli.say(f"To turn {cli.counted(len(grids), 'shape')}, open {path} in a browser")


def tell_dropped(grids: np.ndarray) -> np.ndarray:
    """Return the largest piece of each shape and print how much was dropped."""
    kept = keep_largest(grids)
    before, after = (np.count_nonzero(is_occupied(each), axis=(1, 2, 3)) for each in (grids, kept))
    cli.say(
        f"--largest dropped {(before - after).sum():,} of {before.sum():,} voxels, from "
        f"{np.count_nonzero(before > after)} of {cli.counted(len(grids), 'shape')}."
    )
    return kept


def keep_largest(grids: np.ndarray) -> np.ndarray:
    """Empty every occupied voxel that is not of its shape's largest piece: (N, n, n, n) scores."""
    occupied = is_occupied(grids)
    loose = occupied & ~np.stack([largest_piece(shape) for shape in occupied])
    return np.where(loose, np.float32(0), grids)


def write_film(args: argparse.Namespace, generator: "Generator", count: int, stem: Path) -> None:
    """Generate the shapes between two seeds: a batch of all of them and a film."""
    from rasgan.sampling import interpolate

    first, last = args.interpolate
    grids = interpolate(generator, first, last, count, args.truncation, bar)
    if args.largest:
        grids = tell_dropped(grids)
    batch, film = Path(f"{stem}.npy"), Path(f"{stem}.gif")
    write_npy(batch, grids)
    there_and_back = [*range(count), *range(count - 2, 0, -1)]
    captions = [f"seed {first} to {last}: {step / (count - 1):.0%}" for step in range(count)]
    swung = [captions[step] for step in there_and_back]
    draw_film(film, bar(is_occupied(grids)[there_and_back], "frames"), swung, FRAME_MS)
    cli.say(f"Film in {film}, its shapes in {batch}")
    if args.html:
        shown = spread(range(count), MOST_ON_PAGE)
        save_page(Path(f"{stem}.html"), grids[shown], [captions[step] for step in shown], is_film=True)


if __name__ == "__main__":
    sys.exit(main())
