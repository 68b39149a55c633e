"""Render an .obj model to a picture through Blender, an optional step of the tutorial.

    cd render
    python render_class_view.py -m ../models/1000.obj -o test.png -b blender

Blender 3.3 or later (https://www.blender.org) renders on the processor; no display is needed. The background
of the picture is transparent.
"""

import argparse
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a mere checkout

from rasgan import cli
from rasgan.errors import UserError
from rasgan.files import atomic_path

SCENE = Path(__file__).resolve().with_name("scene.py")
SCENE_FAILED = 9
"""Blender's exit code when the scene raises; without asking for one that would be 0."""


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-m", "--model_file", "--model-file", type=Path, required=True, metavar="OBJ", help="the .obj model")
    add(
        "-b",
        "--blender_path",
        "--blender-path",
        required=True,
        metavar="BLENDER",
        help='the Blender program: its path, for example "C:/Program Files/Blender Foundation/Blender/'
        'blender.exe", or its name where it can be found by that',
    )
    angle = {"type": finite, "metavar": "DEG"}
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
        default=Path("demo_img.png"),
        metavar="PNG",
        help="the picture to write (default: demo_img.png)",
    )
    add("--samples", type=whole, default=64, metavar="N", help="light paths a pixel (default: 64)")
    add("--size", type=whole, default=600, metavar="PIXELS", help="edge of the picture (default: 600)")
    add(
        "--color",
        type=hex_color,
        default="#e7e7e7",
        metavar="#RRGGBB",
        help="of the model (default: #e7e7e7)",
    )
    add(
        "--framing",
        choices=("middle", "original"),
        default="middle",
        help="look at the middle of the model, or where the original looked, which is beside it "
        "(default: middle)",
    )
    return parser


def finite(text: str) -> float:
    """Read a finite number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def whole(text: str) -> int:
    """Read a whole number from 1 to 65,536, the longest edge that Blender renders."""
    number = int(text)
    if not 1 <= number <= 65_536:
        raise ValueError
    return number


def hex_color(text: str) -> list[float]:
    """Read #RRGGBB as red, green and blue, 0 to 1."""
    digits = text.removeprefix("#")
    if len(digits) != 6:
        raise ValueError
    return [byte / 255 for byte in bytes.fromhex(digits)]


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Check the model, start Blender, check and move the picture."""
    args = build_parser().parse_args(argv)
    output = args.output_img if args.output_img.suffix else args.output_img.with_suffix(".png")
    if output.suffix.lower() != ".png":
        raise UserError(f"{output}: the picture is a PNG; give a name that ends in .png.")
    blender = find_program(args.blender_path)
    check_has_faces(args.model_file)
    # Blender expands some characters of a path, braces among them, so it renders to a plain name.
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        picture = Path(folder) / "picture.png"
        options = {
            "model": str(args.model_file.resolve()),
            "output": str(picture),
            **{name: getattr(args, name) for name in ("azimuth", "elevation", "tilt", "distance")},
            **{name: getattr(args, name) for name in ("samples", "size", "color", "framing")},
        }
        run_blender(blender, options)
        with atomic_path(output) as temporary:
            shutil.copyfile(picture, temporary)
    print(f"wrote {output}")
    return 0


def find_program(name: str) -> str:
    """Give the full path of a program named by its path or found on PATH."""
    if Path(name).is_dir():
        raise UserError(f"{name}: a folder; give the Blender program in it with -b.")
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"{name}: no such program; install Blender (https://www.blender.org) and give its path with -b."
        )
    return str(Path(found).absolute())  # not resolved: a launcher may go by the name of its link


def check_has_faces(model: Path) -> None:
    """Refuse a model without faces before Blender starts, which may render nothing without a word."""
    with model.open("rb") as lines:
        if not any(line.startswith((b"f ", b"f\t")) for line in lines):
            raise UserError(
                f"{model}: holds no faces, so there is nothing to render; convert the shape again."
            )


def run_blender(blender: str, options: dict) -> None:
    """Render the scene in Blender, with `options` as scene.py reads them, and make sure of the picture."""
    command = [blender, "--background", "--factory-startup"]
    command += ["--python-exit-code", str(SCENE_FAILED), "--python", str(SCENE)]  # in this order
    # ASCII only: a path in any script survives any locale.
    command += ["--", json.dumps(options, ensure_ascii=True)]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    try:
        ended = subprocess.run(  # noqa: S603 - an argument list
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise UserError(
            f"{blender}: cannot be started ({error.strerror}); give Blender's path with -b."
        ) from error
    if ended.returncode == SCENE_FAILED:
        raise UserError(f"Blender could not render {options['model']}.{last_lines(ended.stdout)}")
    if ended.returncode != 0:
        problem = f"ended with exit code {ended.returncode}"
    elif not is_picture(Path(options["output"]), options["size"]):
        problem = "ended without writing the picture"
    else:
        return
    raise UserError(f"{blender}: {problem}; is it Blender 3.3 or later?{last_lines(ended.stdout)}")


def last_lines(output: str, count: int = 5) -> str:
    """Quote the end of what a program printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()][-count:]
    return " Its last lines:\n  " + "\n  ".join(lines) if lines else " It printed nothing."


def is_picture(path: Path, size: int) -> bool:
    """Tell whether a file is a whole PNG of `size` x `size` pixels."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", size, size)
    return data.startswith(header) and b"IEND" in data[-12:]


if __name__ == "__main__":
    sys.exit(main())
