"""Convert generated shapes to .obj meshes, an optional step of the tutorial.

    python convert_to_obj.py -f savepoint/chair-1/1000.npy
    python convert_to_obj.py -n chair-1

Each mesh is closed, has no inner walls and is not mirrored; one voxel's edge is 0.01, y is up.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.exports import EmptyShapeError, add_options, export_all, run_grids, target_of
from rasgan.files import read_voxels
from rasgan.objfile import write_obj
from rasgan.runs import RunFolder
from rasgan.voxels import cubes_mesh, is_occupied, surface_mesh


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, ".obj", "models")
    parser.add_argument(
        "--cubes",
        action="store_true",
        help="the original's mesh instead: a separate cube for every surface voxel, mirrored, "
        "about six times as large",
    )
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Convert the file or the run; exit code 1 if a grid could not be read or the one file is empty."""
    args = build_parser().parse_args(argv)

    def export(source: Path, target: Path) -> None:
        occupied = is_occupied(read_voxels(source), args.threshold)
        if not occupied.any():
            raise EmptyShapeError(
                f"{source}: no voxel is above {args.threshold:g}, so there is nothing to make a mesh of; "
                "take a later epoch or a lower --threshold."
            )
        write_obj(target, *(cubes_mesh(occupied) if args.cubes else surface_mesh(occupied)))

    if args.file is not None:
        target = target_of(args.file, Path("models"), ".obj")
        export(args.file, target)
        print(f"wrote {target}")
        return 0

    run = RunFolder(args.name).existing()
    summary = export_all(tqdm(run_grids(run), disable=None, unit="mesh"), run.models, ".obj", export)
    for source in summary.empty:
        print(f"empty: {source}: no voxel is above {args.threshold:g}, no mesh written", file=sys.stderr)
    for sentence in summary.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    print(f"{run.models}: {len(summary.written)} written, {summary.already_there} already there, ", end="")
    print(f"{len(summary.empty)} empty, {len(summary.failed)} failed")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
