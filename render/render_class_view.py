"""Render .obj models to pictures through Blender, an optional step of the tutorial.

    cd render
    python render_class_view.py -m ../models/1000.obj -o test.png -b blender
    python render_class_view.py -m ../models/1000.obj -b blender --turntable 36
    python render_class_view.py -n chair-1 -b blender

Blender 3.3 or later (https://www.blender.org) renders on the CPU; no display is needed. Pictures have a
transparent background, turntables a white one.
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
from pictures import Color, framing, write_picture, write_turntable
from rasgan import cli
from rasgan.data.meshes import LARGEST_FILE
from rasgan.errors import UserError
from rasgan.files import check_is_file
from rasgan.runs import SAVEPOINTS, RunFolder, by_epoch
from rasgan.voxel_io import VOXEL_SUFFIXES

RENDERS = Path("renders")
LEAST_SHARE = 0.02  # of the picture: a model that covers less can hardly be seen
SMALL = 0.7  # of the picture's edge: a model that is no longer than this could fill more of it


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
        "existing pictures are skipped. The folder savepoint is looked for here, then one folder up",
    )
    add = parser.add_argument
    add(
        "-b",
        "--blender_path",
        "--blender-path",
        required=True,
        metavar="BLENDER",
        help='the Blender program: its path, for example "C:/Program Files/Blender Foundation/Blender/'
        'blender.exe", or its name if it is on the PATH',
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
    add(
        "--turntable",
        type=cli.number(int, at_least=2, at_most=120),  # of more views, each would be shown for under 1/30 s
        metavar="N",
        help="write a GIF that turns round the model in N views, 2 to 120, the first from --azimuth",
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
    targets = find_targets(args)
    is_single = args.name is None and len(targets) == 1
    missing = {model: target for model, target in targets.items() if args.name is None or not target.exists()}
    failed = 0
    for problem in render(missing, args):
        if is_single:
            raise UserError(problem)
        tqdm.write(f"failed: {cli.printable(problem)}", file=sys.stderr)  # above the progress bar
        failed += 1
    if is_single:
        print(f"wrote {targets[args.model_file[0]]}")
        return 0
    folder, there = next(iter(targets.values())).parent, len(targets) - len(missing)
    print(f"{folder}: {len(missing) - failed} written, {there} already there, {failed} failed")
    return 1 if failed else 0


def find_targets(args: argparse.Namespace) -> dict[Path, Path]:
    """Map each model that is asked for to its picture."""
    suffix = ".gif" if args.turntable else ".png"
    if args.name is not None:
        return run_targets(args.name, args.output_img, suffix)
    if len(args.model_file) > 1:
        return folder_targets(args.model_file, args.output_img or RENDERS, suffix)
    return {args.model_file[0]: one_target(args.output_img or Path("demo_img"), suffix)}


def one_target(output: Path, suffix: str) -> Path:
    """Return the picture of one model: `output`, with `suffix` (``.png`` or ``.gif``) where it has none."""
    target = output if output.suffix else output.with_suffix(suffix)
    if target.suffix.lower() != suffix:
        kind = "a PNG" if suffix == ".png" else "a GIF with --turntable"
        raise UserError(f"{target}: the picture is {kind}; give a name that ends in {suffix}.")
    return target


def folder_targets(models: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Map each of several models to its picture in a folder, which has the model's name."""
    if folder.suffix.lower() in (".png", ".gif") or folder.is_file():
        raise UserError(f"{folder}: there are several models, so give -o a folder for their pictures.")
    targets = {model: folder / f"{model.stem}{suffix}" for model in models}
    owners = {}
    for model, target in targets.items():
        other = owners.setdefault(target.name.casefold(), model)  # some systems take A and a for the same
        if other != model:
            raise UserError(f"{other} and {model} would share {target}; render them one after the other.")
    return targets


def run_targets(name: str, folder: Path | None, suffix: str) -> dict[Path, Path]:
    """Map the models of a run, by epoch, to their pictures, in `folder` or else in the run's own for renders.

    The run is looked for in the current folder, or, where that has no runs, in the one above: the tutorial
    renders from the folder ``render``. UserError if there is no such run or no model in it.
    """
    above = Path("..")
    is_above = not SAVEPOINTS.is_dir() and (above / SAVEPOINTS).is_dir()
    run = RunFolder(name, base=above if is_above else Path()).existing()
    models = [path for path in run.models.glob("*.obj") if not path.name.startswith(".")]
    if not models:
        raise UserError(f"{run.models}: holds no .obj file yet; run convert_to_obj.py -n {name} first.")
    return folder_targets(sorted(models, key=by_epoch), folder or run.renders, suffix)


def render(targets: dict[Path, Path], args: argparse.Namespace) -> Iterator[str]:
    """Render each model to its picture; yield why a model cannot be rendered."""
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
    count = args.turntable or 1
    job = {
        "azimuths": [args.azimuth + 360 * view / count for view in range(count)],
        "view": (args.elevation, args.tilt),
        "color": [channel / 255 for channel in args.color],
        **{name: getattr(args, name) for name in ("distance", "samples", "size")},
        "shadow": bool(args.turntable or args.background) if args.shadow is None else args.shadow,
    }
    total, has_advised = len(models) * count, args.distance is not None
    with (
        tqdm(total=total, disable=None if total > 1 else True, unit="picture") as bar,
        contextlib.closing(blender_process.render(program, models, job, bar.update)) as results,
    ):
        for model, result, lost in results:
            if isinstance(result, str):
                yield result
                continue
            if args.turntable:
                write_turntable(result, targets[model], args.background)
            else:
                write_picture(result[0], targets[model], args.background)
            share, extent, is_cut = framing(result)
            for odd in describe_faults(model, lost, share, is_cut, args.distance == "fit"):
                tqdm.write(cli.printable(f"warning: {targets[model]}: {odd}"), file=sys.stderr)
            if share >= LEAST_SHARE and extent <= SMALL and not has_advised:
                tqdm.write("To fill the picture, add -d fit", file=sys.stdout)
                has_advised = True


def describe_faults(model: Path, lost: int, share: float, is_cut: bool, is_fitted: bool) -> Iterator[str]:
    """Yield what is wrong with the pictures of a model: `lost` faces, and what `framing` returns."""
    if lost:
        yield f"Blender left out {cli.counted(lost, 'face')} of {model}; check the picture."
    if is_cut and not is_fitted:
        yield "the model goes beyond the edge of the picture; type -d fit, or a larger distance."
    elif share < LEAST_SHARE:
        remedy = "its parts are thin or far apart" if is_fitted else "type -d fit, or a smaller distance"
        yield f"the model covers {share:.1%} of the picture; {remedy}."


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
