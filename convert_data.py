"""Convert meshes to voxel grids, the third step of the tutorial.

    python convert_data.py -m ModelNet10/chair

writes a .raw file of 64 x 64 x 64 voxels beside every mesh in the folder and its subfolders, as Binvox
would. A hidden file beside them, .conversion.json, records the options.
With -b, the original Binvox program is used instead.
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.data.conversion import ConversionOptions, ConversionSummary, convert_folder, describe_skipped
from rasgan.data.meshes import SUFFIXES, UP_AXES
from rasgan.data.voxelize import MODES
from rasgan.runs import RunFolder
from rasgan.training.config import SHORT_BATCH, SHORT_STEPS, SHORT_TIME
from rasgan.voxels import RESOLUTIONS

DEFAULT_BATCH, MOST_EPOCHS = 24, 500
"""The README's training without a GPU, measured in docs/time-and-disk.md."""

ADVICE = {
    "binvox": "Or leave out -b: the built-in voxelizer needs no other program.",
    "memory": "Or use fewer --jobs.",
    "not writable": "Or write the grids to another folder with --output.",
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
    text = "where the grids go, in the same subfolders as the meshes (default: beside the meshes)"
    add("-o", "--output", type=Path, metavar="FOLDER", help=text)
    text = (
        "binvox: fill as Binvox does by default, which may lose parts thinner than a voxel; "
        f"exact: the surface only; solid: the surface and the inside, no part is lost {default}"
    )
    add("--mode", choices=MODES, default="binvox", help=text)
    text = "center the shorter sides in the grid; otherwise they start at index 0, as in Binvox"
    add("--center", action="store_true", help=text)
    add("--resolution", type=int, choices=RESOLUTIONS, default=64, help=f"voxels per side {default}")
    text = "which axis of the meshes points up (default: y for .glb and .gltf, as glTF has it, else z)"
    add("--up", choices=UP_AXES, help=text)
    text = "number of processes (default: one for each core)"
    add("-j", "--jobs", type=cli.positive, metavar="N", help=text)
    text = "convert all meshes again (default: skip those whose grids exist)"
    add("--overwrite", action="store_true", help=text)
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Convert the folder and report; exit code 1 if any mesh failed."""
    args = build_parser().parse_args(argv)
    options = ConversionOptions(args.resolution, args.mode, args.center, args.up, args.binvox_binary)
    typed = cli.command_line("python", "convert_data.py", *(sys.argv[1:] if argv is None else argv))
    again = f"{typed} --overwrite"
    escaped = again.replace("{", "{{").replace("}", "}}")
    resumes = {} if args.overwrite else {cli.STOPPED: "To continue, type the same command again."}
    others = f"To convert them again, type:\n  {escaped}"
    with cli.advising({**ADVICE, **resumes, "other options": others}):
        summary = convert_folder(
            args.model_dir, options, args.jobs, args.overwrite, show_progress, args.output
        )
    report(summary)
    if summary.empty and options.mode == "binvox":
        cli.say(f"Binvox's rule loses thin parts. To keep them in all grids, type:\n  {again} --mode solid")
    if summary.converted + summary.already_there > len(summary.empty):
        print_next(args.output or args.model_dir, options)
    return 1 if summary.failed else 0


def show_progress(outcomes: Iterable, total: int, unit: str) -> Iterable:
    """Show a bar on a terminal, and one line elsewhere."""
    if cli.shows_bars():
        return tqdm(outcomes, total=total, unit=unit)
    what = "Converting" if unit == "mesh" else "Checking existing grids:"
    print(f"{what} {cli.counted(total, 'file')} ...", file=sys.stderr, flush=True)
    return outcomes


def report(summary: ConversionSummary) -> None:
    """Print the counts on stdout, and what needs attention on stderr."""
    for mesh in sorted(summary.empty):
        cli.complain("empty", f"{mesh}: no voxel is occupied")
    for note in sorted({note for _, note in summary.notes}):
        meshes = sorted(mesh for mesh, its_note in summary.notes if its_note == note)
        cli.complain("note", f"{named(meshes)}: {note}")
    if summary.unknown:
        fault = "the options of the existing grids are unknown; --overwrite converts them again"
        cli.complain("kept", f"{named(summary.unknown)}: {fault}")
    if summary.skipped:
        cli.complain("skipped", f"{describe_skipped(summary.skipped)}.")
    for error in summary.failed:
        cli.complain("failed", cli.advised(error, ADVICE))
    print(
        f"{summary.converted} converted, {summary.already_there} already there (skipped), "
        f"{len(summary.empty)} empty, {len(summary.failed)} failed"
    )


def named(paths: Sequence[Path]) -> str:
    """Return the first file and the number of others."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {cli.counted(len(paths) - 1, 'other')}"


def print_next(folder: Path, options: ConversionOptions) -> None:
    """Print the README's three commands for training, for the grids below `folder`."""
    data = folder / "train" if any((folder / "train").rglob("*.raw")) else folder
    count = sum(1 for _ in data.rglob("*.raw"))
    kind = re.sub(r"[^\w-]+", "-", folder.resolve().name)[:40] or "run"
    names = (f"{kind}-{number}" for number in itertools.count(1))
    name = next(name for name in names if not RunFolder(name).checkpoints.exists())
    train = ["train_rasgan.py", "-n", name, "-d", data]
    train += ["--resolution", options.resolution] if options.resolution != 64 else []
    few = ["-b", count] if count < DEFAULT_BATCH else []
    epochs = min(MOST_EPOCHS, max(1, round(SHORT_STEPS * SHORT_BATCH / count)))
    cpu = ["--width", 64, "-b", min(SHORT_BATCH, count), "-e", epochs]
    time = f", {SHORT_TIME}" if options.resolution == 64 and epochs < MOST_EPOCHS else ""
    print(f"The grids are the .raw files in {folder}. To train, type one of these commands.")
    for title, words in (
        (f"Without a GPU{time}", ["--recipe", "stable", *cpu]),
        ("With a GPU", ["--recipe", "stable", "-e", 500, "--every", 10, *few]),
        ("With a GPU, by the tutorial's settings", ["-e", 2500, "-glr", "0.0025", "-dlr", "0.00003", *few]),
    ):
        cli.say(f"{title}:\n  {cli.command_line('python', *train, *words)}")


if __name__ == "__main__":
    sys.exit(main())
