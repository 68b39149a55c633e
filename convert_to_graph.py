"""Draw generated shapes as 3-D scatter plots, an optional step of the tutorial.

python convert_to_graph.py -n chair-1
python convert_to_graph.py -f savepoint/chair-1/1000.npy -c 0
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.exports import add_options, export_all, run_grids, target_of
from rasgan.figures import draw_scatter
from rasgan.files import read_voxels
from rasgan.runs import RunFolder

COLORMAPS = ("copper", "viridis", "plasma", "winter", "cool", "ocean", "inferno", "coolwarm")


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, ".png", "3D_graphs")
    parser.add_argument(
        "-c",
        "--colormap",
        type=int,
        choices=range(len(COLORMAPS)),
        default=1,
        metavar=f"0..{len(COLORMAPS) - 1}",
        help=", ".join(f"{number} {name}" for number, name in enumerate(COLORMAPS))
        + " (default: %(default)s)",
    )
    parser.add_argument(
        "--title", action="store_true", help="write the epoch, or else the file's name, above each plot"
    )
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the file or the run; exit code 1 if a grid of the run could not be read."""
    args = build_parser().parse_args(argv)

    def export(source: Path, target: Path) -> None:
        title = title_of(source) if args.title else None
        draw_scatter(target, read_voxels(source), title, COLORMAPS[args.colormap], args.threshold)

    if args.file is not None:
        target = target_of(args.file, Path("3D_graphs"), ".png")
        export(args.file, target)
        print(f"wrote {target}")
        show(target)
        return 0

    run = RunFolder(args.name).existing()
    summary = export_all(tqdm(run_grids(run), disable=None, unit="plot"), run.graphs, ".png", export)
    for sentence in summary.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    print(f"{run.graphs}: {len(summary.written)} drawn, {summary.already_there} already there, ", end="")
    print(f"{len(summary.failed)} failed")
    if summary.already_there and not summary.written:
        print(f"To draw them again, rename or remove {run.graphs} first.")
    return 1 if summary.failed else 0


def title_of(source: Path) -> str:
    """Name the epoch that a file holds; training names its files by the epoch."""
    return f"epoch {int(source.stem)}" if source.stem.isdecimal() else source.stem


def show(picture: Path) -> None:
    """Open a picture in the system's viewer if there is a display and a viewer; else do nothing."""
    if sys.platform == "win32":
        os.startfile(picture)  # noqa: S606 - the file we have just written
        return
    if sys.platform == "darwin":
        viewer = None if "SSH_CONNECTION" in os.environ else shutil.which("open")
    else:
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        viewer = shutil.which("xdg-open") if has_display else None
    if viewer:
        subprocess.Popen(  # noqa: S603 - an argument list; the viewer goes on after we end
            [viewer, str(picture.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


if __name__ == "__main__":
    sys.exit(main())
