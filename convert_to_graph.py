"""Draw generated shapes, an optional step of the tutorial: 3-D scatter plots, a sheet or a film.

For example:

    python convert_to_graph.py -n chair-1
    python convert_to_graph.py -f savepoint/chair-1/1000.npy -c 0
    python convert_to_graph.py -n chair-1 --sheet --epochs 2500-2900
    python convert_to_graph.py -n chair-1 --gif
"""

if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rasgan import cli
from rasgan.export import batch
from rasgan.export.gif import draw_film
from rasgan.export.plots import contact_sheet, draw_scatter
from rasgan.runs import RunFolder

COLORMAPS = ("copper", "viridis", "plasma", "winter", "cool", "ocean", "inferno", "coolwarm")
GRAPHS = Path("3D_graphs")
SHEET = (2, 5)
LARGEST_SHEET = 20  # rows, and columns
MOST_FRAMES = 120
FILM_MS = 10_000
SLOWEST_FRAME_MS = 500


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    cli.add_grid_options(parser, GRAPHS.name, ".png")
    add = parser.add_argument
    text = "only the shapes of these epochs, for example 2500-2900"
    add("--epochs", type=epoch_range, metavar="A-B", help=text)
    colors = range(len(COLORMAPS))
    text = ", ".join(f"{number} {COLORMAPS[number]}" for number in colors) + " (default: 1)"
    add("-c", "--colormap", type=int, choices=colors, metavar=f"0..{colors[-1]}", help=text)
    text = "write the epoch, or the name of the file, above each plot"
    add("--title", action="store_true", help=text)

    instead = parser.add_argument_group("instead of a plot of every shape")
    kind = instead.add_mutually_exclusive_group()
    text = "a shaded picture of randomly chosen shapes in order (default: 2x5): savepoint/RUN/sheet.png"
    size = {"type": rows_by_columns, "metavar": "ROWSxCOLUMNS"}
    kind.add_argument("--sheet", nargs="?", const=SHEET, help=text, **size)
    text = f"a film of all shapes in order, {MOST_FRAMES} at most: savepoint/RUN/training.gif"
    kind.add_argument("--gif", action="store_true", help=text)
    text = "seed of the random choice for the sheet (default: %(default)s)"
    instead.add_argument("--seed", type=cli.whole_number, default=0, help=text)
    return parser


def epoch_range(text: str) -> tuple[int, int]:
    """Parse "2500-2900" or a single epoch (argparse type)."""
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text, re.ASCII)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"must be like 2500-2900, the lower epoch first: {text}")
    return int(match[1]), int(match[2] or match[1])


def rows_by_columns(text: str) -> tuple[int, int]:
    """Parse "2x5" (argparse type)."""
    match = re.fullmatch(r"(\d{1,3})[xX](\d{1,3})", text, re.ASCII)
    if match is None or not all(0 < int(number) <= LARGEST_SHEET for number in match.groups()):
        raise argparse.ArgumentTypeError(f"must be like 2x5, {LARGEST_SHEET}x{LARGEST_SHEET} at most: {text}")
    return int(match[1]), int(match[2])


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Draw a file, a folder or a run; exit code 1 if a grid could not be read."""
    parser = build_parser()
    args = parser.parse_args(argv)
    is_overview = args.sheet or args.gif
    if is_overview and (args.colormap is not None or args.title):
        parser.error("-c and --title cannot be combined with --sheet or --gif")
    shapes = find_shapes(args)
    return draw_overview(args, shapes) if is_overview else draw_plots(args, shapes)


def find_shapes(args: argparse.Namespace) -> list[batch.Shape]:
    """List the shapes to draw, in order."""
    if args.file is None:
        run = RunFolder(args.name).existing()
        shapes = batch.shapes_in(batch.film_grids(run) if args.gif else batch.run_grids(run))
    else:
        shapes = batch.shapes_of(args.file)
    with cli.advising({"epochs": "Change --epochs or leave it out."}):
        return shapes if args.epochs is None else batch.of_epochs(shapes, *args.epochs)


def draw_plots(args: argparse.Namespace, shapes: list[batch.Shape]) -> int:
    """Draw a plot of every shape and return the exit code; existing plots of a run or folder are skipped."""
    colormap = COLORMAPS[1 if args.colormap is None else args.colormap]

    def export(shape: batch.Shape, target: Path) -> None:
        title = shape.label if args.title else None
        draw_scatter(target, shape.read(), title, colormap, args.threshold)

    is_file = args.file is not None and not args.file.is_dir()
    folder = RunFolder(args.name).graphs if args.file is None else batch.results_of(args.file, GRAPHS)
    bar = tqdm(shapes, disable=None, unit="plot")
    summary = batch.export_all(bar, folder, ".png", export, replace=is_file)
    if is_file and len(shapes) == 1:
        cli.show(cli.tell_only_export(summary))
        return 0
    return cli.tell_exports(summary, folder, "drawn")


def draw_overview(args: argparse.Namespace, shapes: list[batch.Shape]) -> int:
    """Draw the sheet or the film and return the exit code; shapes that cannot be read are left out."""
    rows, columns = args.sheet or SHEET
    shown = batch.spread(shapes, MOST_FRAMES) if args.gif else batch.choose(shapes, rows * columns, args.seed)
    labels, grids, failed = batch.read_labeled(shown, args.threshold)
    for error in failed:
        cli.complain("failed", str(error))
    epochs = "" if args.epochs is None else "-{}-{}".format(*args.epochs)
    if args.file is None:
        name = f"training{epochs}.gif" if args.gif else f"sheet{epochs}.png"
        target = RunFolder(args.name).savepoints / name
    else:
        target = GRAPHS / f"{batch.source_name(args.file)}{epochs}{'.gif' if args.gif else '-sheet.png'}"
    if args.gif:
        frame_ms = min(SLOWEST_FRAME_MS, round(FILM_MS / len(grids), -1))
        draw_film(target, batch.bar(grids, "frames"), labels, int(frame_ms))
    else:
        is_full = len(grids) == rows * columns  # fewer shapes are arranged in a square
        contact_sheet(target, grids, columns if is_full else None, labels)
    print(f"wrote {target}: {len(grids)} of {len(shapes)} shapes")
    if args.file is not None:
        cli.show(target)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
