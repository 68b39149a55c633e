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
from rasgan.voxel_io import VOXEL_SUFFIXES
from scene import SHADOW_SUFFIX

Color = tuple[int, int, int]  # red, green and blue, 0 to 255
RENDERS = Path("renders")
LEAST_SHARE = 0.02  # of the picture: a model that covers less can hardly be seen
SMALL = 0.7  # of the picture's edge: a model that is no longer than this could fill more of it
SHADOW_OPACITY = 0.7  # of the rendered shadow, which is as dark as lamps make it
TURN_MS = 4000


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    several = {"type": Path, "nargs": "+", "action": "extend", "metavar": "OBJ"}
    text = "the .obj model, or several"
    source.add_argument("-m", "--model_file", "--model-file", help=text, **several)
    text = (
        "training run: every savepoint/RUN/models/EPOCH.obj becomes savepoint/RUN/renders/EPOCH.png; "
        "existing pictures are skipped. The folder savepoint is looked for here, then one folder up"
    )
    source.add_argument("-n", "--name", metavar="RUN", help=text)
    text = (
        'the Blender program: its path, for example "C:/Program Files/Blender Foundation/Blender/'
        'blender.exe", or its name if it is on the PATH'
    )
    add("-b", "--blender_path", "--blender-path", required=True, metavar="BLENDER", help=text)
    angle = {"type": cli.real, "metavar": "DEG"}
    add("-a", "--azimuth", default=50.0, help="around the model, in degrees (default: 50)", **angle)
    add("-e", "--elevation", default=30.0, help="above the horizon, in degrees (default: 30)", **angle)
    add("-t", "--tilt", default=0.0, help="turn the picture clockwise, in degrees (default: 0)", **angle)
    text = (
        "from the camera to what it looks at, in the model's own units, or fit: the model fills the "
        "picture (default: 2.0, the tutorial's, for a model as long as its own, 0.33 to 0.65; a shape of 64 "
        "voxels is 0.64 long; fit for any other)"
    )
    add("-d", "--distance", type=distance, metavar="D", help=text)
    text = (
        "the picture to write (default: demo_img.png, with --turntable demo_img.gif); for several "
        "models the folder (default: renders), in which each picture has its model's name"
    )
    add("-o", "--output_img", "--output-img", type=Path, metavar="FILE", help=text)
    text = "write a GIF that turns round the model in N views, 2 to 120, the first from --azimuth"
    views = cli.number(int, at_least=2, at_most=120)  # of more, each would be shown for under 1/30 s
    add("--turntable", type=views, metavar="N", help=text)
    count = cli.number(int, at_least=1, at_most=65_535)  # the longest edge of a GIF
    add("--samples", type=count, default=64, metavar="N", help="light paths a pixel (default: 64)")
    add("--size", type=count, default=600, metavar="PIXELS", help="edge of the picture (default: 600)")
    color = {"type": hex_color, "metavar": "#RRGGBB"}
    add("--color", default="#e7e7e7", help="of the model (default: #e7e7e7)", **color)
    text = (
        "let the model cast a soft shadow on the ground; from below none is seen (default: where the "
        "background is not transparent)"
    )
    add("--shadow", action=argparse.BooleanOptionalAction, help=text)
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
    """Map each model to its picture: of a run by epoch, of several models in a folder, by their names."""
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
            raise UserError(f"{run.models}: holds no .obj file yet; type first: {command}")
    elif len(models) == 1:
        target = args.output_img or Path("demo_img")
        target = target if target.suffix else target.with_suffix(suffix)
        if target.suffix.lower() != suffix:
            kind = "a PNG" if suffix == ".png" else "a GIF with --turntable"
            raise UserError(f"{target}: the picture is {kind}; give a name that ends in {suffix}.")
        return {models[0]: target}
    if folder.suffix.lower() in (".png", ".gif") or folder.is_file():
        raise UserError(f"{folder}: there are several models, so give -o a folder for their pictures.")
    targets = {model: folder / f"{model.stem}{suffix}" for model in models}
    if len({target.name.casefold() for target in targets.values()}) < len(targets):
        raise UserError(f"{folder}: models of the same name would share a picture; render them separately.")
    return targets


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
            write(result, targets[model], args.background, bool(args.turntable))
            share, extent, is_cut = framing(result)
            for odd in describe_faults(model, lost, share, is_cut, args.distance == "fit"):
                tqdm.write(cli.printable(f"warning: {targets[model]}: {odd}"), file=sys.stderr)
            if share >= LEAST_SHARE and extent <= SMALL and not has_advised:
                tqdm.write("To fill the picture, add -d fit", file=sys.stdout)
                has_advised = True


