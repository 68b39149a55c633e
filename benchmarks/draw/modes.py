"""Draw the results of the modes of convert_data.py for a mesh, side by side.

python -m benchmarks.draw.modes ModelNet10/chair/test/chair_0890.off -o docs/img/modes.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rasgan import cli
from rasgan.data.meshes import UP_AXES, read_mesh
from rasgan.data.voxelize import voxelize
from rasgan.export.plots import contact_sheet
from rasgan.voxels import RESOLUTIONS

LABELS = {"binvox": "--mode binvox (default)", "exact": "--mode exact", "solid": "--mode solid"}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("mesh", type=Path, nargs="+", help="mesh files, one row of pictures for each")
    output = Path("docs/img/modes.png")
    parser.add_argument("-o", "--output", type=Path, default=output, help="picture to write")
    parser.add_argument("--resolution", type=int, choices=RESOLUTIONS, default=64, help="voxels per side")
    parser.add_argument("--up", choices=UP_AXES, default="z", help="which axis of the meshes points up")
    parser.add_argument("--modes", nargs="+", choices=LABELS, default=["binvox", "solid"])
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Voxelize and draw."""
    args = build_parser().parse_args(argv)
    meshes = [read_mesh(mesh, args.up) for mesh in args.mesh]
    grids = [voxelize(*mesh, args.resolution, mode) for mesh in meshes for mode in args.modes]
    contact_sheet(args.output, grids, len(args.modes), [LABELS[mode] for mode in args.modes] * len(args.mesh))
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
