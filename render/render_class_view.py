"""Render .obj models to pictures through Blender, an optional step of the tutorial.

    cd render
    python render_class_view.py -m ../models/1000.obj -o test.png -b blender
    python render_class_view.py -m ../models/1000.obj -b blender --turntable 36
    python render_class_view.py -n chair-1 -b blender

Blender 3.3 or later (https://www.blender.org) renders on the processor; no display is needed. Instead of it,
-b takes a Python with the package bpy. Pictures have a transparent background, turntables a white one.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # of the package, installed or not
if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

from tqdm import tqdm

import blender_process
from rasgan import cli
from rasgan.data.meshes import LARGEST_FILE
from rasgan.errors import UserError
from rasgan.files import check_is_file
from rasgan.voxel_io import VOXEL_SUFFIXES
from view_pictures import Color, framing, write_picture, write_turntable
from view_targets import folder_targets, one_target, run_targets, views_of

RENDERS = "renders"
LEAST_SHARE = 0.02  # of the picture: a model that covers less can hardly be seen


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
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
        "existing files are skipped. The folder savepoint is looked for in the current folder, "
        "then in the one above",
    )
    add = parser.add_argument
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
    add("-a", "--azimuth", default=50.0, help="around the model, in degrees (default: 50)", **angle)
    add("-e", "--elevation", default=30.0, help="above the horizon, in degrees (default: 30)", **angle)
    add("-t", "--tilt", default=0.0, help="turn the picture clockwise, in degrees (default: 0)", **angle)
    add(
        "-d",
        "--distance",
        type=distance,
        metavar="D",
        help="from the camera to what it looks at, in the model's own units, or fit: the model fills the "
        "picture (default: 2.0, the tutorial's, for a model as long as its own, 0.33 to 0.65; a shape of 64 "
        "voxels is 0.64 long; fit for any other)",
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
    views = {"type": cli.number(int, at_least=2, at_most=120), "metavar": "N"}
    several = parser.add_mutually_exclusive_group()
    several.add_argument(  # of more views, each would be shown for less than 1/30 s
        "--turntable",
        help="write a GIF that turns round the model in N views, 2 to 120, the first from --azimuth",
        **views,
    )
    several.add_argument(
        "--views",
        help="write N pictures from evenly spaced sides, 2 to 120, the first from --azimuth; NAME.png "
        "becomes NAME-00.png, NAME-01.png, ...",
        **views,
    )
    count = cli.number(int, at_least=1, at_most=65_535)  # the longest edge of a GIF
    add("--samples", type=count, default=64, metavar="N", help="light paths a pixel (default: 64)")
    add("--size", type=count, default=600, metavar="PIXELS", help="edge of the picture (default: 600)")
    color = {"type": hex_color, "metavar": "#RRGGBB"}
    add("--color", default="#e7e7e7", help="of the model (default: #e7e7e7)", **color)
    add(
        "--shadow",
        action=argparse.BooleanOptionalAction,
        help="let the model cast a soft shadow on the ground; from below none is seen (default: where the "
        "background is not transparent)",
    )
    add("--background", help="behind the model (default: transparent, with --turntable white)", **color)
    add(
        "--framing",
        choices=("middle", "original"),
        default="middle",
        help="look at the middle of the model, or where the original looked, which is beside it "
        "(default: middle)",
    )
    return parser


def distance(text: str) -> float | str:
    """Parse a distance or "fit" (argparse type)."""
    return text if text == "fit" else cli.positive_real(text)


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
    if args.name is None and len(args.model_file) == 1:
        target = one_target(args.output_img or Path("demo_img"), suffix)
        targets = {args.model_file[0]: views_of(target, args.views)}
        problems = list(render(targets, args))
        if problems:
            raise UserError(problems[0])
        print(f"wrote {', '.join(map(str, targets[args.model_file[0]]))}")
        return 0

    if args.name is None:
        named = folder_targets(args.model_file, args.output_img or Path(RENDERS), suffix)
    else:
        named = run_targets(args.name, args.output_img, suffix)
    missing = targets = {model: views_of(target, args.views) for model, target in named.items()}
    if args.name is not None:
        missing = {
            model: views for model, views in targets.items() if not all(view.exists() for view in views)
        }
    failed = 0
    for problem in render(missing, args):
        tqdm.write(f"failed: {cli.printable(problem)}", file=sys.stderr)  # above the progress bar
        failed += 1
    folder, there = next(iter(named.values())).parent, len(targets) - len(missing)
    print(f"{folder}: {len(missing) - failed} written, {there} already there, {failed} failed")
    return 1 if failed else 0


def render(targets: dict[Path, list[Path]], args: argparse.Namespace) -> Iterator[str]:
    """Render each model to its pictures; yield what is wrong with each that cannot be rendered."""
    program = blender_process.find_program(args.blender_path)
    models = []
    for model in targets:
        try:
            check_faces(model)
            models.append(model)
        except (UserError, OSError) as error:
            yield cli.explain(error)
    if not models:
        return
    count = args.turntable or args.views or 1
    job = {
        "azimuths": [args.azimuth + 360 * view / count for view in range(count)],
        "view": (args.elevation, args.tilt),
        "color": [channel / 255 for channel in args.color],
        **{name: getattr(args, name) for name in ("distance", "samples", "size", "framing")},
        "shadow": bool(args.turntable or args.background) if args.shadow is None else args.shadow,
    }
    command, total = blender_process.scene_command(program), len(models) * count
    with (
        tqdm(total=total, disable=None if total > 1 else True, unit="picture") as bar,
        contextlib.closing(blender_process.render(command, models, job, bar.update)) as results,
    ):
        for model, result, lost in results:
            if isinstance(result, str):
                yield result
                continue
            if args.turntable:
                write_turntable(result, targets[model][0], args.background)
            else:
                for picture, target in zip(result, targets[model], strict=True):
                    write_picture(picture, target, args.background)
            for odd in (describe_lost(model, lost), describe_framing(result, args.distance == "fit")):
                if odd:
                    tqdm.write(cli.printable(f"warning: {targets[model][0]}: {odd}"), file=sys.stderr)


def describe_lost(model: Path, lost: int) -> str | None:
    """Return that Blender left out faces of a model; None if it left out none."""
    faces = cli.counted(lost, "face")
    return f"Blender left out {faces} of {model}; check the picture." if lost else None


def describe_framing(pictures: Sequence[Path], is_fitted: bool) -> str | None:
    """Return what is wrong with how a model lies in its pictures, and what mends it; None if nothing is."""
    shares, cut = zip(*map(framing, pictures), strict=True)
    if any(cut) and not is_fitted:
        return "the model goes beyond the edge of the picture; type -d fit, or a larger distance."
    if max(shares) >= LEAST_SHARE:
        return None
    remedy = "its parts are thin or far apart" if is_fitted else "type -d fit, or a smaller distance"
    return f"the model covers {max(shares):.1%} of the picture; {remedy}."


def check_faces(model: Path) -> None:
    """Raise `UserError` if a model is no .obj, is huge, or has no faces, of which Blender renders nothing."""
    check_is_file(model)
    suffix = model.suffix.lower()
    if suffix in VOXEL_SUFFIXES:
        command = cli.command_line("python", "convert_to_obj.py", "-f", model)
        raise UserError(f"{model}: a voxel grid; .obj models are rendered. Make one of it first: {command}")
    if suffix != ".obj":
        raise UserError(
            f"{model}: only .obj models are rendered. Convert the shape again without --format, or save "
            "a mesh of your own as .obj in the program that made it."
        )
    if model.stat().st_size > LARGEST_FILE:
        raise UserError(f"{model}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    with model.open("rb") as lines:
        if not any(line.lstrip().startswith((b"f ", b"f\t")) for line in lines):
            raise UserError(
                f"{model}: holds no faces, so there is nothing to render; convert the shape again."
            )


if __name__ == "__main__":
    sys.exit(main())
