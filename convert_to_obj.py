"""Convert generated shapes to meshes, an optional step of the tutorial.

    python convert_to_obj.py -f savepoint/chair-1/1000.npy
    python convert_to_obj.py -n chair-1
    python convert_to_obj.py -f ModelNet10/chair/test
    python convert_to_obj.py -f savepoint/chair-1/1000.npy --format 3mf
    python convert_to_obj.py -n chair-1 --format html

Each mesh is closed, has no inner walls and is not mirrored. A voxel's edge is 0.01 units; with --size, units
are millimeters. Axes and units are those of the programs that read the format:

    .obj        y up, front towards -z: lies face down in a slicer
    .stl .ply   z up, front towards -y, for printing
    .3mf        the same, for slicers; in millimeters, 80 long by default
    .glb        y up, front towards +z; units are meters
    .html       a web page that shows all shapes
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.errors import UserError
from rasgan.export import batch
from rasgan.export.mesh_files import FORMATS, write_model
from rasgan.export.page import MOST_SHAPES, write_page
from rasgan.export.surface import cubes_mesh, surface_mesh
from rasgan.runs import RunFolder
from rasgan.voxels import is_occupied, largest_piece

MODELS = Path("models")
EDGE = 0.01  # of a voxel, as in the original
PAGE = ".html"
SIZES_MM = 0.001, 1_000_000  # up to a kilometer, the numbers of every format resolve single voxels


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    cli.add_grid_options(parser, MODELS.name, ".obj")
    text = (
        "file format and suffix (default: %(default)s); html is one page that shows all shapes in a browser, "
        f"{MOST_SHAPES} at most: ./models/NAME.html, or for a run savepoint/RUN/training.html, with a slider "
        "over the epochs"
    )
    formats = [suffix[1:] for suffix in (*FORMATS, PAGE)]
    add("--format", choices=formats, default="obj", help=text)
    text = (
        "scale the object so that its longest side is MM millimeters, for printing, and move the lowest "
        "corner of its bounding box to the origin (default: 80 with --format 3mf)"
    )
    millimeters = cli.number(float, at_least=SIZES_MM[0], at_most=SIZES_MM[1])
    add("--size", type=millimeters, metavar="MM", help=text)
    text = (
        "keep only the largest connected component, and print how many voxels were dropped; voxels are "
        "connected where they share a face"
    )
    add("--largest", action="store_true", help=text)
    text = (
        "write the original's .obj instead: a separate cube for every surface voxel, mirrored; cannot be "
        "combined with the three options above"
    )
    add("--cubes", action="store_true", help=text)
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Convert a file, a folder or a run; exit code 1 if a grid could not be read or all are empty."""
    parser = build_parser()
    args = parser.parse_args(argv)
    is_page = args.format == PAGE[1:]
    if args.cubes and (args.format != "obj" or args.size or args.largest):
        parser.error("--cubes cannot be combined with --format, --size or --largest")
    if is_page and args.size:
        parser.error("--size cannot be combined with --format html")
    return make_page(args) if is_page else make_meshes(args)


def make_meshes(args: argparse.Namespace) -> int:
    """Write a mesh for each shape and return the exit code."""
    sizes_mm: list[float] = []
    counts: list[tuple[int, int]] = []  # occupied voxels of each shape, before and after --largest

    def export(shape: batch.Shape, target: Path) -> None:
        scores = shape.read()
        occupied = is_occupied(scores, args.threshold)
        if not occupied.any():
            raise UserError(f"{shape}: no voxel is above {args.threshold:g}, no mesh written.", cli.EMPTY)
        kept = largest_piece(occupied) if args.largest else occupied
        mesh = cubes_mesh(kept, EDGE) if args.cubes else surface_mesh(kept, EDGE)
        sizes_mm.append(write_model(target, *mesh, EDGE * len(scores), args.size))
        counts.append((occupied.sum(), kept.sum()))

    if args.file is None:
        run = RunFolder(args.name).existing()
        shapes, folder = batch.shapes_in(batch.run_grids(run)), run.models
    else:
        shapes, folder = batch.shapes_of(args.file), batch.results_of(args.file, MODELS)
    is_file = args.file is not None and not args.file.is_dir()
    bar = tqdm(shapes, disable=None, unit="mesh")
    summary = batch.export_all(bar, folder, f".{args.format}", export, replace=is_file)
    size = describe_size(args, sizes_mm)
    code = 0
    if is_file and len(shapes) == 1:
        cli.tell_only_export(summary, size)
    else:
        code = cli.tell_exports(summary, folder)
        if size:
            print(f"Each is {size}")
    if args.largest and counts:
        print(f"--largest {batch.describe_dropped(counts)}")
    return code


def describe_size(args: argparse.Namespace, sizes_mm: list[float]) -> str:
    """Return how long the meshes are in a slicer, and how to print them; "" where no slicer reads them."""
    if not sizes_mm or args.format == "glb":
        return ""
    lengths = dict.fromkeys(f"{round(length, 3):.10g}" for length in (min(sizes_mm), max(sizes_mm)))
    size = f"{' to '.join(lengths)} mm long in a slicer"
    if args.format == "obj":
        return f"{size}, face down; to print, use --format 3mf"
    return size if args.size or args.format == "3mf" else f"{size}; to print, add --size 80"


def make_page(args: argparse.Namespace) -> int:
    """Write the page of a file, a folder or a run, and return the exit code."""
    if args.name is not None:
        run = RunFolder(args.name).existing()
        shapes, title = batch.shapes_in(batch.film_grids(run)), run.name
        target = run.savepoints / f"training{PAGE}"
    else:
        shapes, title = batch.shapes_of(args.file), batch.source_name(args.file)
        target = MODELS / f"{title}{PAGE}"
        title = f"{args.file.resolve().parent.name}, {title}" if title.isdecimal() else title
    labels, grids, failed = batch.read_labeled(batch.spread(shapes, MOST_SHAPES), args.threshold)
    for error in failed:
        cli.complain("failed", str(error))
    if not any(grid.any() for grid in grids):
        raise UserError(f"{args.file or target.parent}: no voxel is above {args.threshold:g}.", cli.EMPTY)
    kept = [largest_piece(grid) for grid in grids] if args.largest else grids
    write_page(target, title, kept, labels, is_film=args.name is not None)
    print(f"wrote {target}: {len(grids)} of {cli.counted(len(shapes), 'shape')}")
    if args.largest:
        counts = [(grid.sum(), left.sum()) for grid, left in zip(grids, kept, strict=True)]
        print(f"--largest {batch.describe_dropped(counts)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
