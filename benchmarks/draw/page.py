"""Take a screenshot of a page that shows shapes in 3D, with Chromium.

python -m benchmarks.draw.page savepoint/pretrained-chairs/generated/24/seed0.html -o docs/img/page.png
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from rasgan import cli
from rasgan.files import atomic_path

FLAGS = ["--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
FLAGS += ["--enable-unsafe-swiftshader", "--hide-scrollbars", "--virtual-time-budget=20000"]


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--chromium", default="chromium", help="Chromium's program (default: %(default)s)")
    parser.add_argument("--size", default="1200,700", help="size of the window (default: %(default)s)")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the screenshot."""
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, atomic_path(args.output) as temporary:
        shot = Path(folder) / "shot.png"
        more = [f"--user-data-dir={folder}/profile", f"--window-size={args.size}", f"--screenshot={shot}"]
        address = args.page.resolve(strict=True).as_uri()
        subprocess.run([args.chromium, *FLAGS, *more, address], check=True, capture_output=True)
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
                temporary, "PNG", optimize=True
            )
    print(f"wrote {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