def check_faces(model: Path) -> None:
    """Raise `UserError` if a model is not an .obj file, is huge, or has no faces."""
    check_is_file(model)
    suffix = model.suffix.lower()
    if suffix in VOXEL_SUFFIXES:
        command = cli.command_line("python", "convert_to_obj.py", "-f", model)
        raise UserError(f"{model}: a voxel grid; .obj models are rendered. Make one of it first: {command}")
    if suffix != ".obj":
        raise UserError(f"{model}: only .obj models are rendered; convert it again without --format.")
    if model.stat().st_size > LARGEST_FILE:
        raise UserError(f"{model}: larger than {LARGEST_FILE >> 20} MB; reduce its number of faces first.")
    with model.open("rb") as lines:
        if not any(line.lstrip().startswith((b"f ", b"f\t")) for line in lines):
            raise UserError(f"{model}: holds no faces; convert the shape again.")


def write(pictures: Sequence[Path], target: Path, background: Color | None, is_turntable: bool) -> None:
    """Write the rendered views to `target`: a PNG of the first, or a GIF of all, which has no soft edges."""
    if is_turntable:
        background = background or WHITE
        frames = [np.asarray(open_picture(picture, background)) for picture in pictures]
        write_gif(target, frames, [round(TURN_MS / len(frames), -1)] * len(frames), background)
        return
    with atomic_path(target) as temporary:
        open_picture(pictures[0], background).save(temporary)


def open_picture(picture: Path, background: Color | None) -> Image.Image:
    """Read a rendered picture, on the model's shadow where one was rendered, and on a flat background."""
    image = _read(picture)
    shadow = picture.with_suffix(SHADOW_SUFFIX)
    if shadow.exists():
        ground = _read(shadow)
        ground.putalpha(ground.getchannel("A").point(lambda alpha: SHADOW_OPACITY * alpha))
        image = Image.alpha_composite(ground, image)
    if background is None:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB")


def _read(picture: Path) -> Image.Image:
    with Image.open(picture) as opened:
        return opened.convert("RGBA")


def framing(pictures: Sequence[Path]) -> tuple[float, float, bool]:
    """Measure how a model lies in the rendered pictures of it.

    Returns the share of the picture that it covers and the longest side of the box round it, in picture
    edges, each where it is largest; and whether the model reaches an edge of any picture.
    """
    share, extent, is_cut = 0.0, 0.0, False
    for picture in pictures:
        alpha = _read(picture).getchannel("A")
        share = max(share, np.asarray(alpha).mean() / 255)
        if box := alpha.getbbox():
            left, top, right, bottom = box
            extent = max(extent, (right - left) / alpha.width, (bottom - top) / alpha.height)
            is_cut |= min(left, top) == 0 or right == alpha.width or bottom == alpha.height
    return share, extent, is_cut


def describe_faults(model: Path, lost: int, share: float, is_cut: bool, is_fitted: bool) -> Iterator[str]:
    """Yield what is wrong with the pictures of a model: `lost` faces, and what `framing` returns."""
    if lost:
        yield f"Blender left out {cli.counted(lost, 'face')} of {model}; check the picture."
    if is_cut and not is_fitted:
        yield "the model goes beyond the edge of the picture; type -d fit, or a larger distance."
    elif share < LEAST_SHARE:
        remedy = "its parts are thin or far apart" if is_fitted else "type -d fit, or a smaller distance"
        yield f"the model covers {share:.1%} of the picture; {remedy}."


if __name__ == "__main__":
    sys.exit(main())
