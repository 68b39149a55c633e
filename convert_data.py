"""Convert meshes to voxel grids, the third step of the tutorial.

    python convert_data.py -m ModelNet10/chair

writes a .raw file of 64 x 64 x 64 voxels beside every mesh in the folder and its subfolders, as Binvox
would. A hidden file beside them, .conversion.json, records the options.
With -b, the original Binvox program is used.
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import collections
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.data.conversion import ConversionOptions, ConversionSummary, convert_folder, say_skipped
from rasgan.data.meshes import SUFFIXES, UP_AXES
from rasgan.data.voxelize import MODES
from rasgan.voxel_io import WRITERS
from rasgan.voxels import RESOLUTIONS

ADVICE = {
    "binvox": "Or leave out -b: the built-in voxelizer needs no other program.",
    "memory": "Or use fewer --jobs.",
    "other size": "Or use --overwrite.",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add, default = parser.add_argument, "(default: %(default)s)"
    text = f"folder of meshes ({' '.join(SUFFIXES)}), searched with its subfolders"
    add("-m", "--model_dir", "--model-dir", type=Path, required=True, metavar="FOLDER", help=text)
    text = "use Patrick Min's Binvox program instead of the built-in voxelizer"
    add("-b", "--binvox_binary", "--binvox-binary", metavar="BINVOX", help=text)
    text = (
        "binvox: as Binvox fills by default, parts thinner than a voxel may vanish; "
        f"exact: the surface only; solid: surface and inside, no part is lost {default}"
    )
    add("--mode", choices=MODES, default="binvox", help=text)
    text = "center the shorter sides in the grid instead of starting them at its edge"
    add("--center", action="store_true", help=text)
    add("--resolution", type=int, choices=RESOLUTIONS, default=64, help=f"voxels a side {default}")
    text = "which axis of the meshes points up (default: y for .glb and .gltf, as glTF has it, else z)"
    add("--up", choices=UP_AXES, help=text)
    text = f"of the voxel grids: Binvox's raw bytes or its own .binvox {default}"
    add("--format", choices=[suffix[1:] for suffix in WRITERS], default="raw", help=text)
    text = "number of processes (default: one per core)"
    add("-j", "--jobs", type=cli.positive, metavar="N", help=text)
    text = "replace existing grids (default: skip them)"
    add("--overwrite", action="store_true", help=text)
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Convert the folder and report; exit code 1 if any mesh failed."""
    args = build_parser().parse_args(argv)
    options = ConversionOptions(
        args.resolution, args.mode, args.center, args.up, args.binvox_binary, f".{args.format}"
    )
    resumes = {} if args.overwrite else {cli.STOPPED: "To continue, type the same command again."}
    with cli.advising(ADVICE | resumes):
        summary = convert_folder(args.model_dir, options, args.jobs, args.overwrite, progress=tqdm)
    report(summary, options, args.model_dir)
    if summary.converted + summary.already_there > len(summary.empty):
        train = args.model_dir / "train"
        data = train if train.is_dir() else args.model_dir
        resolution = [] if args.resolution == 64 else ["--resolution", args.resolution]
        command = cli.command_line("python", "train_rasgan.py", "-n", "NAME", "-d", data, *resolution)
        print(f"The grids are the {options.suffix} files beside the meshes. Next:\n  {command}")
    return 1 if summary.failed else 0


def report(summary: ConversionSummary, options: ConversionOptions, folder: Path) -> None:
    """Print the counts on stdout, and what is to be known of which mesh on stderr."""
    for mesh in sorted(summary.empty):
        cli.complain("empty", f"{mesh}: no voxel is occupied")
    for mesh, share in sorted(summary.stray):
        fault = "vertices far off that no face uses shrink the object"
        remedy = "delete them, then convert it again with --overwrite"
        cli.complain("stray", f"{mesh}: {fault} to {share:.0%} of the grid's side; {remedy}")
    for note, meshes in grouped(summary.notes):
        cli.complain("note", f"{named(meshes)}: {note}")
    for differs, grids in grouped(summary.other_options):
        cli.complain(
            "kept", f"{named(grids)}: made with other options ({differs}); --overwrite makes them anew"
        )
    if summary.unknown:
        fault = "it is not known with which options they were made; --overwrite makes them anew"
        cli.complain("kept", f"{named(sorted(summary.unknown))}: {fault}")
    if summary.skipped:
        cli.complain("skipped", f"{say_skipped(summary.skipped)}.")
    for error in summary.failed:
        cli.complain("failed", cli.advised(error, ADVICE))
    print(
        f"{summary.converted} converted, {summary.already_there} already there (left as they are), "
        f"{len(summary.empty)} empty, {len(summary.failed)} failed"
    )
    if summary.empty and options.mode == "binvox":
        command = cli.command_line("python", "convert_data.py", *typed(options, folder))
        print(f"Binvox's rule leaves thin parts out. To keep them in all grids:\n  {command}")


def typed(options: ConversionOptions, folder: Path) -> list[object]:
    """Return what to type for the same conversion again in the mode that leaves nothing empty."""
    words: list[object] = ["-m", folder, "--mode", "solid", "--overwrite"]
    words += ["--resolution", options.resolution] if options.resolution != 64 else []
    words += ["--center"] if options.center else []
    words += ["--up", options.up] if options.up else []
    words += ["-b", options.binvox] if options.binvox else []
    return words + (["--format", options.suffix[1:]] if options.suffix != ".raw" else [])


def grouped(pairs: Sequence[tuple[Path, str]]) -> list[tuple[str, list[Path]]]:
    """Return each text once, with all the files that it is about."""
    texts = collections.defaultdict(list)
    for path, text in sorted(pairs):
        texts[text].append(path)
    return list(texts.items())


def named(paths: Sequence[Path]) -> str:
    """Name a file, or the first of several and how many there are."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {cli.counted(len(paths) - 1, 'other')}"


if __name__ == "__main__":
    sys.exit(main())
