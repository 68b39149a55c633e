"""Render .obj models to pictures with Blender, an optional step of the tutorial.

    cd render
    python render_class_view.py -m ../models/1000.obj -o test.png -b blender
    python render_class_view.py -m ../models/1000.obj -b blender --turntable 36
    python render_class_view.py -n chair-1 -b blender

Blender 3.3 or later (https://www.blender.org) renders on the CPU and needs no display. Pictures have a
transparent background, and turntables a white one.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # finds the package without installation
if __name__ == "__main__":
    import rasgan.startup  # noqa: F401 - before packages that may be missing

import numpy as np
from PIL import Image
from tqdm import tqdm

import blender_process
from rasgan import cli
from rasgan.data.meshes import LARGEST_FILE
from rasgan.errors import UserError
from rasgan.export.gif import WHITE, write_gif
from rasgan.files import atomic_path, check_is_file
from rasgan.runs import SAVEPOINTS, RunFolder, by_epoch

Color = tuple[int, int, int]  # red, green and blue, 0 to 255
RENDERS = Path("renders")
TURN_MS = 4000


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    several = {"type": Path, "nargs": "+", "action": "extend", "metavar": "OBJ"}
    text = "one or several .obj models"
    source.add_argument("-m", "--model_file", "--model-file", help=text, **several)
    text = (
        "training run: every savepoint/RUN/models/EPOCH.obj becomes savepoint/RUN/renders/EPOCH.png; "
        "existing pictures are skipped. The folder savepoint is searched here, then one folder up"
    )
    source.add_argument("-n", "--name", metavar="RUN", help=text)
    text = (
        'path of the Blender program, for example "C:/Program Files/Blender Foundation/Blender/'
        'blender.exe", or its name if it is on the PATH'
    )
    add("-b", "--blender_path", "--blender-path", required=True, metavar="BLENDER", help=text)
    angle = {"type": cli.real, "metavar": "DEG"}
    add("-a", "--azimuth", default=50.0, help="angle around the model in degrees (default: 50)", **angle)
    add("-e", "--elevation", default=30.0, help="angle above the horizon in degrees (default: 30)", **angle)
    add("-t", "--tilt", default=0.0, help="clockwise rotation in degrees (default: 0)", **angle)
    text = (
        "distance from the camera to the middle of the model, in the model's units, or fit, so that the "
        "model fills the picture (default: 2.0, the tutorial's, for models that are 0.33 to 0.65 long, such "
        "as shapes of 64 voxels; fit for others)"
    )
    add("-d", "--distance", type=distance, metavar="D", help=text)
    text = (
        "picture to write (default: demo_img.png, with --turntable demo_img.gif); for several models, a "
        "folder of pictures with the models' names (default: renders)"
    )
    add("-o", "--output_img", "--output-img", type=Path, metavar="FILE", help=text)
    text = "write a GIF that goes around the model in N views, 2 to 120, starting at --azimuth"
    views = cli.number(int, at_least=2, at_most=120)  # at least 1/30 s each
    add("--turntable", type=views, metavar="N", help=text)
    count = cli.number(int, at_least=1, at_most=65_535)  # the largest size of a GIF
    add("--samples", type=count, default=64, metavar="N", help="light paths per pixel (default: 64)")
    add("--size", type=count, default=600, metavar="PIXELS", help="edge of the picture (default: 600)")
    color = {"type": hex_color, "metavar": "#RRGGBB"}
    add("--color", default="#e7e7e7", help="color of the model (default: #e7e7e7)", **color)
    text = (
        "background color, on which the model casts a shadow (default: transparent, with --turntable white)"
    )
    add("--background", help=text, **color)
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
    """Render all models; exit code 1 if a model could not be rendered."""
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
    """Map each model to its picture; models of a run are in the order of their epochs."""
    suffix = ".gif" if args.turntable else ".png"
    models, folder = args.model_file, args.output_img or RENDERS
    if args.name is not None:
        above = Path("..")  # the tutorial renders from the folder render
        is_above = not SAVEPOINTS.is_dir() and (above / SAVEPOINTS).is_dir()
        run = RunFolder(args.name, base=above if is_above else Path()).existing()
        models = sorted(run.models.glob("[!.]*.obj"), key=by_epoch)
        folder = args.output_img or run.renders
        if not models:
            command = cli.command_line("python", "convert_to_obj.py", "-n", args.name)
            raise UserError(f"{run.models}: contains no .obj file. First type: {command}")
    elif len(models) == 1:
        target = args.output_img or Path("demo_img")
        target = target if target.suffix else target.with_suffix(suffix)
        if target.suffix.lower() != suffix:
            raise UserError(f"{target}: cannot be written; give -o a name that ends in {suffix}.")
        return {models[0]: target}
    if folder.suffix.lower() in (".png", ".gif") or folder.is_file():
        raise UserError(f"{folder}: not a folder; with several models, give -o a folder for the pictures.")
    targets = {model: folder / f"{model.stem}{suffix}" for model in models}
    if len({target.name.casefold() for target in targets.values()}) < len(targets):
        raise UserError(f"{folder}: two models have the same name; render them separately.")
    return targets


def render(targets: dict[Path, Path], args: argparse.Namespace) -> Iterator[str]:
    """Render each model to its picture; yield the reason for each model that cannot be rendered."""
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
    background = args.background or (WHITE if args.turntable else None)
    job = {
        "azimuths": [args.azimuth + 360 * view / count for view in range(count)],
        "view": (args.elevation, args.tilt),
        "color": [channel / 255 for channel in args.color],
        **{name: getattr(args, name) for name in ("distance", "samples", "size")},
        "shadow": background is not None,
    }
    total, frames = len(models) * count, []
    with (
        tqdm(total=total, disable=None if total > 1 else True, unit="picture") as bar,
        contextlib.closing(blender_process.render(args.blender_path, models, job)) as views,
    ):
        for model, view, lost in views:
            if isinstance(view, str):
                frames.clear()
                yield view
                continue
            frames.append(on_background(view, background))
            bar.update()
            if len(frames) < count:
                continue
            write(frames, targets[model], background, bool(args.turntable))
            frames.clear()
            if lost:
                warning = f"Blender left out {cli.counted(lost, 'face')} of {model}; check the picture."
                tqdm.write(cli.printable(f"warning: {targets[model]}: {warning}"), file=sys.stderr)


def check_faces(model: Path) -> None:
    """Raise UserError if a model is not an .obj file, is too large, or has no faces."""
    check_is_file(model)
    if model.suffix.lower() != ".obj":
        raise UserError(f"{model}: only .obj models can be rendered; make one with convert_to_obj.py.")
    if model.stat().st_size > LARGEST_FILE:
        raise UserError(f"{model}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    with model.open("rb") as lines:
        if not any(line.lstrip().startswith((b"f ", b"f\t")) for line in lines):
            raise UserError(f"{model}: contains no faces; convert the shape again.")


def on_background(view: Image.Image, background: Color | None) -> Image.Image:
    """Lay a rendered view on a background, if there is one: RGBA or RGB."""
    if background is None:
        return view
    return Image.alpha_composite(Image.new("RGBA", view.size, (*background, 255)), view).convert("RGB")


def write(frames: Sequence[Image.Image], target: Path, background: Color | None, is_turntable: bool) -> None:
    """Write the first frame as a PNG, or all frames as a GIF with an exact background."""
    if is_turntable:
        durations = [round(TURN_MS / len(frames), -1)] * len(frames)
        write_gif(target, [np.asarray(frame) for frame in frames], durations, background)
        return
    with atomic_path(target) as temporary:
        frames[0].save(temporary)


if __name__ == "__main__":
    sys.exit(main())
