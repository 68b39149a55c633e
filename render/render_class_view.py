"""Render .obj models to pictures through Blender, an optional step of the tutorial.

    cd render
    python render_class_view.py -m ../models/1000.obj -o test.png -b blender
    python render_class_view.py -m ../models/1000.obj -o test.gif -b blender --turntable 36
    python render_class_view.py -n chair-1 -b blender

Blender 3.3 or later (https://www.blender.org) renders on the processor; no display is needed. Instead of it,
-b takes a Python with the package bpy. Pictures have a transparent background, turntables a white one.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

try:
    from rasgan import cli
except ModuleNotFoundError as error:
    if error.name != "rasgan":
        raise
    project = Path(__file__).resolve().parents[1]
    sys.exit(f'error: the package rasgan is not installed; type: python -m pip install -e "{project}"')

from tqdm import tqdm

import blender_process
from rasgan.data.meshes import LARGEST_FILE
from rasgan.errors import UserError, describe_os_error
from rasgan.files import check_is_file
from view_pictures import Color, write_picture, write_turntable
from view_targets import folder_targets, one_target, run_targets

RENDERS = "renders"


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-m",
        "--model_file",
        "--model-file",
        type=Path,
        nargs="+",
        action="extend",
        metavar="OBJ",
        help="the .obj model, or several",
    )
    source.add_argument(
        "-n",
        "--name",
        metavar="RUN",
        help="training run: every savepoint/RUN/models/EPOCH.obj becomes savepoint/RUN/renders/EPOCH.png; "
        "what is there already is left as it is. The folder savepoint is looked for in the current folder, "
        "then in the one above",
    )
    add(
        "-b",
        "--blender_path",
        "--blender-path",
        required=True,
        metavar="BLENDER",
        help='the Blender program: its path, for example "C:/Program Files/Blender Foundation/Blender/'
        'blender.exe", or its name where it can be found by that; or a Python with the package bpy',
    )
    angle = {"type": cli.real, "metavar": "DEG"}
    add("-a", "--azimuth", default=50.0, help="round the model, degrees (default: 50)", **angle)
    add("-e", "--elevation", default=30.0, help="above the horizon, degrees (default: 30)", **angle)
    add("-t", "--tilt", default=0.0, help="turns the picture clockwise, degrees (default: 0)", **angle)
    add(
        "-d",
        "--distance",
        type=cli.positive_real,
        default=2.0,
        metavar="D",
        help="from the camera to what it looks at; a shape of 64 voxels is 0.64 long (default: 2.0)",
    )
    add(
        "-o",
        "--output_img",
        "--output-img",
        type=Path,
        metavar="FILE",
        help="the picture to write (default: demo_img.png, with --turntable demo_img.gif); for several "
        "models the folder (default: renders), in which each picture has its model's name",
    )
    add(
        "--turntable",
        type=views,
        metavar="N",
        help="write a GIF that turns round the model in N views, 2 to 120, the first from --azimuth",
    )
    add("--samples", type=pixels, default=64, metavar="N", help="light paths a pixel (default: 64)")
    add("--size", type=pixels, default=600, metavar="PIXELS", help="edge of the picture (default: 600)")
    add(
        "--color",
        type=hex_color,
        default="#e7e7e7",
        metavar="#RRGGBB",
        help="of the model (default: #e7e7e7)",
    )
    add(
        "--background",
        type=hex_color,
        metavar="#RRGGBB",
        help="behind the model (default: transparent, with --turntable white)",
    )
    add(
        "--framing",
        choices=("middle", "original"),
        default="middle",
        help="look at the middle of the model, or where the original looked, which is beside it "
        "(default: middle)",
    )
    return parser


def pixels(text: str) -> int:
    """Parse an option's whole number from 1 to 65,535, the longest edge of a GIF (argparse type)."""
    return cli.number(int, at_least=1, at_most=65_535)(text)


def views(text: str) -> int:
    """Parse an option's whole number from 2 to 120: of more, each would be shown for less than 1/30 s."""
    return cli.number(int, at_least=2, at_most=120)(text)


def hex_color(text: str) -> Color:
    """Parse an option's #RRGGBB (argparse type)."""
    digits = text.removeprefix("#")
    if len(digits) != 6:
        raise ValueError
    return tuple(bytes.fromhex(digits))


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Render what is asked for; exit code 1 if a model could not be rendered."""
    args = build_parser().parse_args(argv)
    suffix = ".gif" if args.turntable else ".png"
    is_one = args.name is None and len(args.model_file) == 1
    if is_one:
        target = one_target(args.output_img or Path("demo_img"), suffix)
        render({args.model_file[0]: target}, args, stop)
        print(f"wrote {target}")
        return 0

    if args.name is None:
        targets = missing = folder_targets(args.model_file, args.output_img or Path(RENDERS), suffix)
    else:
        targets = run_targets(args.name, args.output_img, suffix)
        missing = {model: target for model, target in targets.items() if not target.exists()}
    written = render(missing, args, complain)
    failed = len(missing) - written
    folder = next(iter(targets.values())).parent
    print(f"{folder}: {written} written, {len(targets) - len(missing)} already there, {failed} failed")
    return 1 if failed else 0


def complain(problem: str) -> None:
    """Print what is wrong with one of several models, above the progress bar."""
    tqdm.write(f"failed: {cli.printable(problem)}", file=sys.stderr)


def stop(problem: str) -> NoReturn:
    """Raise what is wrong with the only model."""
    raise UserError(problem)


def render(targets: dict[Path, Path], args: argparse.Namespace, fail: Callable[[str], object]) -> int:
    """Render each model to its picture; return how many were written; `fail` takes why another was not."""
    program = blender_process.find_program(args.blender_path)
    models = [model for model in targets if has_faces(model, fail)]
    if not models:
        return 0
    count = args.turntable or 1
    job = {
        "azimuths": [args.azimuth + 360 * view / count for view in range(count)],
        "view": (args.elevation, args.tilt, args.distance),
        "color": [channel / 255 for channel in args.color],
        **{name: getattr(args, name) for name in ("samples", "size", "framing")},
    }
    total = len(models) * count
    written = 0
    with (
        tqdm(total=total, disable=None if total > 1 else True, unit="picture") as bar,
        contextlib.closing(
            blender_process.render(blender_process.scene_command(program), models, job, bar.update)
        ) as results,
    ):
        for index, result in results:
            model = models[index]
            if isinstance(result, str):
                fail(result)
                continue
            if args.turntable:
                write_turntable(result, targets[model], args.background)
            else:
                write_picture(result[0], targets[model], args.background)
            written += 1
    return written


def has_faces(model: Path, fail: Callable[[str], object]) -> bool:
    """Return whether a model can be read and has faces, or `fail`: Blender may render nothing silently."""
    try:
        check_is_file(model)
        if model.stat().st_size > LARGEST_FILE:
            raise UserError(
                f"{model}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first."
            )
        with model.open("rb") as lines:
            if any(line.startswith((b"f ", b"f\t")) for line in lines):
                return True
    except UserError as error:
        fail(str(error))
    except OSError as error:
        fail(describe_os_error(error))
    else:
        fail(f"{model}: holds no faces, so there is nothing to render; convert the shape again.")
    return False


if __name__ == "__main__":
    sys.exit(main())
