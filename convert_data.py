"""Convert meshes to voxel grids, the third step of the tutorial.

    python convert_data.py -m ModelNet10/chair

writes a .raw file of 64 x 64 x 64 voxels beside every mesh in the folder and below it, as Binvox would.
With ``-b PATH`` the real Binvox program does it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.data.conversion import ConversionOptions, ConversionSummary, convert_folder
from rasgan.data.meshes import SUFFIXES, UP_AXES
from rasgan.data.voxelize import MODES
from rasgan.voxels import RESOLUTIONS

ADVICE = {
    "binvox": "Or leave out -b: the built-in voxelizer needs no other program.",
    "memory": "Or use fewer --jobs.",
    "other size": "Or use --overwrite.",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    text = f"folder of meshes ({' '.join(SUFFIXES)}), searched with its subfolders"
    add("-m", "--model_dir", "--model-dir", type=Path, required=True, metavar="FOLDER", help=text)
    text = "Patrick Min's Binvox program, to be used instead of the built-in voxelizer"
    add("-b", "--binvox_binary", "--binvox-binary", metavar="BINVOX", help=text)
    text = (
        "binvox: as Binvox fills by default, parts thinner than a voxel may vanish; "
        f"exact: the surface only; solid: surface and inside, no part is lost {default}"
    )
    add("--mode", choices=MODES, default="binvox", help=text)
    text = "put the shorter sides in the middle of the grid, not at its start"
    add("--center", action="store_true", help=text)
    add("--resolution", type=int, choices=RESOLUTIONS, default=64, help=f"voxels a side {default}")
    add("--up", choices=UP_AXES, default="z", help=f"which axis of the meshes points up {default}")
    text = "processes at a time (default: one for each core)"
    add("-j", "--jobs", type=cli.positive, metavar="N", help=text)
    text = "convert again what is already there (default: skip it)"
    add("--overwrite", action="store_true", help=text)
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Convert the folder and report; exit code 1 if any mesh failed."""
    args = build_parser().parse_args(argv)
    options = ConversionOptions(args.resolution, args.mode, args.center, args.up, args.binvox_binary)
    with cli.advising(ADVICE):
        summary = convert_folder(args.model_dir, options, args.jobs, args.overwrite, progress=tqdm)
    report(summary)
    if summary.converted or summary.already_there:
        train = args.model_dir / "train"
        data = train if train.is_dir() else args.model_dir
        resolution = [] if args.resolution == 64 else ["--resolution", args.resolution]
        command = cli.command_line("python", "train_rasgan.py", "-n", "NAME", "-d", data, *resolution)
        print(f"The grids are the .raw files beside the meshes. Next:\n  {command}")
    return 1 if summary.failed else 0


def report(summary: ConversionSummary) -> None:
    """Print the counts on stdout, and what went wrong with which mesh on stderr."""
    for mesh in summary.empty:
        cli.complain("empty", f"{mesh}: no voxel is occupied; --mode solid keeps thin parts")
    for error in summary.failed:
        cli.complain("failed", cli.advised(error, ADVICE))
    print(
        f"{summary.converted} converted, {summary.already_there} already there (left as they are), "
        f"{len(summary.failed)} failed"
    )


if __name__ == "__main__":
    sys.exit(main())
