"""Draw voxel files side by side.

python -m benchmarks.draw.sheet SampleChairs/chair/train/chair_00{01..20}.raw --columns 5 -o sheet.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rasgan import cli
from rasgan.export.plots import contact_sheet
from rasgan.voxel_io import read_voxels


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("grids", type=Path, nargs="+", help=".raw, .npy or .binvox files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture to write")
    parser.add_argument("--columns", type=cli.positive, default=5, help="pictures per row (default 5)")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Read and draw the grids."""
    args = build_parser().parse_args(argv)
    contact_sheet(args.output, [read_voxels(path) for path in args.grids], args.columns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
